//! Sums that others sent to us as owner of parts, and how they cover a part.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::ids::{Chain, NodeId};
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
    pub(super) microbatches: IndexSet,
    pub(super) base: Chain,
    pub(super) sum: Bytes,
    /// Whether it was found well-formed; decided when it is first used, as the state tells.
    pub(super) checked: bool,
}

/// All received sums by step and part.
#[derive(Debug, Default)]
pub(super) struct ReceivedSums {
    sums: BTreeMap<(u64, u32), Vec<ReceivedSum>>,
}

impl ReceivedSums {
    /// Keeps `sum`. The same set on the same state is the same value, so a second one is dropped. At the
    /// bound, sums outside the cover for `current`, the chain of the step in progress, make room; in a step that has
    /// not begun a sum is dropped and will be asked for.
    pub(super) fn insert(
        &mut self,
        step: u64,
        part: u32,
        sum: ReceivedSum,
        microbatches: u32,
        current: Option<Chain>,
    ) {
        let sums = self.sums.entry((step, part)).or_default();
        let known = |old: &ReceivedSum| old.microbatches == sum.microbatches && old.base == sum.base;
        if sums.iter().any(known) {
            return;
        }
        if sums.len() >= 2 * microbatches as usize + SUMS_EXTRA_MAX {
            let Some(chain) = current else { return };
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
    }

    /// Removes sums for `base` that are not `well_formed` and returns their senders.
    pub(super) fn check(
        &mut self,
        step: u64,
        part: u32,
        base: Chain,
        well_formed: impl Fn(&[u8]) -> bool,
    ) -> Vec<NodeId> {
        let mut refused = Vec::new();
        if let Some(sums) = self.sums.get_mut(&(step, part)) {
            sums.retain_mut(|sum| {
                if sum.base != base || sum.checked {
                    return true;
                }
                sum.checked = well_formed(&sum.sum);
                if !sum.checked {
                    refused.push(sum.from);
                }
                sum.checked
            });
        }
        refused
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
