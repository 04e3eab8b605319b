//! When signs of life are given, in virtual time, over a socket of the test's own.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use super::super::clock::virtual_clock::VirtualClock;
use super::super::fake_manager::FakeManager;
use super::*;

/// After so many milliseconds these are silent.
type Line = (u64, Vec<&'static str>);

/// Answers by a script: after so many milliseconds, these are silent. The last line holds on.
#[derive(Clone)]
struct Script {
    lines: Rc<RefCell<Vec<Line>>>,
    asked: Rc<RefCell<Vec<u64>>>,
    clock: VirtualClock,
}

impl Liveness for Script {
    async fn unanswered(&self) -> Vec<&'static str> {
        self.asked.borrow_mut().push(self.clock.now().as_secs());
        let (delay, silent) = {
            let mut lines = self.lines.borrow_mut();
            if lines.len() > 1 { lines.remove(0) } else { lines[0].clone() }
        };
        self.clock.sleep_until(self.clock.now() + Duration::from_millis(delay)).await;
        silent
    }
}

/// How many signs of life a manager hears within `seconds` that takes the daemon for dead after 8 (so that it asks every
/// 4 and waits 2 for an answer), and in which seconds the script was asked.
fn signs(lines: &[(u64, &[&'static str])], seconds: u64) -> (usize, Vec<u64>) {
    let manager = FakeManager::new(&[("WATCHDOG_USEC", "8000000")]);
    let clock = VirtualClock::default();
    let lines = lines.iter().map(|(millis, silent)| (*millis, silent.to_vec())).collect();
    let script = Script { lines: Rc::new(RefCell::new(lines)), asked: Rc::default(), clock: clock.clone() };
    let running = run_watchdog_by(&clock, manager.notifier(), script.clone());
    assert_eq!(clock.run(running, Duration::from_secs(seconds)), None, "it goes on for ever");
    let heard = manager.heard();
    assert!(heard.iter().all(|message| message == "WATCHDOG=1\n"), "{heard:?}");
    (heard.len(), script.asked.take())
}

#[test]
fn a_daemon_whose_parts_all_answer_gives_a_sign_at_once_and_at_every_interval() {
    assert_eq!(signs(&[(0, &[])], 12), (4, vec![0, 4, 8, 12]));
    assert_eq!(signs(&[(1900, &[])], 10), (3, vec![0, 4, 8]), "slow answers count");
}

#[test]
fn a_part_that_does_not_answer_means_no_sign() {
    assert_eq!(signs(&[(0, &["council"])], 40).0, 0);
    assert_eq!(signs(&[(0, &[]), (0, &["council"]), (0, &[])], 8), (2, vec![0, 4, 8]), "it may recover");
}

#[test]
fn an_answer_that_comes_too_late_means_no_sign_and_does_not_hold_up_the_next_question() {
    assert_eq!(signs(&[(2100, &[])], 12), (0, vec![0, 4, 8, 12]));
    assert_eq!(signs(&[(3_600_000, &[]), (0, &[])], 8), (2, vec![0, 4, 8]));
}

#[test]
fn nobody_is_asked_when_no_signs_are_wanted() {
    let (manager, clock) = (FakeManager::new(&[]), VirtualClock::default());
    let script = Script { lines: Rc::default(), asked: Rc::default(), clock: clock.clone() };
    let running = run_watchdog_by(&clock, manager.notifier(), script);
    assert_eq!(clock.run(running, Duration::MAX), Some(()), "the script has no line to answer with");
    assert!(manager.heard().is_empty());
}
