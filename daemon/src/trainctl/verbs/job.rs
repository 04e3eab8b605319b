//! The verbs about jobs.

use std::path::Path;

use super::super::args::JobVerb;
use super::super::failure::Failure;
use super::super::follow::{self, Ending};
use super::super::output::Output;
use super::submit::{Submit, submit};
use super::{ask, print, stream, unexpected};
use crate::control::Client;
use crate::control::api::{JobStatus, Request, Response};
use crate::exit_code;

/// `trainctl job …`.
pub(in super::super) async fn job(socket: &Path, verb: JobVerb, output: &Output) -> Result<u8, Failure> {
    match verb {
        JobVerb::Submit { file, from, follow, dry_run } => {
            submit(socket, &Submit { file, from, follow, dry_run }, output).await
        }
        JobVerb::Ls => print(socket, &Request::JobList, output).await,
        JobVerb::Show { job } => print(socket, &Request::JobShow { job }, output).await,
        JobVerb::Samples { job, step } => print(socket, &Request::JobSamples { job, step }, output).await,
        JobVerb::Logs { job, follow, tail } => stream::logs(socket, job, tail, follow, output).await,
        JobVerb::Metrics { job, format, since_step, follow } => {
            stream::metrics(socket, job, format, since_step, follow, output).await
        }
        JobVerb::Wait { job } => follow_to_exit_code(&Client::new(socket), &job, output).await,
        JobVerb::Pause { job } => pause(socket, job, output).await,
        JobVerb::Resume { job } => print(socket, &Request::JobResume { job }, output).await,
        JobVerb::Cancel { job } => print(socket, &Request::JobCancel { job }, output).await,
    }
}

async fn pause(socket: &Path, job: String, output: &Output) -> Result<u8, Failure> {
    let answer = ask(socket, &Request::JobPause { job }, output).await?;
    output.answer(&answer)?;
    let Response::JobPausing { job } = &answer else { return Err(unexpected(&answer)) };
    output.message(&format!("next: trainctl job resume {job}"));
    Ok(exit_code::OK)
}

/// Follows a job with progress; the exit code says how it ended.
pub(in super::super) async fn follow_to_exit_code(
    client: &Client,
    job: &str,
    output: &Output,
) -> Result<u8, Failure> {
    let ending = follow::follow(client, job, output).await?;
    ending_to_exit_code(&ending)
}

/// How a job ended as an exit code, and why.
pub(super) fn ending_to_exit_code(ending: &Ending) -> Result<u8, Failure> {
    let (code, word) = match ending.status {
        JobStatus::Finished => return Ok(exit_code::OK),
        JobStatus::Cancelled => (exit_code::JOB_FAILED, "was cancelled"),
        JobStatus::Refused => (exit_code::FAILED, "was refused and never started"),
        _ => (exit_code::JOB_FAILED, "failed"),
    };
    let failure = Failure::new(code, format!("job {} {word}", ending.job))
        .next(format!("trainctl job show {}", ending.job));
    Err(match &ending.reason {
        Some(reason) => failure.because(reason.clone()),
        None => failure,
    })
}
