//! Ctrl-C and SIGTERM end a verb by dropping it, so that every guard in it cleans up.

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};

use super::failure::Failure;
use super::output::Output;
use crate::exit_code;

/// Runs `work`; on SIGINT, SIGTERM or SIGHUP drops it and fails with the exit code that shells expect.
/// What goes on without it is told.
pub(super) async fn or_interrupted(
    work: impl Future<Output = Result<u8, Failure>>,
    output: &Output,
) -> Result<u8, Failure> {
    let watch = |kind| {
        signal(kind).map_err(|error| {
            Failure::new(exit_code::FAILED, "cannot watch for signals").because(error.to_string())
        })
    };
    let mut interrupted = watch(SignalKind::interrupt())?;
    let mut terminated = watch(SignalKind::terminate())?;
    let mut hung_up = watch(SignalKind::hangup())?;
    tokio::select! {
        done = work => done,
        _ = interrupted.recv() => {
            let cause = output.what_goes_on();
            Err(Failure { cause, ..Failure::new(exit_code::INTERRUPTED, "interrupted") })
        }
        _ = terminated.recv() => Err(Failure::new(exit_code::TERMINATED, "terminated")),
        _ = hung_up.recv() => Err(Failure::new(exit_code::TERMINATED, "the terminal is gone")),
    }
}
