//! Sums that others sent to us as owner of parts, and how they cover a part.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::ids::{Chain, Epoch, NodeId};
use crate::index_set::IndexSet;

/// Steps with sums kept at most: the step in progress, the next, and for a joiner, which does not know where it will
/// start, one more.
const STEPS_KEPT_MAX: usize = 3;

/// Sums kept for a part beyond two for each micro-batch: room for the cases of small jobs. A cover needs at most one for
/// each micro-batch.
const SUMS_EXTRA_MAX: usize = 16;

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
#[derive(Debug, Default)]
pub(super) struct ReceivedSums {
    sums: BTreeMap<(u64, u32), Vec<ReceivedSum>>,
}

impl ReceivedSums {
    /// Keeps `sum`. One value for a set on a state is enough, so a second one is dropped: unlike processors compute different
    /// ones, and so does a member that had lost its work and computes it again in a later epoch. At the
    /// bound, sums outside the cover for `current`, the chain of the step in progress, make room; in a step that has
    /// not begun a sum is dropped and will be asked for.
    pub(super) fn insert(
        &mut self,
        step: u64,
        part: u32,
        sum: ReceivedSum,
        microbatches: u32,
        current: Option<Chain>,
    ) -> Kept {
        let sums = self.sums.entry((step, part)).or_default();
        let known = |old: &&ReceivedSum| old.microbatches == sum.microbatches && old.base == sum.base;
        if let Some(old) = sums.iter().find(known) {
            let is_of_one = (old.from, old.epoch) == (sum.from, sum.epoch);
            return if is_of_one && old.sum != sum.sum { Kept::Contradicts } else { Kept::Well };
        }
        if sums.len() >= 2 * microbatches as usize + SUMS_EXTRA_MAX {
            let Some(chain) = current else { return Kept::Well };
            let cover = cover_indices(sums, chain);
            let mut position = 0;
            sums.retain(|_| {
                position += 1;
                cover.contains(&(position - 1))
            });
        }
        sums.push(sum);
        let steps: std::collections::BTreeSet<u64> = self.sums.keys().map(|(step, _)| *step).collect();
        if steps.len() > STEPS_KEPT_MAX
            && let Some(lowest) = steps.first()
        {
            self.sums.retain(|(step, _), _| step != lowest);
        }
        Kept::Well
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
