//! `trainctl run JOB.toml`: submit and follow; without a daemon, start one for as long as the job takes.

use std::path::Path;

use super::daemon_process::{DaemonCommand, DaemonPlan, DaemonProcess};
use super::failure::Failure;
use super::output::Output;
use super::scratch::Scratch;
use super::{job_file, verbs};
use crate::control::Client;
use crate::control::api::Request;
use crate::exit_code;

/// Runs the job at `file` on the daemon at `socket`, or on one of its own.
pub(super) async fn run(socket: &Path, file: &Path, output: &Output) -> Result<u8, Failure> {
    let job = job_file::read(file)?;
    let client = Client::new(socket);
    match client.call(&Request::Status).await.map_err(Failure::from) {
        Ok(_) => return submit_and_follow(&client, file, output).await,
        Err(failure) if failure.is_not_running() => {}
        Err(failure) => return Err(failure),
    }
    let nodes_min = job.spec.nodes.min;
    if nodes_min > 1 {
        return Err(too_few_nodes(socket, nodes_min));
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
    match submit_and_follow(&client, file, output).await {
        // Nobody is left to be asked about the job.
        Err(failure) if failure.code == exit_code::JOB_FAILED => Err(Failure { next: None, ..failure }),
        Err(failure) if matches!(failure.code, exit_code::FAILED | exit_code::NOT_RUNNING) => {
            daemon.wait_for_exit().await;
            Err(if daemon.has_failed() { stopped(&daemon) } else { failure })
        }
        done => done,
    }
}

/// A daemon that is started for one job is alone.
fn too_few_nodes(socket: &Path, nodes_min: u32) -> Failure {
    let message =
        format!("the job waits for {nodes_min} nodes, and no traind answers at {}", socket.display());
    Failure::new(exit_code::NOT_RUNNING, message)
        .because("a daemon started for this job alone would wait for ever")
        .next(format!("start traind on {nodes_min} machines, or set nodes.min to 1"))
}

fn stopped(daemon: &DaemonProcess) -> Failure {
    daemon
        .failure("the daemon that was started for this job stopped in the middle")
        .next("start `traind --dev` yourself to keep its log")
}

async fn submit_and_follow(client: &Client, file: &Path, output: &Output) -> Result<u8, Failure> {
    let job = verbs::submit_file(client, file, output).await?;
    verbs::follow_to_exit_code(client, &job, output).await
}
