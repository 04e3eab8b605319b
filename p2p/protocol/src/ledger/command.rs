//! What may be proposed to the council.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::data_sets::DataSetRecord;
use super::job_plan::JobPlan;
use super::job_record::{CheckpointEntry, JobResult};
use super::keeping::KeepRules;
use super::limits::LEDGER_COMMAND_BYTES_MAX;
use super::lineage::Branch;
use super::node_record::DrainUntil;
use super::verdicts::Verdict;
use crate::ids::{Chain, CouncilId, Epoch, JobId, Life, ManifestId, NodeId};
use crate::view::View;
use crate::wire::control::{EvaluationTotals, Registration};
use crate::wire::{DecodeError, decode, encode};

/// A change of the ledger. Each is checked when it is applied, whoever proposed it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum LedgerCommand {
    /// Admit a node or take note of its new process.
    RegisterNode {
        /// The node.
        node: NodeId,
        /// What it said about itself.
        registration: Registration,
    },
    /// Forget a node that takes part in nothing. Its seat is never given again.
    ForgetNode {
        /// The node.
        node: NodeId,
    },
    /// Put a job into the queue. The same submission twice is one job.
    SubmitJob {
        /// The job.
        id: JobId,
        /// Its name.
        name: String,
        /// Its specification.
        spec_toml: String,
        /// Its figures.
        plan: JobPlan,
        /// Digest of its data as the submitting node found it.
        data_digest: [u8; 32],
        /// The state of step 0 that the submitting node imported; without one the seed makes it.
        initial: Option<CheckpointEntry>,
        /// The node where it was submitted.
        by: NodeId,
        /// Which of its checkpoints are kept beside the newest, and when time makes one due.
        rules: KeepRules,
    },
    /// End a job without a result.
    CancelJob {
        /// The job.
        job: JobId,
        /// The node where that was asked for.
        by: NodeId,
    },
    /// Take a job out of the queue, or let a running one halt at the border of a step and then wait.
    PauseJob {
        /// The job.
        job: JobId,
        /// The node where that was asked for.
        by: NodeId,
    },
    /// Put a paused job back into the queue, at its old place; one that is only about to pause goes on.
    ResumeJob {
        /// The job.
        job: JobId,
        /// The node where that was asked for.
        by: NodeId,
    },
    /// All members of the newest view, which halts, have stopped at `step` and its state is on record. The job loses
    /// its view: it is paused if that was asked for, and otherwise waits in the queue for nodes that can go on.
    CommitHalt {
        /// The job.
        job: JobId,
        /// The view that halts.
        epoch: Epoch,
        /// Steps applied, all committed.
        step: u64,
        /// Chain of that state.
        chain: Chain,
    },
    /// A node cannot use the data of a job that never ran: end it.
    RefuseJob {
        /// The job.
        job: JobId,
        /// The node that noticed.
        by: NodeId,
        /// What is wrong.
        reason: String,
    },
    /// Take all work away from a node, so that nobody misses it when it is gone.
    DrainNode {
        /// The node.
        node: NodeId,
        /// The node where that was asked for.
        by: NodeId,
        /// Why, as `SIGTERM`.
        reason: String,
        /// What ends it.
        until: DrainUntil,
    },
    /// Give the node work again.
    UndrainNode {
        /// The node.
        node: NodeId,
        /// The node where that was asked for.
        by: NodeId,
    },
    /// What the held-out samples gave after a committed step.
    RecordEvaluation {
        /// The job.
        job: JobId,
        /// Steps applied.
        step: u64,
        /// The figures.
        totals: EvaluationTotals,
    },
    /// Make `view` the newest one of its job.
    CommitView {
        /// The view; its epoch is the previous one plus one.
        view: View,
        /// Why.
        reason: String,
        /// Stable steps known at this time.
        stable_step: u64,
    },
    /// A member of the newest view has the state.
    RecordSynced {
        /// The job.
        job: JobId,
        /// The member's process.
        life: Life,
        /// Its tenure.
        tenure: Epoch,
    },
    /// Steps `from..to` are stable.
    CommitSteps {
        /// The job.
        job: JobId,
        /// Steps committed before.
        from: u64,
        /// Steps committed after.
        to: u64,
        /// The view whose members all applied `to`.
        epoch: Epoch,
        /// Chain after `to` steps.
        chain: Chain,
    },
    /// A stable state is on the disks of `entry.holders`; holders of an entry already there are added to it.
    RecordCheckpoint {
        /// The job.
        job: JobId,
        /// The checkpoint.
        entry: CheckpointEntry,
    },
    /// A checkpoint, or one node's copy of it, is no more.
    DropCheckpoint {
        /// The job.
        job: JobId,
        /// Its step.
        step: u64,
        /// The node that lost its copy; `None` for all.
        holder: Option<NodeId>,
    },
    /// A micro-batch failed for the first time.
    FailMicrobatch {
        /// The job.
        job: JobId,
        /// Steps applied before it.
        step: u64,
        /// Its index within the step.
        microbatch: u32,
        /// Ids of its samples.
        samples: Vec<u32>,
        /// The node that computed it.
        node: NodeId,
        /// What was wrong.
        reason: String,
    },
    /// All steps are done and all members agree on the result.
    FinishJob {
        /// The job.
        job: JobId,
        /// What came out.
        result: JobResult,
    },
    /// The job cannot go on.
    FailJob {
        /// The job.
        job: JobId,
        /// Why.
        reason: String,
    },
    /// Nodes shall fetch a checkpoint from its holders, no others; replaces whoever was to.
    AssignCheckpoint {
        /// The job.
        job: JobId,
        /// Its step.
        step: u64,
        /// The nodes.
        nodes: BTreeSet<NodeId>,
    },
    /// A node found something wrong with a chunk, or with what another one sent. The same again changes nothing.
    RecordVerdict {
        /// Its word.
        verdict: Verdict,
    },
    /// Give some chunks a name. The same again changes nothing.
    AddDataSet {
        /// The name.
        name: String,
        /// What has it.
        record: DataSetRecord,
    },
    /// Forget a data set that no open job needs; nodes then delete it.
    RemoveDataSet {
        /// Its name.
        name: String,
    },
    /// A node holds all of a data set, or no longer does.
    NoteDataHolder {
        /// Its name.
        name: String,
        /// Its manifest.
        manifest: ManifestId,
        /// The node.
        node: NodeId,
        /// Whether it does.
        holds: bool,
    },
    /// Keep a checkpoint until it is unpinned, or no longer for that reason.
    PinCheckpoint {
        /// The job.
        job: JobId,
        /// Its step.
        step: u64,
        /// The node where that was asked for.
        by: NodeId,
        /// Whether it is to be pinned.
        is_pinned: bool,
    },
    /// Forget checkpoints that the job's rules do not keep; nodes then delete them.
    PruneCheckpoints {
        /// The job.
        job: JobId,
        /// How many of the newest to keep; 0 for as many as the job says.
        keep: u32,
        /// The node where that was asked for.
        by: NodeId,
    },
    /// Take a job that is paused or has ended back to one of its checkpoints, or to its beginning. It is paused then.
    RollBack {
        /// The job.
        job: JobId,
        /// Steps applied to that state.
        step: u64,
        /// The node where that was asked for.
        by: NodeId,
    },
    /// A checkpoint of a committed step was brought back from outside; it is pinned, so that it stays.
    ImportCheckpoint {
        /// The job.
        job: JobId,
        /// The checkpoint; its holder is the node that has it.
        entry: CheckpointEntry,
        /// That node.
        by: NodeId,
    },
    /// It is time for a checkpoint: all members save the state after this step, which none has reached yet.
    ScheduleCheckpoint {
        /// The job.
        job: JobId,
        /// The step.
        step: u64,
    },
    /// This council met one that is further and ends here: nothing is applied behind this.
    YieldCouncil {
        /// The other one.
        to: CouncilId,
        /// Samples that it had committed then.
        samples: u64,
    },
    /// Nodes of another council come over: epochs go on above those of its views.
    UniteCouncils {
        /// The range of its epochs.
        range: u64,
    },
    /// A node comes over from another council, without the log of its seat: it gets a seat that promised nothing.
    ReseatNode {
        /// The node.
        node: NodeId,
        /// What it said about itself.
        registration: Registration,
        /// The how-manieth turn of this process.
        turn: u64,
    },
    /// A state that only a council which ended had committed stays on record.
    KeepBranch {
        /// The state.
        branch: Branch,
    },
}

