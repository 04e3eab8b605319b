//! What a job waits for.

use serde::{Deserialize, Serialize};

use super::job::JobStatus;
use super::node::NodeRef;

/// What a job waits for, on whom, since when, and what ends it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobWhy {
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
    /// The node that knows what the job waits for, as far as this node has heard; `None` while nobody coordinates.
    pub coordinator: Option<NodeRef>,
    /// What it waits for, as the coordinator said.
    pub waits: Vec<WaitRow>,
    /// How long ago the coordinator said so, ms; `None` where this node knows by itself.
    pub told_ms: Option<u64>,
    /// What this node's part of the job waits for; empty where it has none.
    pub here: Vec<WaitRow>,
    /// Nodes that are known and not connected, and since when.
    pub missing: Vec<MissingNode>,
    /// Why nothing can be decided; `None` while somebody coordinates.
    pub council: Option<CouncilStandstill>,
}

/// One thing that is waited for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitRow {
    /// In words, with the names of those it depends on.
    pub what: String,
    /// For how long it has been so, ms.
    pub since_ms: Option<u64>,
    /// Time until a timer ends it, ms; `None` where only an event does.
    pub ends_in_ms: Option<u64>,
    /// What ends it, or happens when the timer runs out, in words.
    pub then: Option<String>,
}

/// A node of the ledger that is not connected.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MissingNode {
    /// The node.
    pub node: NodeRef,
    /// Whether it votes in the council.
    pub votes: bool,
    /// For how long it has been gone, ms; `None` where it was never here since this daemon started.
    pub since_ms: Option<u64>,
    /// What was seen, as `silent: no heartbeat`.
    pub reason: Option<String>,
}

/// A council without a leader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CouncilStandstill {
    /// Nodes that vote.
    pub voters: u32,
    /// Votes that an election takes.
    pub needed: u32,
    /// Voters that are connected, this node included if it votes.
    pub present: Vec<NodeRef>,
    /// What ends this, in words.
    pub ends: String,
}
