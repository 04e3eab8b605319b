//! Sums that others sent to us as owner of parts, and how they cover a part.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::pace::EARLY_BYTES_MAX;
use crate::ids::{Chain, Epoch, NodeId};
use crate::index_set::IndexSet;

/// Steps with sums kept at most: the step in progress, the next, and for a joiner, which does not know where it will
/// start, one more.
const STEPS_KEPT_MAX: usize = 3;

/// Sums kept for a part beyond two for each micro-batch: room for the cases of small jobs. A cover needs at most one for
/// each micro-batch.
const SUMS_EXTRA_MAX: usize = 16;

/// Sums of one member that are kept for a part of the step in progress, where sums are too long to be sent one by one: its lease
/// is one, and each view that interrupts the step may make it one more. Of a step that has not begun one is.
const LONG_SUMS_OF_ONE_MAX: usize = 4;

/// One received sum.
#[derive(Clone, Debug)]
pub(super) struct ReceivedSum {
    pub(super) from: NodeId,
    /// The epoch in which it came.
    pub(super) epoch: Epoch,
    pub(super) microbatches: IndexSet,
    pub(super) base: Chain,
    /// Well formed.
    pub(super) sum: Bytes,
}

/// What became of a sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kept {
    /// It is kept, or another one over the same micro-batches is, or there is no room.
    Well,
    /// It is not kept: its sender has sent another one over the same micro-batches in the same epoch.
    Contradicts,
}

/// All received sums by step and part.
#[derive(Debug)]
pub(super) struct ReceivedSums {
    sums: BTreeMap<(u64, u32), Vec<ReceivedSum>>,
    /// Sums kept for a part of a step.
    sums_max: usize,
    /// Bytes of one member that are kept for a part of a step, of however many sums.
    bytes_of_one: usize,
}

impl ReceivedSums {
    /// Nothing of a job with so many parts and micro-batches.
    pub(super) fn new(parts: u32, microbatches: u32) -> Self {
        let bytes_of_one = EARLY_BYTES_MAX / u64::from(parts.max(1));
        Self {
            sums: BTreeMap::new(),
            sums_max: 2 * microbatches as usize + SUMS_EXTRA_MAX,
            bytes_of_one: usize::try_from(bytes_of_one).unwrap_or(usize::MAX),
        }
    }

    /// Keeps `sum`. One value for a set on a state is enough, so a second one is dropped: unlike processors compute different
    /// ones, and so does a member that had lost its work and computes it again in a later epoch. At the
    /// bound, sums outside the cover for `current`, the chain of the step in progress, make room, and at that of bytes the
    /// others of the same sender; in a step that has not begun a sum is dropped and will be asked for.
    pub(super) fn insert(&mut self, step: u64, part: u32, sum: ReceivedSum, current: Option<Chain>) -> Kept {
        let (sums_max, bytes_of_one) = (self.sums_max, self.bytes_of_one);
        let sums = self.sums.entry((step, part)).or_default();
        let known = |old: &&ReceivedSum| old.microbatches == sum.microbatches && old.base == sum.base;
        if let Some(old) = sums.iter().find(known) {
            let is_of_one = (old.from, old.epoch) == (sum.from, sum.epoch);
            return if is_of_one && old.sum != sum.sum { Kept::Contradicts } else { Kept::Well };
        }
        let (from, bytes) = (sum.from, sum.sum.len());
        let long_max = if current.is_some() { LONG_SUMS_OF_ONE_MAX } else { 1 };
        let bytes_max = bytes_of_one.max(long_max.saturating_mul(bytes));
        let is_too_much = |sums: &[ReceivedSum]| bytes_of(sums, from).saturating_add(bytes) > bytes_max;
        if sums.len() >= sums_max || is_too_much(sums) {
            let Some(chain) = current else { return Kept::Well };
            if sums.len() >= sums_max {
                retain_cover(sums, chain);
            }
            if is_too_much(sums) {
                // It will be asked for all of it at once. What others sent stays: they are not asked twice.
                sums.retain(|old| old.from != from);
            }
        }
        sums.push(sum);
        let lowest = self.steps().next().filter(|_| self.steps().nth(STEPS_KEPT_MAX).is_some());
        if let Some(lowest) = lowest {
            self.sums.retain(|(step, _), _| *step != lowest);
        }
        Kept::Well
    }