impl LedgerCommand {
    /// The bytes that go into the council's log.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// The command in `bytes`.
    ///
    /// # Errors
    /// When `bytes` is longer than [`LEDGER_COMMAND_BYTES_MAX`] or no command.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode(bytes, LEDGER_COMMAND_BYTES_MAX)
    }

    /// Whether the command in `bytes` is taken along from the end of a log of which nobody can tell any more whether it
    /// was committed: what people asked for and facts are; decisions are not, because the council may have decided
    /// otherwise elsewhere.
    #[must_use]
    pub fn is_kept(bytes: &[u8]) -> bool {
        let decides = |command: &Self| {
            matches!(
                command,
                Self::CommitView { .. }
                    | Self::CommitHalt { .. }
                    | Self::RecordSynced { .. }
                    | Self::FailMicrobatch { .. }
                    | Self::YieldCouncil { .. }
            )
        };
        Self::decode(bytes).is_ok_and(|command| !decides(&command))
    }

    /// The command's name.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::RegisterNode { .. } => "register node",
            Self::ForgetNode { .. } => "forget node",
            Self::SubmitJob { .. } => "submit job",
            Self::CancelJob { .. } => "cancel job",
            Self::PauseJob { .. } => "pause job",
            Self::ResumeJob { .. } => "resume job",
            Self::CommitHalt { .. } => "commit halt",
            Self::RefuseJob { .. } => "refuse job",
            Self::DrainNode { .. } => "drain node",
            Self::UndrainNode { .. } => "undrain node",
            Self::RecordEvaluation { .. } => "record evaluation",
            Self::CommitView { .. } => "commit view",
            Self::RecordSynced { .. } => "record synced",
            Self::CommitSteps { .. } => "commit steps",
            Self::RecordCheckpoint { .. } => "record checkpoint",
            Self::DropCheckpoint { .. } => "drop checkpoint",
            Self::FailMicrobatch { .. } => "fail micro-batch",
            Self::FinishJob { .. } => "finish job",
            Self::FailJob { .. } => "fail job",
            Self::AssignCheckpoint { .. } => "assign checkpoint",
            Self::RecordVerdict { .. } => "record verdict",
            Self::AddDataSet { .. } => "add data set",
            Self::RemoveDataSet { .. } => "remove data set",
            Self::NoteDataHolder { .. } => "note data holder",
            Self::PinCheckpoint { .. } => "pin checkpoint",
            Self::PruneCheckpoints { .. } => "prune checkpoints",
            Self::RollBack { .. } => "roll back",
            Self::ImportCheckpoint { .. } => "import checkpoint",
            Self::ScheduleCheckpoint { .. } => "schedule checkpoint",
            Self::YieldCouncil { .. } => "yield council",
            Self::UniteCouncils { .. } => "unite councils",
            Self::ReseatNode { .. } => "reseat node",
            Self::KeepBranch { .. } => "keep branch",
        }
    }

    /// The job that it is about.
    #[must_use]
    pub fn job(&self) -> Option<JobId> {
        match self {
            Self::RegisterNode { .. }
            | Self::ForgetNode { .. }
            | Self::DrainNode { .. }
            | Self::UndrainNode { .. }
            | Self::RecordVerdict { .. }
            | Self::AddDataSet { .. }
            | Self::RemoveDataSet { .. }
            | Self::NoteDataHolder { .. }
            | Self::YieldCouncil { .. }
            | Self::UniteCouncils { .. }
            | Self::ReseatNode { .. } => None,
            Self::KeepBranch { branch } => Some(branch.job),
            Self::SubmitJob { id, .. } => Some(*id),
            Self::CommitView { view, .. } => Some(view.job),
            Self::CancelJob { job, .. }
            | Self::PauseJob { job, .. }
            | Self::ResumeJob { job, .. }
            | Self::CommitHalt { job, .. }
            | Self::RefuseJob { job, .. }
            | Self::RecordEvaluation { job, .. }
            | Self::RecordSynced { job, .. }
            | Self::CommitSteps { job, .. }
            | Self::RecordCheckpoint { job, .. }
            | Self::DropCheckpoint { job, .. }
            | Self::AssignCheckpoint { job, .. }
            | Self::FailMicrobatch { job, .. }
            | Self::PinCheckpoint { job, .. }
            | Self::PruneCheckpoints { job, .. }
            | Self::RollBack { job, .. }
            | Self::ImportCheckpoint { job, .. }
            | Self::ScheduleCheckpoint { job, .. }
            | Self::FinishJob { job, .. }
            | Self::FailJob { job, .. } => Some(*job),
        }
    }
}
