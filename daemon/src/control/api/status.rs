//! How a daemon and its swarm are.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::job::JobStatus;
use super::node::NodeRef;

/// How a daemon and its swarm are, as this daemon sees it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// This daemon's node.
    pub node: NodeRef,
    /// Version of its program.
    pub version: String,
    /// Swarm id, in hexadecimal; `None` while it looks for one to join.
    pub swarm: Option<String>,
    /// The coordinator, if one is known.
    pub coordinator: Option<NodeRef>,
    /// The council's term.
    pub term: u64,
    /// Who holds the ledger.
    pub council: Council,
    /// Live nodes, this one included.
    pub nodes_live: u32,
    /// Nodes in the ledger.
    pub nodes_known: u32,
    /// The running job.
    pub job: Option<JobSummary>,
    /// Jobs that wait.
    pub jobs_queued: u32,
    /// Where this daemon computes.
    pub device: String,
    /// Threads that compute.
    pub threads: u32,
    /// Build, matmul kernel, cache geometry, device.
    pub numeric_class: String,
    /// Addresses that this daemon listens on.
    pub addresses: Vec<String>,
    /// Its data directory.
    pub data_dir: String,
    /// Milliseconds since its start.
    pub uptime_ms: u64,
    /// Counters by name, as `peers_refused`.
    pub counters: BTreeMap<String, u64>,
}

/// Who holds the ledger.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Council {
    /// Nodes that vote.
    pub voters: Vec<NodeRef>,
    /// Nodes that follow the log.
    pub learners: Vec<NodeRef>,
}

/// A running job in short.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobSummary {
    /// Id, in hexadecimal.
    pub id: String,
    /// Name.
    pub name: String,
    /// How it is.
    pub status: JobStatus,
    /// Stable steps.
    pub step: u64,
    /// Steps in all.
    pub steps: u64,
    /// Mean loss of the last stable step.
    pub loss: Option<f64>,
    /// Epoch of its view.
    pub epoch: u64,
    /// Members of its view.
    pub members: u32,
}
