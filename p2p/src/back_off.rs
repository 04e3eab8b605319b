//! Pauses that double.

use crate::jitter::Jitter;
use crate::limits::{BACK_OFF_JITTER_DIVISOR, BACK_OFF_MS_MIN};

/// The pause before the next attempt at something that failed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BackOff {
    failures: u32,
}

impl BackOff {
    /// Milliseconds to wait now, after one more failure: twice as long as before up to `longest_ms`, and up to a
    /// quarter more, so that many nodes that lost the same peer do not come back to it at once.
    pub(crate) fn failed(&mut self, longest_ms: u64, jitter: &mut Jitter) -> u64 {
        let doubled = 1u64.checked_shl(self.failures).and_then(|factor| BACK_OFF_MS_MIN.checked_mul(factor));
        let pause_ms = doubled.unwrap_or(longest_ms).min(longest_ms);
        self.failures = self.failures.saturating_add(1);
        pause_ms + jitter.below(pause_ms / BACK_OFF_JITTER_DIVISOR + 1)
    }

    /// Failures since the last success.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_bound_with_a_quarter_of_jitter() {
        let mut jitter = Jitter::new(1);
        let mut back_off = BackOff::default();
        for pause_ms in [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000] {
            let waited_ms = back_off.failed(10_000, &mut jitter);
            assert!((pause_ms..=pause_ms + pause_ms / 4).contains(&waited_ms), "{waited_ms} for {pause_ms}");
        }
        assert_eq!(back_off.failures(), 8);
    }

    #[test]
    fn a_year_of_failures_does_not_overflow() {
        let mut back_off = BackOff { failures: u32::MAX - 1 };
        for _ in 0..3 {
            assert!(back_off.failed(300_000, &mut Jitter::new(1)) >= 300_000);
        }
    }
}
