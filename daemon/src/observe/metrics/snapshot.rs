//! What the figures are made of.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::BoxFuture;

use crate::observe::recorder::RecorderCounts;

/// Answers a scrape.
pub trait MetricsSource: Send + Sync + 'static {
    /// How things are now.
    fn snapshot(&self) -> BoxFuture<'static, MetricsSnapshot>;
}

/// How a daemon is at one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricsSnapshot {
    /// Version of the daemon, as `0.1.0`.
    pub version: String,
    /// Numeric class of this machine.
    pub numeric_class: String,
    /// Time since the daemon's start.
    pub uptime: Duration,
    /// Nodes that are heard of, this one included.
    pub nodes_live: u64,
    /// Nodes in the ledger.
    pub nodes_known: u64,
    /// Term of the council's election.
    pub council_term: u64,
    /// Whether this node coordinates.
    pub is_coordinator: bool,
    /// Jobs, oldest first. Of two with one id the later one counts.
    pub jobs: Vec<JobMetrics>,
    /// Counters of the network by name, as `data_frames_sent`. Each becomes `traind_p2p_NAME_total`.
    pub p2p: BTreeMap<String, u64>,
    /// What the recorder of curves could not do.
    pub recorder: RecorderCounts,
    /// Memory of this process that is in RAM, bytes; see [`super::resident_memory_bytes`].
    pub resident_memory_bytes: Option<u64>,
}

/// How a job is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobMetrics {
    /// Id, in hexadecimal.
    pub id: String,
    /// Name.
    pub name: String,
    /// Its state as the control socket calls it, as `running`.
    pub status: String,
    /// Stable steps.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// Mean loss of the last stable step.
    pub loss: Option<f64>,
    /// Learning rate of the last stable step.
    pub learning_rate: Option<f64>,
    /// Norm of the gradient of the last stable step, before clipping.
    pub gradient_norm: Option<f64>,
    /// Right answers per held-out sample, by the last evaluation.
    pub evaluation_accuracy: Option<f64>,
    /// Mean loss on held-out samples, by the last evaluation.
    pub evaluation_loss: Option<f64>,
    /// Members of its view; 0 without one.
    pub members: u64,
    /// Epoch of its view; 0 without one.
    pub epoch: u64,
    /// Views committed so far.
    pub view_changes: u64,
    /// What this process did for it. Not the swarm's sum: each node is scraped, and sums are made there.
    pub work: JobWork,
    /// Checkpoints in the ledger.
    pub checkpoints: u64,
    /// Length of the newest checkpoint, bytes.
    pub checkpoint_bytes: Option<u64>,
}

/// What one process did for a job since its start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobWork {
    /// Micro-batches whose gradient it computed.
    pub microbatches_computed: u64,
    /// Of these, the ones taken over from another member within a step.
    pub microbatches_taken_over: u64,
    /// Contributions and results sent, payload bytes.
    pub exchange_bytes_sent: u64,
    /// Steps that it applied.
    pub steps_applied: u64,
}
