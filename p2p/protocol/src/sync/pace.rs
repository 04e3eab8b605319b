//! How long micro-batches and exchanges take here: what decides how much is begun at a time, and what is sent before it is asked for.

use std::collections::VecDeque;

use crate::ids::Millis;

/// Computations that are asked of the trainer at a time: one in hand, and one behind it so that the trainer never waits for an
/// answer. What is not asked for yet is not begun, and goes to somebody else when a lease moves.
const COMPUTING_MAX: u32 = 2;

/// A micro-batch that takes so long, µs, is asked for alone: the answer costs the trainer a hundredth of it, and what is begun no view
/// can give to another.
const LONG_MICROBATCH_US: u64 = 20_000;

/// Exchanges that are remembered. The shortest counts: it waited least for others that were slower.
const EXCHANGES_MAX: usize = 8;

/// Bytes of all micro-batches of a step, up to which sums are sent as they are computed: owners keep them one by one until they
/// fold, where a whole lease is one sum.
pub(super) const EARLY_BYTES_MAX: u64 = 256 << 20;

/// What steps took.
#[derive(Clone, Debug, Default)]
pub(super) struct Pace {
    /// A micro-batch, in the mean over the latest step that we computed anything of.
    microbatch_us: Option<u64>,
    /// From the end of our last computation to the results, in the latest of these steps.
    exchanges_ms: VecDeque<u64>,
}

impl Pace {
    /// A step is applied at `now`, of which we computed anything.
    pub(super) fn applied(&mut self, now: Millis, spent: &Spent) {
        let Some(ended_at) = spent.ended_at else { return };
        self.microbatch_us = Some(spent.ms.saturating_mul(1_000) / spent.microbatches.max(1));
        if self.exchanges_ms.len() == EXCHANGES_MAX {
            self.exchanges_ms.pop_front();
        }
        self.exchanges_ms.push_back(now.since(ended_at));
    }

    /// Whether the network is quick enough for sums as they are computed: an exchange, of which a sum is about a half, takes no
    /// longer than a micro-batch. Else owners get all of a lease at its end, as one sum.
    pub(super) fn leaves_room(&self) -> bool {
        // An exchange that the clock does not show takes a part of a millisecond.
        let exchange_ms = self.exchanges_ms.iter().min().map(|ms| (*ms).max(1));
        let times = exchange_ms.zip(self.microbatch_us);
        times.is_some_and(|(exchange_ms, microbatch_us)| exchange_ms.saturating_mul(1_000) <= microbatch_us)
    }

    /// Computations that are asked of the trainer at a time. Where an exchange takes long, this machine answers late too.
    pub(super) fn computing_max(&self) -> u32 {
        let is_long = self.microbatch_us.is_some_and(|us| us >= LONG_MICROBATCH_US);
        if is_long && self.leaves_room() { 1 } else { COMPUTING_MAX }
    }
}

/// Whether owners can keep sums of so many bytes of each micro-batch one by one.
pub(super) fn fits_memory(bytes: u64, microbatches: u32) -> bool {
    bytes.saturating_mul(u64::from(microbatches)) <= EARLY_BYTES_MAX
}

/// What the trainer has spent on the step in progress. Views make no difference: it goes on.
#[derive(Clone, Debug, Default)]
pub(super) struct Spent {
    microbatches: u64,
    ms: u64,
    /// Since when it computes without an end.
    since: Option<Millis>,
    /// When the last of them was computed.
    ended_at: Option<Millis>,
}

impl Spent {
    /// It is asked for more.
    pub(super) fn asked(&mut self, now: Millis) {
        self.since.get_or_insert(now);
    }

    /// A micro-batch is computed; `goes_on` if there is another to compute.
    pub(super) fn computed(&mut self, now: Millis, goes_on: bool) {
        self.ms += self.since.map_or(0, |since| now.since(since));
        self.microbatches += 1;
        self.since = goes_on.then_some(now);
        self.ended_at = Some(now);
    }

    /// One failed; `goes_on` if there is another to compute.
    pub(super) fn failed(&mut self, now: Millis, goes_on: bool) {
        self.since = goes_on.then_some(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many micro-batches of `ms` each, the first asked for at once, and the results `exchange_ms` later.
    fn applied(pace: &mut Pace, microbatches: u64, ms: u64, exchange_ms: u64) {
        let mut spent = Spent::default();
        spent.asked(Millis(1_000));
        (1..=microbatches).for_each(|count| spent.computed(Millis(1_000 + count * ms), count < microbatches));
        pace.applied(Millis(1_000 + microbatches * ms + exchange_ms), &spent);
    }

    #[test]
    fn room_is_where_an_exchange_takes_no_longer_than_a_micro_batch_in_any_of_the_latest_steps() {
        let mut pace = Pace::default();
        assert_eq!((pace.leaves_room(), pace.computing_max()), (false, COMPUTING_MAX), "nothing is known");
        applied(&mut pace, 3, 30, 31);
        assert_eq!((pace.leaves_room(), pace.computing_max()), (false, COMPUTING_MAX));
        applied(&mut pace, 3, 30, 30);
        assert_eq!((pace.leaves_room(), pace.computing_max()), (true, 1));
        applied(&mut pace, 3, 30, 500);
        assert!(pace.leaves_room(), "it waited for others");
        applied(&mut pace, 0, 0, 0);
        assert!(pace.leaves_room(), "nothing was computed, nothing is learnt");
        (0..EXCHANGES_MAX).for_each(|_| applied(&mut pace, 3, 30, 500));
        assert!(!pace.leaves_room(), "the network is no longer quick");
    }

    #[test]
    fn short_micro_batches_are_asked_for_two_at_a_time() {
        let mut pace = Pace::default();
        applied(&mut pace, 4, 19, 1);
        assert_eq!((pace.leaves_room(), pace.computing_max()), (true, COMPUTING_MAX));
        applied(&mut pace, 4, 20, 1);
        assert_eq!(pace.computing_max(), 1);
        applied(&mut pace, 4, 0, 0);
        assert!(!pace.leaves_room(), "too short for the clock");
    }

    #[test]
    fn only_time_in_which_the_trainer_works_counts() {
        let mut spent = Spent::default();
        spent.asked(Millis(0));
        spent.asked(Millis(5));
        spent.computed(Millis(10), false);
        // A view ended, and another began.
        spent.asked(Millis(100));
        spent.failed(Millis(110), true);
        spent.computed(Millis(130), false);
        assert_eq!((spent.microbatches, spent.ms, spent.ended_at), (2, 30, Some(Millis(130))));
    }
}
