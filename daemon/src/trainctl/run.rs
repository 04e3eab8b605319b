//! `trainctl run JOB.toml`: submit and follow; without a daemon, start one for as long as the job takes.

use std::path::Path;

use super::daemon_process::{DaemonCommand, DaemonPlan, DaemonProcess};
use super::failure::Failure;
use super::output::Output;
use super::scratch::Scratch;
use super::{job_file, verbs};
use crate::control::Client;
use crate::control::api::Request;

/// Runs the job at `file` on the daemon at `socket`, or on one of its own.
pub(super) async fn run(socket: &Path, file: &Path, output: &Output) -> Result<u8, Failure> {
    // A bad file is told before any daemon is started for it.
    job_file::read(file)?;
    let client = Client::new(socket);
    match client.call(&Request::Status).await.map_err(Failure::from) {
        Ok(_) => return submit_and_follow(&client, file, output).await,
        Err(failure) if failure.is_not_running() => {}
        Err(failure) => return Err(failure),
    }
    output.message(&format!(
        "no traind answers at {}: starting one for this job, on this machine only",
        socket.display()
    ));
    let scratch = Scratch::new(false)?;
    let plan = DaemonPlan { data_dir: scratch.path().join("node"), threads: 0, peers: Vec::new() };
    // Declared after the directory, so that it is gone before the directory goes.
    let mut daemon = DaemonProcess::spawn(&DaemonCommand::of_this_program()?, &plan)?;
    daemon.ready().await?;
    let client = daemon.client()?;
    submit_and_follow(&client, file, output).await
}

async fn submit_and_follow(client: &Client, file: &Path, output: &Output) -> Result<u8, Failure> {
    let job = verbs::submit_file(client, file, output).await?;
    verbs::follow_to_exit_code(client, &job, output).await
}
