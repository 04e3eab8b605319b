//! The verbs that ask one question and print the answer.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::args::{CheckpointVerb, JobVerb, NodeVerb};
use super::failure::Failure;
use super::follow::{self, Ending};
use super::output::Output;
use super::{job_file, render};
use crate::control::Client;
use crate::control::api::{JobStatus, Request, Response};
use crate::exit_code;

/// `trainctl status`.
pub(super) async fn status(socket: &Path, output: &Output) -> Result<u8, Failure> {
    ask(socket, &Request::Status, output).await
}

/// `trainctl node …`.
pub(super) async fn node(socket: &Path, verb: NodeVerb, output: &Output) -> Result<u8, Failure> {
    match verb {
        NodeVerb::Ls => ask(socket, &Request::NodeList, output).await,
    }
}

/// `trainctl checkpoint …`.
pub(super) async fn checkpoint(socket: &Path, verb: CheckpointVerb, output: &Output) -> Result<u8, Failure> {
    match verb {
        CheckpointVerb::Ls { job } => ask(socket, &Request::CheckpointList { job }, output).await,
    }
}

/// `trainctl job …`.
pub(super) async fn job(socket: &Path, verb: JobVerb, output: &Output) -> Result<u8, Failure> {
    match verb {
        JobVerb::Submit { file, follow } => submit(socket, file, follow, output).await,
        JobVerb::Ls => ask(socket, &Request::JobList, output).await,
        JobVerb::Show { job } => ask(socket, &Request::JobShow { job }, output).await,
        JobVerb::Wait { job, timeout } => wait(socket, &job, timeout, output).await,
        JobVerb::Cancel { job } => ask(socket, &Request::JobCancel { job }, output).await,
    }
}

async fn ask(socket: &Path, request: &Request, output: &Output) -> Result<u8, Failure> {
    let answer = Client::new(socket).call(request).await?;
    output.data(&answer, || render::response(&answer))?;
    Ok(exit_code::OK)
}

async fn submit(socket: &Path, file: PathBuf, is_followed: bool, output: &Output) -> Result<u8, Failure> {
    let client = Client::new(socket);
    let job = submit_file(&client, &file, output).await?;
    if is_followed {
        return follow_to_exit_code(&client, &job, output).await;
    }
    output.message(&format!("next: trainctl job wait {job}"));
    Ok(exit_code::OK)
}

/// Submits a job file; gives the job's id.
pub(super) async fn submit_file(client: &Client, file: &Path, output: &Output) -> Result<String, Failure> {
    let job = job_file::read(file)?;
    let answer = client
        .call(&Request::job_submit(job.text))
        .await
        .map_err(|error| Failure::of_job_file(file, error))?;
    output.data(&answer, || render::response(&answer))?;
    match answer {
        Response::JobSubmitted { job, .. } => Ok(job),
        other => Err(unexpected(&other)),
    }
}

/// Follows a job with progress; the exit code says how it ended.
pub(super) async fn follow_to_exit_code(client: &Client, job: &str, output: &Output) -> Result<u8, Failure> {
    let ending = follow::follow(client, job, output).await?;
    ending_to_exit_code(&ending)
}

async fn wait(socket: &Path, job: &str, timeout: Option<Duration>, output: &Output) -> Result<u8, Failure> {
    let client = Client::new(socket);
    let followed = follow::follow(&client, job, output);
    let ending = match timeout {
        None => followed.await?,
        Some(limit) => tokio::time::timeout(limit, followed).await.map_err(|_| {
            Failure::new(exit_code::TIMED_OUT, format!("job {job} has not ended after {} s", limit.as_secs()))
                .because("only the waiting ended: the job is left as it is")
                .next(format!("trainctl job show {job}"))
        })??,
    };
    ending_to_exit_code(&ending)
}

fn ending_to_exit_code(ending: &Ending) -> Result<u8, Failure> {
    let word = match ending.status {
        JobStatus::Finished => return Ok(exit_code::OK),
        JobStatus::Cancelled => "was cancelled",
        _ => "failed",
    };
    let failure = Failure::new(exit_code::JOB_FAILED, format!("job {} {word}", ending.job))
        .next(format!("trainctl job show {}", ending.job));
    Err(match &ending.reason {
        Some(reason) => failure.because(reason.clone()),
        None => failure,
    })
}

/// An answer of another kind than the request's.
pub(super) fn unexpected(answer: &Response) -> Failure {
    let text: String = format!("{answer:?}").chars().take(80).collect();
    Failure::new(exit_code::FAILED, format!("the daemon gave an answer to another question: {text}"))
        .because("trainctl and traind are of different versions")
}
