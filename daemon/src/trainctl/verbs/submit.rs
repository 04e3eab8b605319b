//! `trainctl job submit`.

use std::path::{Path, PathBuf};

use super::super::failure::Failure;
use super::super::follow::{Ending, lost};
use super::super::output::Output;
use super::super::progress::JobProgress;
use super::super::screen::Screen;
use super::super::{hub, job_file, model_directory, model_file, render};
use super::job::{ending_to_exit_code, follow_to_exit_code};
use super::unexpected;
use crate::control::Client;
use crate::control::api::{Request, Response};
use crate::exit_code;

/// What to submit, and how.
#[derive(Debug)]
pub(super) struct Submit {
    /// The job file.
    pub(super) file: PathBuf,
    /// The model to start from: a directory, or a repository of the hub.
    pub(super) from: Option<PathBuf>,
    /// Whether to follow the job to its end.
    pub(super) follow: bool,
    /// Whether the job is only checked.
    pub(super) dry_run: bool,
}

pub(super) async fn submit(socket: &Path, what: &Submit, output: &Output) -> Result<u8, Failure> {
    let client = Client::new(socket);
    let answer = send(&client, what, output).await?;
    output.answer(&answer)?;
    let job = match &answer {
        Response::JobPlanned(_) if what.dry_run => {
            output.message(&format!(
                "nothing was submitted; next: trainctl job submit {}",
                what.file.display()
            ));
            return Ok(exit_code::OK);
        }
        Response::JobSubmitted { job, .. } => job,
        other => return Err(unexpected(other)),
    };
    if what.follow {
        return follow_to_exit_code(&client, job, output).await;
    }
    output.goes_on(format!("the job is submitted; trainctl job cancel {job} stops it"));
    let mut screen = Screen::on_stderr(output);
    screen.while_waiting("the nodes check that they can run it", checked(&client, job, output)).await?;
    output.message(&format!("next: trainctl job wait {job}"));
    Ok(exit_code::OK)
}

/// Submits a job file that starts from fresh parameters; gives the job's id.
pub(in super::super) async fn submit_file(
    client: &Client,
    file: &Path,
    output: &Output,
) -> Result<String, Failure> {
    let what = Submit { file: file.to_owned(), from: None, follow: true, dry_run: false };
    let answer = send(client, &what, output).await?;
    output.answer(&answer)?;
    match answer {
        Response::JobSubmitted { job, .. } => Ok(job),
        other => Err(unexpected(&other)),
    }
}

async fn send(client: &Client, what: &Submit, output: &Output) -> Result<Response, Failure> {
    let job = job_file::read(&what.file)?;
    let spec_toml = job.text;
    let dry_run = what.dry_run;
    let answer = match &what.from {
        None => client.call(&Request::JobSubmit { spec_toml, from: None, dry_run }).await,
        Some(named) => {
            let directory = hub::local(named, output).await?;
            model_directory::check(&directory, &job.spec)?;
            let model = model_file::check(&directory)?;
            output.message(&format!(
                "sending {} ({})",
                model.path.display(),
                render::bytes(model.upload.bytes)
            ));
            let request = Request::JobSubmit { spec_toml, from: Some(model.upload), dry_run };
            client.call_with_file(&request, &model.path).await
        }
    };
    answer.map_err(|error| Failure::of_job_file(&what.file, error))
}

/// Waits until the nodes have checked that they can run the job, and fails if one of them cannot.
async fn checked(client: &Client, job: &str, output: &Output) -> Result<(), Failure> {
    let mut events = client.follow(job).await?;
    let mut progress = JobProgress::default();
    loop {
        let event = events.next().await?.ok_or_else(|| lost(client))?;
        if let Some(ending) = Ending::of(&event) {
            return ending_to_exit_code(&ending).map(|_ok| ());
        }
        progress.apply(&event);
        if progress.steps > 0 && !progress.is_checking {
            if let Some(reason) = &progress.waits_for {
                output.message(&format!("queued: {reason}"));
            }
            return Ok(());
        }
    }
}
