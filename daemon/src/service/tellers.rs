//! Tells the service manager again and again what holds: while the daemon runs, and while it stops.

use std::time::Duration;

use super::clock::{Clock, WallClock};
use super::notifier::ServiceNotifier;

/// How often the status is looked at: a step count that is two seconds old is fresh enough for a person.
pub const STATUS_EVERY: Duration = Duration::from_secs(2);

/// How much longer a stop may take from each extension on.
pub const STOP_EXTENSION: Duration = Duration::from_secs(15);

/// How often the extension is renewed: three times before it ends.
pub const STOP_EXTENSION_EVERY: Duration = Duration::from_secs(5);

/// Tells what `words` says whenever it changes, for ever; ends at once if nobody listens. Needs tokio's timers.
pub async fn tell_status(notifier: ServiceNotifier, words: impl Fn() -> String) {
    tell_status_by(&WallClock::new(), notifier, words).await;
}

async fn tell_status_by(clock: &impl Clock, notifier: ServiceNotifier, words: impl Fn() -> String) {
    while notifier.is_active() {
        notifier.status(&words());
        clock.sleep_until(clock.now() + STATUS_EVERY).await;
    }
}

/// While the daemon hands over its work: says that it stops and what it waits for, and asks for the time that takes,
/// for ever; ends at once if nobody listens. To be dropped when all is handed over. Needs tokio's timers.
pub async fn tell_stopping(notifier: ServiceNotifier, words: impl Fn() -> String) {
    tell_stopping_by(&WallClock::new(), notifier, words).await;
}

async fn tell_stopping_by(clock: &impl Clock, notifier: ServiceNotifier, words: impl Fn() -> String) {
    if notifier.is_active() {
        notifier.stopping(&words());
    }
    while notifier.is_active() {
        notifier.extend_timeout(STOP_EXTENSION);
        notifier.status(&words());
        clock.sleep_until(clock.now() + STOP_EXTENSION_EVERY).await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::clock::virtual_clock::VirtualClock;
    use super::super::fake_manager::FakeManager;
    use super::*;

    #[test]
    fn the_status_is_told_when_it_changes_and_not_between() {
        let (manager, clock) = (FakeManager::new(&[]), VirtualClock::default());
        let words = || format!("step {}", clock.now().as_secs() / (2 * STATUS_EVERY.as_secs()));
        let telling = tell_status_by(&clock, manager.notifier(), words);
        assert_eq!(clock.run(telling, STATUS_EVERY * 5), None, "it goes on for ever");
        assert_eq!(manager.heard(), ["STATUS=step 0\n", "STATUS=step 1\n", "STATUS=step 2\n"]);
    }

    #[test]
    fn a_stop_says_what_it_waits_for_and_asks_for_its_time() {
        let (manager, clock) = (FakeManager::new(&[]), VirtualClock::default());
        let telling =
            tell_stopping_by(&clock, manager.notifier(), || "draining: waits for calm-otter".into());
        assert_eq!(clock.run(telling, STOP_EXTENSION_EVERY), None, "it goes on for ever");
        assert_eq!(
            manager.heard(),
            [
                "STOPPING=1\nSTATUS=draining: waits for calm-otter\n",
                "EXTEND_TIMEOUT_USEC=15000000\n",
                "EXTEND_TIMEOUT_USEC=15000000\n",
            ]
        );
    }

    #[test]
    fn nobody_is_told_anything_where_nobody_listens() {
        let clock = VirtualClock::default();
        let nobody = ServiceNotifier::default;
        assert_eq!(clock.run(tell_status_by(&clock, nobody(), || unreachable!()), Duration::MAX), Some(()));
        assert_eq!(clock.run(tell_stopping_by(&clock, nobody(), || unreachable!()), Duration::MAX), Some(()));
    }
}
