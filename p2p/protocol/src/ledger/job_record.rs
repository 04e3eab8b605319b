//! What the ledger knows about a job.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::job_plan::JobPlan;
use super::limits::{COMMITTED_RANGES_MAX, VIEW_CHANGES_MAX};
use crate::ids::{Chain, Digest, Epoch, Incarnation, JobId, Life, NodeId};
use crate::view::{Member, Origin, View};

/// A job from its submission to its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRecord {
    /// The job.
    pub id: JobId,
    /// Its name, for people.
    pub name: String,
    /// Its specification as it was submitted.
    pub spec_toml: String,
    /// Its figures.
    pub plan: JobPlan,
    /// The node where it was submitted.
    pub submitted_by: NodeId,
    /// Its place in the queue, lower first.
    pub order: u64,
    /// Where it stands.
    pub status: JobStatus,
    /// The newest committed view.
    pub view: Option<View>,
    /// Views committed so far.
    pub epochs: u64,
    /// The newest view changes, oldest first, at most [`VIEW_CHANGES_MAX`].
    pub view_changes: Vec<ViewChange>,
    /// Members of the newest view that have the state, with the tenure in which they got it. Founders are here from
    /// the start: no step can pass them before they have loaded the origin, because every fold waits for their word.
    pub synced: BTreeSet<(Life, Epoch)>,
    /// Committed steps, contiguous from step 0, oldest first, at most [`COMMITTED_RANGES_MAX`].
    pub committed: Vec<CommittedRange>,
    /// Checkpoints that can be restored, oldest first, at most `plan.checkpoint_keep`.
    pub checkpoints: Vec<CheckpointEntry>,
    /// Micro-batches of the step in progress that failed once.
    pub failed_microbatches: Vec<MicrobatchFailure>,
    /// What came out, of a job that is done.
    pub result: Option<JobResult>,
}

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum JobStatus {
    /// Waits for its turn or for nodes.
    Queued,
    /// Has a view.
    Running,
    /// Did all its steps.
    Done,
    /// Was given up.
    Failed {
        /// Why, in words.
        reason: String,
    },
    /// Was ended by a person.
    Cancelled {
        /// The node where that was asked for.
        by: NodeId,
    },
}

/// A committed view, for the history of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewChange {
    /// The number of the view.
    pub epoch: Epoch,
    /// Its lineage.
    pub incarnation: Incarnation,
    /// Who took part.
    pub members: Vec<Member>,
    /// Why it was committed, as `brave-otter-1c died: connection refused`.
    pub reason: String,
    /// Stable steps when it was committed.
    pub stable_step: u64,
}

/// Steps `from_step..to_step`, each applied by every member of one view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommittedRange {
    /// Steps applied before the first step of the range.
    pub from_step: u64,
    /// Steps applied after the last one.
    pub to_step: u64,
    /// The view whose members all applied `to_step`.
    pub epoch: Epoch,
    /// Chain of the state after `to_step` steps.
    pub chain: Chain,
}

/// A stable state on the disks of some nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointEntry {
    /// Steps applied.
    pub step: u64,
    /// Chain of that state.
    pub chain: Chain,
    /// Digest of that state.
    pub digest: Digest,
    /// Its length, bytes.
    pub bytes: u64,
    /// Nodes that hold it.
    pub holders: BTreeSet<NodeId>,
}

/// A micro-batch that gave no finite gradient.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MicrobatchFailure {
    /// Steps applied before it.
    pub step: u64,
    /// Its index within the step.
    pub microbatch: u32,
    /// Ids of its samples, the first [`super::limits::FAILED_SAMPLES_MAX`] of them.
    pub samples: Vec<u32>,
    /// The node that computed it.
    pub node: NodeId,
    /// What was wrong, in words.
    pub reason: String,
    /// The newest view when this was recorded, or a later one that left the micro-batch where it failed although others
    /// could compute it. A failure in a view after it is the second one.
    pub epoch: Epoch,
}

/// What came out of a job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobResult {
    /// Steps applied.
    pub step: u64,
    /// Chain of the final state.
    pub chain: Chain,
    /// Digest of the final state.
    pub digest: Digest,
    /// Mean loss of the last step; not a number where no member reported it.
    pub loss: f64,
    /// Right answers on the held-out samples.
    pub test_correct: u64,
    /// Number of held-out samples.
    pub test_total: u64,
}

impl JobRecord {
    /// Whether the job will never run again.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        !matches!(self.status, JobStatus::Queued | JobStatus::Running)
    }

    /// Steps committed so far and the chain after them.
    #[must_use]
    pub fn committed_to(&self) -> (u64, Chain) {
        self.committed.last().map_or((0, self.plan.genesis), |range| (range.to_step, range.chain))
    }

    /// Whether `member` was recorded to have the state.
    #[must_use]
    pub fn is_synced(&self, member: &Member) -> bool {
        self.synced.contains(&(member.life(), member.tenure))
    }

    /// The record of an earlier failure of the same micro-batch of the same step.
    #[must_use]
    pub fn failure_of(&self, step: u64, microbatch: u32) -> Option<&MicrobatchFailure> {
        self.failed_microbatches
            .iter()
            .find(|failure| failure.step == step && failure.microbatch == microbatch)
    }

    /// Adds a range behind the others; neighbours of one epoch become one.
    pub(super) fn push_committed(&mut self, range: CommittedRange) {
        match self.committed.last_mut() {
            Some(last) if last.epoch == range.epoch => {
                last.to_step = range.to_step;
                last.chain = range.chain;
            }
            _ => self.committed.push(range),
        }
        if self.committed.len() > COMMITTED_RANGES_MAX {
            let oldest = self.committed.remove(0);
            self.committed[0].from_step = oldest.from_step;
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
        self.failed_microbatches.clear();
    }

    /// Adds a view to the history.
    pub(super) fn push_view_change(&mut self, change: ViewChange) {
        if self.view_changes.len() >= VIEW_CHANGES_MAX {
            self.view_changes.remove(0);
        }
        self.view_changes.push(change);
    }
}
