//! Pauses that double.

use crate::limits::{BACK_OFF_MS_MAX, BACK_OFF_MS_MIN};

/// The pause before the next attempt at something that failed.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct BackOff {
    pause_ms: u64,
}

impl BackOff {
    /// Milliseconds to wait now, after one more failure.
    pub(crate) fn failed(&mut self) -> u64 {
        self.pause_ms = (2 * self.pause_ms).clamp(BACK_OFF_MS_MIN, BACK_OFF_MS_MAX);
        self.pause_ms
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_bound() {
        let mut back_off = BackOff::default();
        let pauses: Vec<u64> = (0..8).map(|_| back_off.failed()).collect();
        assert_eq!(pauses, [200, 400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    }
}
