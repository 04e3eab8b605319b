//! What happens to a job while it is followed.

use serde::{Deserialize, Serialize};

use super::job::{JobResult, JobStatus, LossPoint, Pause};
use super::metric::EvaluationPoint;
use super::node::NodeRef;

/// What happens to a job. A follower first hears [`Self::Progress`] with the present state and last [`Self::Ended`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum FollowEvent {
    /// How far it is, a few times a second.
    Progress {
        /// The job's id.
        job: String,
        /// How it is; `queued` until it has a view.
        status: JobStatus,
        /// Why it waits.
        reason: Option<String>,
        /// Stable steps.
        stable_step: u64,
        /// Steps in all.
        steps: u64,
        /// Mean loss of the last stable step.
        loss: Option<f64>,
        /// Losses of recent stable steps, oldest first; they overlap with those told before rather than leave a gap.
        losses: Vec<LossPoint>,
        /// Epoch of its view.
        epoch: u64,
        /// Members of its view.
        members: Vec<NodeRef>,
        /// Whether it is queued and the nodes have yet to check that they can run it.
        #[serde(default)]
        checking: bool,
        /// Learning rate of the last stable step.
        #[serde(default)]
        learning_rate: Option<f64>,
        /// Norm of the gradient of the last stable step, before clipping.
        #[serde(default)]
        gradient_norm: Option<f64>,
        /// What the held-out samples said last.
        #[serde(default)]
        evaluation: Option<EvaluationPoint>,
        /// Who paused it, while it pauses or is paused.
        #[serde(default)]
        pause: Option<Pause>,
    },
    /// A new view was committed.
    ViewChanged {
        /// The job's id.
        job: String,
        /// Its epoch.
        epoch: u64,
        /// Stable steps then, as far as known.
        step: u64,
        /// Why, in words.
        reason: String,
        /// Its members.
        members: Vec<NodeRef>,
    },
    /// A checkpoint is in the ledger.
    Checkpoint {
        /// The job's id.
        job: String,
        /// Steps applied.
        step: u64,
        /// Digest of the state.
        digest: String,
    },
    /// A node could not write a checkpoint.
    CheckpointNotWritten {
        /// The job's id.
        job: String,
        /// Steps applied.
        step: u64,
        /// The node.
        node: NodeRef,
        /// Why, in words.
        reason: String,
    },
    /// Nothing will follow.
    Ended {
        /// The job's id.
        job: String,
        /// `finished`, `failed`, `cancelled` or `refused`.
        status: JobStatus,
        /// Why it failed; of a refused job with the node that refused it.
        reason: Option<String>,
        /// The result of a finished job.
        result: Option<JobResult>,
    },
}
