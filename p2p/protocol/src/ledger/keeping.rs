//! Which checkpoints of a job are kept, and why: the newest, those of every so many steps, the best, those that people
//! pinned. The rest are forgotten as newer ones come; nodes delete what the ledger does not name.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::limits::{
    ASIDE_MAX, BEST_KEPT_MAX, CHECKPOINT_EVERY_MS_MAX, NTH_KEPT_MAX, ROLLBACKS_MAX, STEPS_MAX, TESTS_KEPT_MAX,
};
use super::{CheckpointEntry, JobRecord, Ledger};
use crate::ids::{Incarnation, JobId, ManifestId, NodeId};
use crate::view::Origin;
use crate::wire::control::EvaluationTotals;

/// What a job asks for beside the newest checkpoints, whose number is in its plan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeepRules {
    /// Time from one checkpoint to the next, ms, by the coordinator's clock; 0 where steps alone decide.
    pub every_ms: u64,
    /// The first checkpoint in each stretch of so many steps is kept; 0 for none.
    pub nth_steps: u64,
    /// So many with the best tests are kept.
    pub best: u32,
    /// What is the best.
    pub best_by: BestBy,
}

/// What makes a test better than another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum BestBy {
    /// A lower mean loss over the held-out samples.
    #[default]
    Loss,
    /// More right answers.
    Accuracy,
}

/// A job taken back to an earlier state by a person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rollback {
    /// The node where that was asked for.
    pub by: NodeId,
    /// Steps that were committed.
    pub from_step: u64,
    /// Steps that are.
    pub to_step: u64,
    /// The lineage that was given up; the next one begins at `to_step`.
    pub incarnation: Incarnation,
}

/// What is known of a job's checkpoints beside the list of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Keeping {
    /// What the job asked for.
    pub rules: KeepRules,
    /// Steps whose checkpoint is kept until it is unpinned, and where that was asked for. At most
    /// [`super::limits::PINS_MAX`].
    pub pins: BTreeMap<u64, NodeId>,
    /// What tests gave after steps whose checkpoints are here or yet to come, where the best are kept. At most
    /// [`super::limits::TESTS_KEPT_MAX`].
    pub tests: BTreeMap<u64, EvaluationTotals>,
    /// Pinned checkpoints of lineages that were given up: kept, and no lineage starts from them. At most
    /// [`super::limits::ASIDE_MAX`], in the order of giving up.
    pub aside: Vec<CheckpointEntry>,
    /// When people took the job back, oldest first, at most [`super::limits::ROLLBACKS_MAX`], the newest.
    pub rollbacks: Vec<Rollback>,
    /// Steps after which members save because it is time, ascending, at most [`super::limits::DUE_SAVES_MAX`], the newest.
    pub due: Vec<u64>,
}

/// Why a checkpoint is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeptBecause {
    /// It is one of the newest.
    Newest,
    /// It is the first of its stretch of steps.
    Nth,
    /// Its test is one of the best.
    Best,
    /// Somebody pinned it.
    Pinned,
}

impl KeepRules {
    /// The figure that is out of its range, and the range in words.
    #[must_use]
    pub fn violation(&self) -> Option<&'static str> {
        let checks = [
            (
                self.every_ms <= CHECKPOINT_EVERY_MS_MAX,
                "the time between checkpoints must be at most 30 days",
            ),
            (self.nth_steps <= STEPS_MAX, "steps between checkpoints that are kept must be at most 2^40"),
            (self.best <= BEST_KEPT_MAX, "the best checkpoints to keep must be at most 16"),
        ];
        checks.into_iter().find(|(holds, _)| !holds).map(|(_, sentence)| sentence)
    }

    /// The better of two tests first.
    fn compare(&self, one: &EvaluationTotals, other: &EvaluationTotals) -> std::cmp::Ordering {
        let share = |one: &EvaluationTotals, other: &EvaluationTotals| {
            u128::from(one.correct) * u128::from(other.total)
        };
        match self.best_by {
            BestBy::Loss => one.loss.total_cmp(&other.loss),
            BestBy::Accuracy => share(other, one).cmp(&share(one, other)),
        }
    }
}

