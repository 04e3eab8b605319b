//! How many messages a member may send: far more than it has reason to, so that only a flood is above it.

use std::collections::BTreeMap;

use super::pace::EARLY_BYTES_MAX;
use crate::ids::{Millis, NodeId};

/// Messages of any job in which a member says all that a step calls for, beside those for its parts and micro-batches:
/// states, questions for the state, offers, each some times.
const ROUND_MESSAGES: u64 = 64;

/// Messages about one part in a step: a sum, a result and a question for each, some of them again on another path.
const PART_MESSAGES: u64 = 8;

/// Messages about one micro-batch in a step: questions for it and answers.
const MICROBATCH_MESSAGES: u64 = 2;

/// So many times all that a step calls for may come between two steps of ours: members are at most one step apart, and a
/// path that breaks and opens again brings all of it once more.
const ROUNDS_MAX: u64 = 16;

/// While no step is applied so many rounds more may come each second: a path opens at most twenty times in one, and brings a
/// third of a round.
const ROUNDS_PER_SECOND: u64 = 16;

/// Sums of single micro-batches of a step, at most: parts of a job that has many are 64 KiB and more, and those of a few bytes
/// are few.
const SINGLE_SUMS_MAX: u64 = EARLY_BYTES_MAX / (4 << 10);

/// What members of this view have sent since our last step, in messages.
#[derive(Debug, Default)]
pub(super) struct Allowances {
    /// Messages of one round.
    round: u64,
    used: BTreeMap<NodeId, Used>,
}

#[derive(Clone, Copy, Debug)]
struct Used {
    /// Thousandths of messages, so that a millisecond counts.
    thousandths: u64,
    /// When the last one came.
    at: Millis,
}

impl Allowances {
    /// Of a job with so many parts and micro-batches.
    pub(super) fn new(parts: u32, microbatches: u32) -> Self {
        let round =
            ROUND_MESSAGES + PART_MESSAGES * u64::from(parts) + MICROBATCH_MESSAGES * u64::from(microbatches);
        // Once between two steps each micro-batch may come by itself, part for part, where all of that fits into memory.
        let single = (u64::from(parts) * u64::from(microbatches)).min(SINGLE_SUMS_MAX);
        let round = round + single.div_ceil(ROUNDS_MAX);
        Self { round, used: BTreeMap::new() }
    }

    /// Counts one message of a member; `false` if it is one too many.
    pub(super) fn takes(&mut self, now: Millis, from: NodeId) -> bool {
        let used = self.used.entry(from).or_insert(Used { thousandths: 0, at: now });
        let grown = now.since(used.at).saturating_mul(ROUNDS_PER_SECOND * self.round);
        used.thousandths = used.thousandths.saturating_sub(grown).saturating_add(1000);
        used.at = now;
        used.thousandths <= 1000 * ROUNDS_MAX * self.round
    }

    /// We have made a step, or entered a view: everybody may say everything anew.
    pub(super) fn renew(&mut self) {
        self.used.clear();
    }

    /// Our path to `node` is new: it may say everything anew.
    pub(super) fn renew_of(&mut self, node: NodeId) {
        self.used.remove(&node);
    }

    /// Messages that may come between two steps.
    #[cfg(test)]
    pub(super) fn messages_max(&self) -> u64 {
        ROUNDS_MAX * self.round
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_step_calls_for_may_come_many_times_and_a_flood_may_not() {
        let (node, other) = (NodeId([2; 32]), NodeId([3; 32]));
        let mut allowances = Allowances::new(4, 6);
        let max = allowances.messages_max();
        assert_eq!(max, 16 * (64 + 32 + 12 + 2));
        // Of the largest job not 16.7 million.
        let largest = Allowances::new(4096, 4096).messages_max();
        assert_eq!(largest, 16 * (64 + 8 * 4096 + 2 * 4096) + (256 << 20) / (4 << 10));
        assert!((0..max).all(|_| allowances.takes(Millis(5), node)));
        assert!(!allowances.takes(Millis(5), node) && allowances.takes(Millis(5), other));
        allowances.renew_of(node);
        assert!((0..max).all(|_| allowances.takes(Millis(5), node)));
        allowances.renew();
        // 1,760 a second may come for ever, a fifth more may not.
        assert!((0..60_000).all(|ms| {
            (0..max * ms / 1000 - max * (ms.max(1) - 1) / 1000)
                .all(|_| allowances.takes(Millis(5 + ms), node))
        }));
        let mut goes_on = true;
        for ms in 60_000..90_000 {
            let due = |ms: u64| max * 6 / 5 * ms / 1000;
            goes_on &= (0..due(ms + 1) - due(ms)).all(|_| allowances.takes(Millis(5 + ms), node));
        }
        assert!(!goes_on);
    }
}
