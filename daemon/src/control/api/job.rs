//! Jobs and their results.

use serde::{Deserialize, Serialize};

use super::checkpoint::CheckpointRow;
use super::drain::KeptOut;
use super::metric::EvaluationPoint;
use super::node::NodeRef;
use super::view::{MemberRow, StepRange, ViewRow, WorkRow};

/// How a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Waits; the reason says for what.
    Queued,
    /// Has a view.
    Running,
    /// Is to pause, and finishes what it has begun.
    Pausing,
    /// Waits until it is resumed.
    Paused,
    /// All steps are stable.
    Finished,
    /// Stopped by an error; the reason says which.
    Failed,
    /// Stopped by a user.
    Cancelled,
    /// Never started: a node found that it cannot run; the reason says which and why.
    Refused,
}

impl JobStatus {
    /// Whether nothing will change any more.
    #[must_use]
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Cancelled | Self::Refused)
    }
}

/// One line of the list of jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobRow {
    /// Id, in hexadecimal.
    pub id: String,
    /// Name.
    pub name: String,
    /// How it is.
    pub status: JobStatus,
    /// Why it waits or failed.
    pub reason: Option<String>,
    /// Stable steps.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// Mean loss of the last stable step.
    pub loss: Option<f64>,
    /// Members of its view.
    pub nodes: u32,
    /// The node it was submitted at.
    pub submitted_by: NodeRef,
    /// Whether it is queued and the nodes have yet to check that they can run it.
    #[serde(default)]
    pub checking: bool,
}

/// Everything about one job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobDetail {
    /// Id, in hexadecimal.
    pub id: String,
    /// Name.
    pub name: String,
    /// How it is.
    pub status: JobStatus,
    /// Why it waits or failed.
    pub reason: Option<String>,
    /// Stable steps.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// Micro-batches per step.
    pub micro_batches: u32,
    /// Mean loss of the last stable step.
    pub loss: Option<f64>,
    /// Mean losses of stable steps, oldest first, as many as the daemon keeps.
    pub losses: Vec<LossPoint>,
    /// The node it was submitted at.
    pub submitted_by: NodeRef,
    /// Lineage of its views.
    pub incarnation: u32,
    /// Epoch of its newest view.
    pub epoch: u64,
    /// Members of that view.
    pub members: Vec<MemberRow>,
    /// Live nodes that the view has no micro-batch for.
    pub spares: Vec<NodeRef>,
    /// What each process did, the gone ones too.
    pub work: Vec<WorkRow>,
    /// All views, oldest first.
    pub views: Vec<ViewRow>,
    /// Checkpoints in the ledger, oldest first.
    pub checkpoints: Vec<CheckpointRow>,
    /// Ranges of stable steps by view, oldest first.
    pub committed: Vec<StepRange>,
    /// Numeric classes in the newest view.
    pub numeric_classes: Vec<NumericClassRow>,
    /// What the user should know, as that a view mixed numeric classes.
    pub warnings: Vec<String>,
    /// The result of a finished job.
    pub result: Option<JobResult>,
    /// The job file as it was submitted.
    pub spec_toml: String,
    /// Whether it is queued and the nodes have yet to check that they can run it.
    #[serde(default)]
    pub checking: bool,
    /// What the held-out samples said on the way, oldest first.
    #[serde(default)]
    pub evaluations: Vec<EvaluationPoint>,
    /// Learning rate of the last stable step.
    #[serde(default)]
    pub learning_rate: Option<f64>,
    /// Norm of the gradient of the last stable step, before clipping.
    #[serde(default)]
    pub gradient_norm: Option<f64>,
    /// Who paused it, while it pauses or is paused.
    #[serde(default)]
    pub pause: Option<Pause>,
    /// Who refused it, and why.
    #[serde(default)]
    pub refusal: Option<Refusal>,
    /// What it trains on.
    #[serde(default)]
    pub data: Option<JobData>,
    /// What it started from instead of fresh parameters, in words: digest of the model file.
    #[serde(default)]
    pub from: Option<String>,
    /// Nodes that it does without, and why.
    #[serde(default)]
    pub kept_out: Vec<KeptOut>,
}

/// That a job is to pause.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pause {
    /// The node at which it was asked for.
    pub by: NodeRef,
}

/// That a job cannot run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The node that found it.
    pub node: NodeRef,
    /// Why.
    pub reason: String,
}

/// What a job trains on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobData {
    /// What kind of data, as `digits`, `idx` or `csv`.
    pub kind: String,
    /// Where it is on every node; `None` for data that comes with the program.
    pub path: Option<String>,
    /// Digest of the samples, once it is known.
    pub digest: Option<String>,
}

/// What a job would be, were it submitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobPlanned {
    /// Its name.
    pub name: String,
    /// Steps in all.
    pub steps: u64,
    /// Micro-batches per step.
    pub micro_batches: u32,
    /// Samples per micro-batch.
    pub micro_batch_size: u32,
    /// Nodes needed to start.
    pub nodes_min: u32,
    /// Length of the state, bytes.
    pub state_bytes: u64,
    /// What it trains on.
    pub data: Option<JobData>,
    /// What the user should know.
    pub warnings: Vec<String>,
}

/// The loss of one step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossPoint {
    /// Steps applied.
    pub step: u64,
    /// Mean loss over the global batch of that step.
    pub loss: f64,
}

/// Nodes of one numeric class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NumericClassRow {
    /// The class.
    pub class: String,
    /// Its nodes.
    pub nodes: Vec<NodeRef>,
}

/// The result of a finished job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobResult {
    /// Digest of the final state: equal digests, equal parameters to the last bit.
    pub digest: String,
    /// Chain of the final state.
    pub chain: String,
    /// Right answers on the held-out samples.
    pub test_correct: u64,
    /// Held-out samples.
    pub test_total: u64,
}

impl JobResult {
    /// Right answers per held-out sample; `None` where the data holds none out.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of samples are far below 2^53")]
    pub fn test_accuracy(&self) -> Option<f64> {
        (self.test_total > 0).then(|| self.test_correct as f64 / self.test_total as f64)
    }
}
