//! When to search: soon after peers came or went, ever more seldom while nothing happens.

use traind_protocol::ids::Millis;

use crate::jitter::Jitter;
use crate::limits::{BACK_OFF_JITTER_DIVISOR, KADEMLIA_PAUSE_MS_MAX, KADEMLIA_PAUSE_MS_MIN};

/// The next search. Knows no clock.
#[derive(Debug)]
pub(crate) struct Searches {
    next: Millis,
    pause_ms: u64,
    jitter: Jitter,
}

impl Searches {
    pub(crate) fn new(now: Millis, jitter: Jitter) -> Self {
        Self { next: now.plus(KADEMLIA_PAUSE_MS_MIN), pause_ms: KADEMLIA_PAUSE_MS_MIN, jitter }
    }

    /// Peers came or went: there may be others to find.
    pub(crate) fn changed(&mut self, now: Millis) {
        self.pause_ms = KADEMLIA_PAUSE_MS_MIN;
        self.next = self.next.min(now.plus(KADEMLIA_PAUSE_MS_MIN));
    }

    /// Whether to search now; if so, the next search is later than this one was.
    pub(crate) fn is_due(&mut self, now: Millis) -> bool {
        if now < self.next {
            return false;
        }
        self.next = now.plus(self.pause_ms + self.jitter.below(self.pause_ms / BACK_OFF_JITTER_DIVISOR + 1));
        self.pause_ms = (2 * self.pause_ms).min(KADEMLIA_PAUSE_MS_MAX);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Times of the searches until `end`.
    fn times(searches: &mut Searches, from: u64, end: u64) -> Vec<u64> {
        (from..end).step_by(20).filter(|&now| searches.is_due(Millis(now))).collect()
    }

    #[test]
    fn searches_become_seldom_and_a_change_brings_them_back() {
        let mut searches = Searches::new(Millis(0), Jitter::new(1));
        let hours = times(&mut searches, 0, 3 * 3_600_000);
        assert_eq!(hours[0], KADEMLIA_PAUSE_MS_MIN);
        let pauses: Vec<u64> = hours.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(pauses[1] > pauses[0] && pauses[3] > pauses[1], "{pauses:?}");
        for &pause in pauses.iter().skip(10) {
            assert!((KADEMLIA_PAUSE_MS_MAX..=KADEMLIA_PAUSE_MS_MAX * 5 / 4 + 20).contains(&pause), "{pause}");
        }
        let now = hours.last().unwrap() + 1_000;
        searches.changed(Millis(now));
        let next = times(&mut searches, now, now + KADEMLIA_PAUSE_MS_MAX);
        assert!(next[0] - now <= KADEMLIA_PAUSE_MS_MIN + 20, "{next:?}");
    }

    #[test]
    fn changes_without_end_do_not_put_a_search_off() {
        let mut searches = Searches::new(Millis(0), Jitter::new(1));
        let due = (0..10_000u64).filter(|&now| {
            searches.changed(Millis(now));
            searches.is_due(Millis(now))
        });
        assert!((3..=5).contains(&due.count()));
    }
}
