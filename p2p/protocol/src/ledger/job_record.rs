//! What the ledger knows about a job.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::job_plan::JobPlan;
use crate::ids::{Chain, Digest, Epoch, Incarnation, JobId, Life, ManifestId, NodeId};
use crate::view::{Member, View};
use crate::wire::control::EvaluationTotals;

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
    /// Digest of its data as the submitting node found it. Nodes that found other data do not take part.
    pub data_digest: [u8; 32],
    /// The imported state of step 0, if there is one; without it the seed makes that state.
    pub initial: Option<CheckpointEntry>,
    /// The node where it was submitted.
    pub submitted_by: NodeId,
    /// Index in the council's log of its submission: who registered later finds no fault with it.
    pub submitted_index: u64,
    /// Its place in the queue, lower first.
    pub order: u64,
    /// Where it stands.
    pub status: JobStatus,
    /// The node where a pause of the running job was asked for; it halts at the border of a step.
    pub pausing: Option<NodeId>,
    /// The newest committed view; none once the job has halted.
    pub view: Option<View>,
    /// The epoch of the newest view, zero before the first.
    pub epochs: u64,
    /// The newest view changes, oldest first, at most [`super::limits::VIEW_CHANGES_MAX`].
    pub view_changes: Vec<ViewChange>,
    /// Members of the newest view that have the state, with the tenure in which they got it. Founders are here from
    /// the start: no step can pass them before they have loaded the origin, because every fold waits for their word.
    pub synced: BTreeSet<(Life, Epoch)>,
    /// Committed steps, contiguous from step 0, oldest first, at most
    /// [`super::limits::COMMITTED_RANGES_MAX`].
    pub committed: Vec<CommittedRange>,
    /// Checkpoints that can be restored, oldest first, at most `plan.checkpoint_keep`.
    pub checkpoints: Vec<CheckpointEntry>,
    /// Micro-batches of the step in progress that failed once.
    pub failed_microbatches: Vec<MicrobatchFailure>,
    /// Evaluations of committed steps, oldest first, at most [`super::limits::EVALUATIONS_MAX`]: the newest, and of the
    /// older ones as many as show the course.
    pub evaluations: Vec<EvaluationEntry>,
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
    /// Waits for a person to resume it.
    Paused {
        /// The node where the pause was asked for.
        by: NodeId,
    },
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
    /// Never ran, because a node cannot use its data.
    Refused {
        /// The node that noticed.
        by: NodeId,
        /// What is wrong, in words.
        reason: String,
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
    /// Stable steps in the ledger when it was committed; what was stable beyond them is committed in this view.
    pub stable_step: u64,
    /// Who had which micro-batches: runs of (position in `members`, number of micro-batches), in their order.
    pub leases: Vec<(u16, u32)>,
}

impl ViewChange {
    /// The holder of the lease of `microbatch`.
    #[must_use]
    pub fn lease_holder(&self, microbatch: u32) -> Option<NodeId> {
        let mut end = 0u32;
        let (position, _) = self.leases.iter().find(|(_, count)| {
            end = end.saturating_add(*count);
            microbatch < end
        })?;
        self.members.get(usize::from(*position)).map(|member| member.node)
    }
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
    /// Its manifest, which is a function of all this and of the state: the same on every node, however it keeps chunks.
    pub manifest: ManifestId,
    /// Its length, bytes.
    pub bytes: u64,
    /// Nodes that hold it.
    pub holders: BTreeSet<NodeId>,
    /// Nodes that were chosen to hold it too and fetch it from those; none in a command.
    pub assigned: BTreeSet<NodeId>,
}

impl CheckpointEntry {
    /// Everything about it but who holds it.
    #[must_use]
    pub fn state(&self) -> (u64, Chain, Digest, ManifestId, u64) {
        (self.step, self.chain, self.digest, self.manifest, self.bytes)
    }

    pub(super) fn add_holders(&mut self, holders: BTreeSet<NodeId>) {
        self.assigned.retain(|node| !holders.contains(node));
        self.holders.extend(holders);
    }
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

/// What the held-out samples gave after a step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluationEntry {
    /// Steps applied.
    pub step: u64,
    /// The figures.
    pub totals: EvaluationTotals,
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
        !matches!(self.status, JobStatus::Queued | JobStatus::Running | JobStatus::Paused { .. })
    }

    /// Whether it ever had a view.
    #[must_use]
    pub fn has_run(&self) -> bool {
        self.epochs > 0
    }

    /// Epoch and lineage of the newest view, the one that was taken away included; zero before the first.
    #[must_use]
    pub fn newest_epoch(&self) -> (Epoch, Incarnation) {
        let incarnation = self.view_changes.last().map_or(Incarnation(0), |change| change.incarnation);
        (Epoch(self.epochs), incarnation)
    }

    /// Recorded states that a lineage can start from, newest first; none if it starts from the seed.
    pub fn origins(&self) -> impl Iterator<Item = &CheckpointEntry> {
        self.checkpoints.iter().rev().chain(&self.initial)
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
}
