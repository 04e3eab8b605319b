//! What happens in the swarm, for people and programs that watch it.

use serde::{Deserialize, Serialize};

use super::node::NodeRef;

/// Something that happened, as this daemon saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventLine {
    /// When this daemon saw it, RFC 3339 in UTC with milliseconds.
    pub at: String,
    /// What kind of thing.
    pub event: EventKind,
    /// In words.
    pub message: String,
    /// The node that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<NodeRef>,
    /// Id of the job that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
    /// Stable steps of that job then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<u64>,
}

/// What kind of thing happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// A node registered in the ledger, for the first time or as a new process.
    NodeJoined,
    /// A node was not heard of any more.
    NodeDown,
    /// A node was heard of again.
    NodeUp,
    /// A node left for good.
    NodeLeft,
    /// A node is to take no more work.
    NodeDraining,
    /// A node may take work again.
    NodeUndrained,
    /// A node is kept out of a job; the message says why.
    NodeKeptOut,
    /// Another coordinator was elected.
    CoordinatorElected,
    /// This node's ledger is another council's than before: a majority was lost, or two councils met.
    CouncilChanged,
    /// The state that only a council which ended had committed was put on record.
    BranchKept,
    /// A job was submitted.
    JobSubmitted,
    /// A job was refused at its check.
    JobRefused,
    /// A job has its first view.
    JobStarted,
    /// A job has another view.
    ViewChanged,
    /// A job has a checkpoint.
    Checkpoint,
    /// A node holds a checkpoint that others held before.
    CheckpointCopied,
    /// A node that held a checkpoint does not have it whole any more.
    CheckpointLost,
    /// A node sent bytes that were not what their name says.
    ChunkRefused,
    /// A chunk on a node's disk is damaged.
    ChunkDamaged,
    /// A damaged chunk was got again from another node.
    ChunkReplaced,
    /// A member of a job sent what no honest one does.
    NodeMisbehaved,
    /// A job was tested on the held-out samples.
    Evaluated,
    /// A micro-batch of a job gave no usable gradient; another node tries it.
    MicrobatchFailed,
    /// A job is to pause, and finishes what it has begun.
    JobPausing,
    /// A job pauses.
    JobPaused,
    /// A job goes on.
    JobResumed,
    /// A job was taken back to an earlier checkpoint.
    JobRolledBack,
    /// All steps of a job are done.
    JobFinished,
    /// A job was stopped by an error.
    JobFailed,
    /// A job was stopped by a user.
    JobCancelled,
    /// Something of a newer daemon.
    #[serde(other)]
    Other,
}

impl EventKind {
    /// Its word, as in JSON with spaces.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::NodeJoined => "node joined",
            Self::NodeDown => "node down",
            Self::NodeUp => "node up",
            Self::NodeLeft => "node left",
            Self::NodeDraining => "node draining",
            Self::NodeUndrained => "node undrained",
            Self::NodeKeptOut => "node kept out",
            Self::CoordinatorElected => "coordinator elected",
            Self::CouncilChanged => "council changed",
            Self::BranchKept => "branch kept",
            Self::JobSubmitted => "job submitted",
            Self::JobRefused => "job refused",
            Self::JobStarted => "job started",
            Self::ViewChanged => "view changed",
            Self::Checkpoint => "checkpoint",
            Self::CheckpointCopied => "checkpoint copied",
            Self::CheckpointLost => "checkpoint lost",
            Self::ChunkRefused => "chunk refused",
            Self::ChunkDamaged => "chunk damaged",
            Self::ChunkReplaced => "chunk replaced",
            Self::NodeMisbehaved => "node misbehaved",
            Self::Evaluated => "evaluated",
            Self::MicrobatchFailed => "micro-batch failed",
            Self::JobPausing => "job pausing",
            Self::JobPaused => "job paused",
            Self::JobResumed => "job resumed",
            Self::JobRolledBack => "job rolled back",
            Self::JobFinished => "job finished",
            Self::JobFailed => "job failed",
            Self::JobCancelled => "job cancelled",
            Self::Other => "other",
        }
    }
}