impl Keeping {
    /// Of checkpoints after `steps`, ascending, those that are kept if the newest `keep` are.
    #[must_use]
    pub fn kept(&self, steps: &[u64], keep: usize) -> BTreeMap<u64, BTreeSet<KeptBecause>> {
        let mut kept: BTreeMap<u64, BTreeSet<KeptBecause>> = BTreeMap::new();
        let mut keep_step = |step: u64, why| kept.entry(step).or_default().insert(why);
        for step in steps.iter().rev().take(keep) {
            keep_step(*step, KeptBecause::Newest);
        }
        if self.rules.nth_steps > 0 {
            let mut begun = BTreeSet::from([0]);
            let first = steps.iter().filter(|step| begun.insert(**step / self.rules.nth_steps));
            let first: Vec<u64> = first.copied().collect();
            for step in first.iter().rev().take(NTH_KEPT_MAX) {
                keep_step(*step, KeptBecause::Nth);
            }
        }
        let mut tested: Vec<(u64, &EvaluationTotals)> =
            steps.iter().filter_map(|step| Some((*step, self.tests.get(step)?))).collect();
        tested.sort_by(|one, other| self.rules.compare(one.1, other.1).then(one.0.cmp(&other.0)));
        for (step, _) in tested.iter().take(self.rules.best as usize) {
            keep_step(*step, KeptBecause::Best);
        }
        for step in steps.iter().filter(|step| self.pins.contains_key(step)) {
            keep_step(*step, KeptBecause::Pinned);
        }
        kept
    }

    /// Forgets what belongs to no checkpoint any more; `newest` is the step of the newest.
    fn forget(&mut self, is_kept: impl Fn(u64) -> bool, newest: u64) {
        self.tests.retain(|step, _| *step > newest || is_kept(*step));
        while self.tests.len() > TESTS_KEPT_MAX {
            self.tests.pop_first();
        }
        let aside: BTreeSet<u64> = self.aside.iter().map(|entry| entry.step).collect();
        self.pins.retain(|step, _| is_kept(*step) || aside.contains(step));
    }

    /// A node lost its copy of what was set aside of this step, or all did.
    pub(super) fn lose_aside(&mut self, step: u64, holder: Option<NodeId>) {
        for entry in self.aside.iter_mut().filter(|entry| entry.step == step) {
            entry.holders.retain(|node| holder.is_some_and(|holder| holder != *node));
        }
        self.aside.retain(|entry| !entry.holders.is_empty());
    }

    pub(super) fn note_rollback(&mut self, rollback: Rollback) {
        if self.rollbacks.len() >= ROLLBACKS_MAX {
            self.rollbacks.remove(0);
        }
        self.rollbacks.push(rollback);
    }
}

impl Ledger {
    /// What is known of the checkpoints of `job` beside the list of them.
    #[must_use]
    pub fn keeping_of(&self, job: JobId) -> Keeping {
        self.keeping.get(&job).cloned().unwrap_or_default()
    }

    /// The checkpoints of `job` that its rules keep, those of step 0 left out; `keep` in the place of its plan's number.
    #[must_use]
    pub fn kept(&self, job: &JobRecord, keep: Option<u32>) -> BTreeMap<u64, BTreeSet<KeptBecause>> {
        let steps: Vec<u64> = job.checkpoints.iter().map(|entry| entry.step).collect();
        self.kept_of(job.id, &steps, keep.unwrap_or(job.plan.checkpoint_keep))
    }

    /// Whether a checkpoint after `step` is one that the rules keep, or would be if it were on record.
    #[must_use]
    pub fn would_keep(&self, job: &JobRecord, step: u64) -> bool {
        let mut steps: Vec<u64> = job.checkpoints.iter().map(|entry| entry.step).collect();
        if let Err(position) = steps.binary_search(&step) {
            steps.insert(position, step);
        }
        self.kept_of(job.id, &steps, job.plan.checkpoint_keep).contains_key(&step)
    }

