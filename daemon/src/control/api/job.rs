//! Jobs, their views, work, checkpoints and results.

use serde::{Deserialize, Serialize};

use super::node::NodeRef;

/// How a job is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// Waits; the reason says for what.
    Queued,
    /// Has a view.
    Running,
    /// All steps are stable.
    Finished,
    /// Stopped by an error; the reason says which.
    Failed,
    /// Stopped by a user.
    Cancelled,
}

impl JobStatus {
    /// Whether nothing will change any more.
    #[must_use]
    pub fn has_ended(self) -> bool {
        matches!(self, Self::Finished | Self::Failed | Self::Cancelled)
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
}

/// The loss of one step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct LossPoint {
    /// Steps applied.
    pub step: u64,
    /// Mean loss over the global batch of that step.
    pub loss: f64,
}

/// A member of the newest view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRow {
    /// The node.
    pub node: NodeRef,
    /// The nonce of its process.
    pub boot: u64,
    /// Epoch of its admission.
    pub tenure: u64,
    /// Whether it has the state; a joiner has not at first.
    pub synced: bool,
    /// Micro-batches per step leased to it.
    pub microbatches_leased: u32,
    /// Parts of the gradient that it reduces.
    pub parts_owned: u32,
}

/// What one process did for the job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkRow {
    /// The node.
    pub node: NodeRef,
    /// The nonce of the process.
    pub boot: u64,
    /// Whether that process lives; counters of gone ones are its last word.
    pub live: bool,
    /// Micro-batches whose gradient it computed.
    pub microbatches_computed: u64,
    /// Of these, the ones taken over from another member within a step.
    pub microbatches_taken_over: u64,
    /// Contributions and results sent, bytes.
    pub exchange_bytes_sent: u64,
    /// Steps that it applied.
    pub steps_applied: u64,
}

/// One view.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ViewRow {
    /// Lineage.
    pub incarnation: u32,
    /// Epoch.
    pub epoch: u64,
    /// Stable steps when it was committed, as far as known.
    pub step: u64,
    /// Why it was committed, in words.
    pub reason: String,
    /// Its members.
    pub members: Vec<NodeRef>,
    /// Who is new in it.
    pub joined: Vec<NodeRef>,
    /// Who is no longer in it, and what became of its work.
    pub left: Vec<Departure>,
    /// The distinct numeric classes of its members.
    pub numeric_classes: Vec<String>,
}

/// A member that a view has lost.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Departure {
    /// The node.
    pub node: NodeRef,
    /// Why, as `connection closed`.
    pub reason: String,
    /// What became of its work, as `4 of 12 micro-batches of every step go to amber-seal-07 and calm-lark-31`.
    pub work: String,
}

/// A checkpoint in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointRow {
    /// The job's id, in hexadecimal.
    pub job: String,
    /// The job's name.
    pub job_name: String,
    /// Steps applied.
    pub step: u64,
    /// Digest of the state.
    pub digest: String,
    /// Chain of the state.
    pub chain: String,
    /// Length of the state, bytes.
    pub bytes: u64,
    /// Who holds it.
    pub holders: Vec<NodeRef>,
}

/// Stable steps that one view committed, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepRange {
    /// Lineage.
    pub incarnation: u32,
    /// Epoch.
    pub epoch: u64,
    /// First step, from 1.
    pub first_step: u64,
    /// Last step.
    pub last_step: u64,
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

/// A warning for each run of views that mixed numeric classes: equal digests across runs hold within one class only.
#[must_use]
pub fn mixed_class_warnings(views: &[ViewRow]) -> Vec<String> {
    let mut warnings: Vec<(u64, u64, &[String])> = Vec::new();
    for view in views.iter().filter(|view| view.numeric_classes.len() > 1) {
        match warnings.last_mut() {
            Some((_, last, classes)) if *last + 1 == view.epoch && *classes == view.numeric_classes => {
                *last = view.epoch;
            }
            _ => warnings.push((view.epoch, view.epoch, &view.numeric_classes)),
        }
    }
    warnings
        .into_iter()
        .map(|(first, last, classes)| {
            let epochs = if first == last {
                format!("view {first} mixes")
            } else {
                format!("views {first} to {last} mix")
            };
            format!(
                "{epochs} {} numeric classes ({}): the digest may differ from that of another run",
                classes.len(),
                classes.join("; ")
            )
        })
        .collect()
}
