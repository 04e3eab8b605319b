//! Signs of life that mean something: one is given only after every part of the daemon answered.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};

use super::clock::{Clock, WallClock};
use super::notifier::ServiceNotifier;

/// Asks every part of the daemon whether it still answers.
pub trait Liveness {
    /// The names of those that do not answer. May take as long as it likes: the asker gives up by itself.
    fn unanswered(&self) -> impl Future<Output = Vec<&'static str>>;
}

/// Asks `probe` at every interval that the service manager wants, and gives a sign of life only if all answered within
/// half of it; names in the log those that did not. Runs for ever; ends at once if no signs are wanted. Needs tokio's
/// timers.
///
/// Half an interval, so that two signs are never further apart than one and a half intervals, which is three quarters of
/// the time after which the daemon is taken for dead.
pub async fn run_watchdog(notifier: ServiceNotifier, probe: impl Liveness) {
    run_watchdog_by(&WallClock::new(), notifier, probe).await;
}

async fn run_watchdog_by(clock: &impl Clock, notifier: ServiceNotifier, probe: impl Liveness) {
    let Some(every) = notifier.watchdog_interval() else { return };
    let mut is_silent = false;
    loop {
        let asked = clock.now();
        match unanswered(clock, &probe, asked + every / 2).await {
            None => {
                notifier.feed();
                if is_silent {
                    tracing::info!("all parts of the daemon answer again");
                }
                is_silent = false;
            }
            Some(who) => {
                tracing::error!(
                    "no answer from {who}: the service manager gets no sign of life, and restarts the daemon after {} s \
                     without one",
                    (every * 2).as_secs_f64()
                );
                is_silent = true;
            }
        }
        clock.sleep_until(asked + every).await;
    }
}

/// Who does not answer in time; `None` if all do.
async fn unanswered(clock: &impl Clock, probe: &impl Liveness, until: Duration) -> Option<String> {
    let answer = pin!(probe.unanswered());
    let too_late = pin!(clock.sleep_until(until));
    match select(answer, too_late).await {
        Either::Left((silent, _too_late)) if silent.is_empty() => None,
        Either::Left((silent, _too_late)) => Some(silent.join(", ")),
        Either::Right(((), _answer)) => Some("one of the daemon's parts".into()),
    }
}

#[cfg(test)]
#[path = "watchdog_tests.rs"]
mod tests;