    fn kept_of(&self, job: JobId, steps: &[u64], keep: u32) -> BTreeMap<u64, BTreeSet<KeptBecause>> {
        match self.keeping.get(&job) {
            Some(keeping) => keeping.kept(steps, keep as usize),
            None => Keeping::default().kept(steps, keep as usize),
        }
    }

    /// Every step of `job` whose checkpoint nodes keep on their disks, ascending.
    #[must_use]
    pub fn steps_held(&self, job: &JobRecord) -> Vec<u64> {
        let aside = self.keeping.get(&job.id).into_iter().flat_map(|keeping| &keeping.aside);
        let entries = job.initial.iter().chain(&job.checkpoints).chain(aside);
        entries.map(|entry| entry.step).collect::<BTreeSet<u64>>().into_iter().collect()
    }

    /// Manifests of all checkpoints that people pinned, those set aside too.
    #[must_use]
    pub fn manifests_pinned(&self) -> BTreeSet<ManifestId> {
        let of_job = |(job, keeping): (&JobId, &Keeping)| -> Vec<ManifestId> {
            let entries = self.jobs.get(job).into_iter().flat_map(|record| &record.checkpoints);
            let pinned = entries.filter(|entry| keeping.pins.contains_key(&entry.step));
            pinned.chain(&keeping.aside).map(|entry| entry.manifest).collect()
        };
        self.keeping.iter().flat_map(of_job).collect()
    }

    /// Forgets what the rules do not keep.
    pub(super) fn retain_checkpoints(&mut self, job: JobId, keep: Option<u32>) {
        let Some(record) = self.jobs.get(&job) else { return };
        let kept = self.kept(record, keep);
        let Some(record) = self.jobs.get_mut(&job) else { return };
        record.checkpoints.retain(|entry| kept.contains_key(&entry.step));
        let newest = record.checkpoints.last().map_or(0, |entry| entry.step);
        if let Some(keeping) = self.keeping.get_mut(&job) {
            keeping.forget(|step| kept.contains_key(&step), newest);
        }
    }

    /// What a test gave, for the choice of the best.
    pub(super) fn note_test(&mut self, job: JobId, step: u64, totals: EvaluationTotals) {
        if let Some(keeping) = self.keeping.get_mut(&job).filter(|keeping| keeping.rules.best > 0) {
            keeping.tests.insert(step, totals);
            self.retain_checkpoints(job, None);
        }
    }

    /// Takes a job back to `origin`. Pinned checkpoints beyond it are set aside, all others forgotten.
    pub(super) fn return_job(&mut self, job: JobId, origin: &Origin) {
        let Some(record) = self.jobs.get_mut(&job) else { return };
        let origin_step = match origin {
            Origin::Seed => 0,
            Origin::Checkpoint { step, .. } => *step,
        };
        if let Some(keeping) = self.keeping.get_mut(&job) {
            let pinned = record
                .checkpoints
                .iter()
                .filter(|entry| entry.step > origin_step && keeping.pins.contains_key(&entry.step));
            keeping.aside.extend(pinned.cloned());
            let surplus = keeping.aside.len().saturating_sub(ASIDE_MAX);
            keeping.aside.drain(..surplus);
            keeping.tests.retain(|step, _| *step <= origin_step);
            keeping.due.clear();
        }
        record.return_to(origin);
    }

    /// A checkpoint that was set aside is on record again where the new lineage came to the same state.
    pub(super) fn take_from_aside(&mut self, job: JobId, entry: &CheckpointEntry) {
        if let Some(keeping) = self.keeping.get_mut(&job) {
            let same = |other: &CheckpointEntry| {
                (other.step, other.chain, other.digest) == (entry.step, entry.chain, entry.digest)
            };
            keeping.aside.retain(|other| !same(other));
        }
    }
}