    /// Steps with sums, ascending. A step may have thousands of parts.
    fn steps(&self) -> impl Iterator<Item = u64> + '_ {
        let after = |low: (u64, u32)| self.sums.range(low..).next().map(|((step, _), _)| *step);
        std::iter::successors(after((0, 0)), move |step| after((step.checked_add(1)?, 0)))
    }

    /// Disjoint sums for `base`, the largest first, and the union of their sets. Adding a sum that is
    /// disjoint from a cover leaves the rest of the cover as it is, so asking for exactly what misses ends.
    pub(super) fn cover(&self, step: u64, part: u32, base: Chain) -> (Vec<Bytes>, IndexSet) {
        let mut covered = IndexSet::new();
        let mut chosen = Vec::new();
        if let Some(sums) = self.sums.get(&(step, part)) {
            for index in cover_indices(sums, base) {
                covered.extend_from(&sums[index].microbatches);
                chosen.push(sums[index].sum.clone());
            }
        }
        (chosen, covered)
    }

    /// Whether the sum over exactly `microbatches` has come.
    pub(super) fn has(&self, step: u64, part: u32, base: Chain, microbatches: &IndexSet) -> bool {
        let same = |sum: &ReceivedSum| sum.base == base && sum.microbatches == *microbatches;
        self.sums.get(&(step, part)).is_some_and(|sums| sums.iter().any(same))
    }

    /// Sums kept.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.sums.values().map(Vec::len).sum()
    }

    /// Nothing that `node` sent is kept any more.
    pub(super) fn remove_of(&mut self, node: NodeId) {
        self.sums.values_mut().for_each(|sums| sums.retain(|sum| sum.from != node));
    }

    /// The part has its result.
    pub(super) fn remove(&mut self, step: u64, part: u32) {
        self.sums.remove(&(step, part));
    }

    /// Those steps are over.
    pub(super) fn remove_before(&mut self, step: u64) {
        self.sums = self.sums.split_off(&(step, 0));
    }

    /// Nothing of it counts any more.
    pub(super) fn clear(&mut self) {
        self.sums.clear();
    }
}

fn bytes_of(sums: &[ReceivedSum], from: NodeId) -> usize {
    sums.iter().filter(|sum| sum.from == from).map(|sum| sum.sum.len()).sum()
}

fn retain_cover(sums: &mut Vec<ReceivedSum>, chain: Chain) {
    let cover: BTreeSet<usize> = cover_indices(sums, chain).into_iter().collect();
    let mut position = 0;
    sums.retain(|_| {
        position += 1;
        cover.contains(&(position - 1))
    });
}

fn cover_indices(sums: &[ReceivedSum], base: Chain) -> Vec<usize> {
    let mut order: Vec<usize> = (0..sums.len()).filter(|&index| sums[index].base == base).collect();
    order.sort_by_key(|&index| std::cmp::Reverse(sums[index].microbatches.len()));
    let mut covered = IndexSet::new();
    order.retain(|&index| {
        let fits = covered.is_disjoint(&sums[index].microbatches);
        if fits {
            covered.extend_from(&sums[index].microbatches);
        }
        fits
    });
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATE: Chain = Chain([1; 32]);

    fn sum(from: u8, indices: &[u32], bytes: usize) -> ReceivedSum {
        ReceivedSum {
            from: NodeId([from; 32]),
            epoch: Epoch(1),
            microbatches: indices.iter().copied().collect(),
            base: STATE,
            sum: Bytes::from(vec![from; bytes]),
        }
    }

    fn kept(sums: &ReceivedSums) -> Vec<(u8, IndexSet)> {
        sums.sums.values().flatten().map(|sum| (sum.from.0[0], sum.microbatches.clone())).collect()
    }

    #[test]
    fn of_one_member_a_few_long_sums_are_kept_and_the_latest_counts() {
        let few = |indices: &[u32]| indices.iter().copied().collect::<IndexSet>();
        // A part may have one byte, as in a job of very many: any sum is longer.
        let mut sums = ReceivedSums::new(u32::MAX, 1_000);
        assert_eq!(sums.bytes_of_one, 0);
        sums.insert(5, 0, sum(3, &[10, 11], 100), Some(STATE));
        // A larger one overlaps with it: it stays all the same, as nobody asks for it twice.
        sums.insert(5, 0, sum(2, &[10, 20, 21], 100), Some(STATE));
        for index in 0..3 {
            sums.insert(5, 0, sum(2, &[index], 100), Some(STATE));
        }
        assert_eq!(sums.len(), 5);
        sums.insert(5, 0, sum(2, &[3], 100), Some(STATE));
        assert_eq!(kept(&sums), [(3, few(&[10, 11])), (2, few(&[3]))]);
        // Of a step to come one.
        sums.insert(6, 0, sum(2, &[0], 100), None);
        sums.insert(6, 0, sum(2, &[1], 100), None);
        sums.insert(6, 0, sum(3, &[2], 100), None);
        assert_eq!(sums.len(), 4);
    }

    #[test]
    fn short_sums_are_kept_one_by_one() {
        let mut sums = ReceivedSums::new(4, 100);
        for index in 0..100 {
            sums.insert(5, 0, sum(2, &[index], 1 << 12), None);
        }
        assert_eq!(sums.len(), 100);
        let mut sums = ReceivedSums::new(1 << 12, 100);
        for index in 0..100 {
            sums.insert(5, 0, sum(2, &[index], 1 << 12), None);
        }
        assert_eq!(sums.len(), 16, "a 4,096th of 256 MiB");
    }
}
