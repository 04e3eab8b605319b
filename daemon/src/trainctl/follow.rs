//! Follows a job to its end and shows how it goes on.

use std::time::Duration;

use super::args::OutputFormat;
use super::failure::Failure;
use super::output::Output;
use super::progress::JobProgress;
use super::render;
use super::screen::Screen;
use crate::control::api::{FollowEvent, JobResult, JobStatus};
use crate::control::{Client, ClientError};
use crate::exit_code;

/// How often something is shown while nothing happens.
pub(super) const TICK: Duration = Duration::from_secs(1);

/// How a job ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ending {
    /// Its id.
    pub(super) job: String,
    /// How.
    pub(super) status: JobStatus,
    /// Why it failed.
    pub(super) reason: Option<String>,
    /// The result of a finished job.
    pub(super) result: Option<JobResult>,
}

impl Ending {
    /// The ending that `event` tells, if it does.
    pub(super) fn of(event: &FollowEvent) -> Option<Self> {
        let FollowEvent::Ended { job, status, reason, result } = event else { return None };
        Some(Self { job: job.clone(), status: *status, reason: reason.clone(), result: result.clone() })
    }
}

/// Follows `job`. JSON: one line per event on the standard output; else progress on the standard error and the
/// result on the standard output.
pub(super) async fn follow(client: &Client, job: &str, output: &Output) -> Result<Ending, Failure> {
    let mut events = client.follow(job).await?;
    let is_json = output.format.is_json();
    output.goes_on(format!("only the following ended: the job goes on; trainctl job cancel {job} stops it"));
    let mut screen = Screen::on_stderr(output);
    let mut progress = JobProgress::default();
    let mut pause = None;
    let mut tick = tokio::time::interval(TICK);
    loop {
        let event = tokio::select! {
            event = events.next() => event?,
            _ = tick.tick() => {
                if !is_json {
                    screen.progress(&progress);
                }
                continue;
            }
        };
        let event = event.ok_or_else(|| lost(client))?;
        progress.apply(&event);
        if is_json {
            output.data(&event, String::new)?;
        } else {
            if let Some(line) = render::event(&event) {
                screen.say(&render::wrap(&render::printable(&line), 2))?;
            }
            if progress.pause != pause {
                pause.clone_from(&progress.pause);
                let words = pause.as_deref().unwrap_or("resumed");
                screen.say(&format!("step {}: {words}", progress.step))?;
            }
            screen.progress(&progress);
        }
        if let Some(ending) = Ending::of(&event) {
            screen.close();
            match output.format {
                OutputFormat::Json | OutputFormat::Jsonl => {}
                OutputFormat::Name => output.write(&format!("{}\n", ending.job))?,
                OutputFormat::Table | OutputFormat::Wide => output.write(&render::ending(&ending))?,
            }
            return Ok(ending);
        }
    }
}

/// The events stopped without an end.
pub(super) fn lost(client: &Client) -> Failure {
    let error = ClientError::Closed { socket: client.socket().to_owned(), source: None };
    Failure { code: exit_code::FAILED, ..Failure::from(error) }
}
