//! The past of a job: what is added to it, taken back, and forgotten to stay within limits.

use super::limits::{COMMITTED_RANGES_MAX, EVALUATIONS_MAX, EVALUATIONS_SHRUNK_MAX, VIEW_CHANGES_MAX};
use super::{CommittedRange, EvaluationEntry, JobRecord, ViewChange};
use crate::ids::Epoch;
use crate::view::Origin;

impl JobRecord {
    /// Adds a range behind the others; neighbours of one epoch become one.
    pub(super) fn push_committed(&mut self, range: CommittedRange) {
        match self.committed.last_mut() {
            Some(last) if last.epoch == range.epoch => {
                last.to_step = range.to_step;
                last.chain = range.chain;
            }
            _ => self.committed.push(range),
        }
        self.merge_committed(COMMITTED_RANGES_MAX);
    }

    /// Makes the oldest ranges one, until there are at most `ranges_max`.
    fn merge_committed(&mut self, ranges_max: usize) {
        let surplus = self.committed.len().saturating_sub(ranges_max);
        if surplus > 0 {
            let from_step = self.committed[0].from_step;
            self.committed.drain(..surplus);
            self.committed[0].from_step = from_step;
        }
    }

    /// Takes back to `origin` what is recorded beyond it: a new lineage starts there.
    pub(super) fn return_to(&mut self, origin: &Origin) {
        let (origin_step, origin_chain) = match origin {
            Origin::Seed => (0, self.plan.genesis),
            Origin::Checkpoint { step, chain, .. } => (*step, *chain),
        };
        self.committed.retain(|range| range.from_step < origin_step);
        if let Some(last) = self.committed.last_mut()
            && last.to_step > origin_step
        {
            last.to_step = origin_step;
            last.chain = origin_chain;
        }
        self.checkpoints.retain(|entry| entry.step <= origin_step);
        self.evaluations.retain(|entry| entry.step <= origin_step);
        self.failed_microbatches.clear();
    }

    /// The view that committed the `step`-th step, counted from 1; `None` where the step is not known to be stable, or
    /// where the ranges of several views were made one.
    #[must_use]
    pub fn view_of_step(&self, step: u64) -> Option<&ViewChange> {
        let range = self.committed.iter().find(|range| range.from_step < step && step <= range.to_step)?;
        let view = self.view_changes.iter().find(|change| change.epoch == range.epoch)?;
        // A range that begins before its view was made of several.
        (view.stable_step <= range.from_step).then_some(view)
    }

    /// The same of a step that may be stable without being committed yet, by what the coordinator said: so many are stable, in
    /// that view. All since the last commit are committed in the present one.
    #[must_use]
    pub fn view_of_stable_step(&self, step: u64, (stable, epoch): (u64, Epoch)) -> Option<&ViewChange> {
        let is_due = step > self.committed_to().0 && step <= stable;
        let present = self.view_changes.last().filter(|change| is_due && change.epoch == epoch);
        present.or_else(|| self.view_of_step(step))
    }

    /// Adds a view to the history.
    pub(super) fn push_view_change(&mut self, change: ViewChange) {
        if self.view_changes.len() >= VIEW_CHANGES_MAX {
            self.view_changes.remove(0);
        }
        self.view_changes.push(change);
    }

    /// Adds an evaluation behind the others. Beyond the limit one goes whose neighbours are closest to each other, so the
    /// rest stay evenly spread; the first and the newest stay.
    pub(super) fn push_evaluation(&mut self, entry: EvaluationEntry) {
        self.evaluations.push(entry);
        self.thin_evaluations(EVALUATIONS_MAX);
    }

    fn thin_evaluations(&mut self, entries_max: usize) {
        while self.evaluations.len() > entries_max.max(2) {
            let gaps = self.evaluations.windows(3).map(|three| three[2].step - three[0].step);
            let closest = gaps.enumerate().min_by_key(|(position, gap)| (*gap, *position));
            let Some((position, _)) = closest else { return };
            self.evaluations.remove(position + 1);
        }
    }

    /// Keeps what is needed to go on and a sketch of the past.
    pub(super) fn shrink_history(&mut self) {
        let surplus = self.view_changes.len().saturating_sub(1);
        self.view_changes.drain(..surplus);
        self.merge_committed(1);
        let surplus = self.checkpoints.len().saturating_sub(1);
        self.checkpoints.drain(..surplus);
        self.thin_evaluations(EVALUATIONS_SHRUNK_MAX);
    }
}
