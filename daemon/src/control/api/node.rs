//! Nodes as people see them.

use serde::{Deserialize, Serialize};
use traind_protocol::ids::NodeId;

use super::boot_hex;
use super::drain::Drain;

/// A node by name and id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct NodeRef {
    /// Friendly name, as `brave-otter-3f`.
    pub name: String,
    /// Id, in hexadecimal.
    pub id: String,
}

impl From<NodeId> for NodeRef {
    fn from(node: NodeId) -> Self {
        Self { name: node.friendly_name(), id: node.to_hex() }
    }
}

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NodeRole {
    /// Elected; it may be a member of the view as well, see [`NodeRow::in_view`].
    Coordinator,
    /// Trains in the running job's view.
    Member,
    /// In the view, but still fetching the state.
    Joining,
    /// Live, and the running job has no micro-batch left for it.
    Spare,
    /// Live, and no job runs.
    Idle,
    /// Not heard of.
    Down,
}

/// A node's place in the council.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CouncilRole {
    /// Votes.
    Voter,
    /// Follows the log, does not vote.
    Learner,
    /// Neither.
    None,
}

/// One node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRow {
    /// Friendly name.
    pub name: String,
    /// Id, in hexadecimal.
    pub id: String,
    /// What it does.
    pub role: NodeRole,
    /// Its place in the council.
    pub council: CouncilRole,
    /// Whether it is a member of the running job's view.
    pub in_view: bool,
    /// Its seat in the council's group, 0 if it has none.
    pub seat: u64,
    /// The nonce of its process.
    #[serde(with = "boot_hex")]
    pub boot: u64,
    /// The address that it was last reached at, if it is another node.
    pub address: Option<String>,
    /// Build, matmul kernel, cache geometry, device.
    pub numeric_class: String,
    /// Where it computes.
    pub device: String,
    /// Steps of the running job that it applied.
    pub job_step: Option<u64>,
    /// Micro-batches of the running job whose gradient it computed.
    pub microbatches_computed: u64,
    /// Contributions and results of the running job that it sent, bytes.
    pub exchange_bytes_sent: u64,
    /// Milliseconds since it was last heard; `None` for this node itself, and where it never was.
    pub last_heard_ms: Option<u64>,
    /// Version of its daemon, if it told.
    #[serde(default)]
    pub version: Option<String>,
    /// That it is to take no more work.
    #[serde(default)]
    pub drain: Option<Drain>,
    /// Why the running job does without it, and until when.
    #[serde(default)]
    pub kept_out: Option<String>,
}

/// Everything about one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeDetail {
    /// As it is listed.
    #[serde(flatten)]
    pub row: NodeRow,
    /// Whether it is the node of the daemon that was asked.
    pub this_node: bool,
    /// Threads that compute, where they are known.
    pub threads: Option<u32>,
    /// Round trip to it, milliseconds; `None` for this node itself, and where it was never measured.
    pub rtt_ms: Option<u64>,
    /// Bytes that this node received from it; `None` for this node itself.
    pub bytes_received: Option<u64>,
    /// Bytes that this node sent to it; `None` for this node itself.
    pub bytes_sent: Option<u64>,
    /// Addresses that it can be reached at.
    pub addresses: Vec<String>,
    /// The last thing that went wrong with it, as this node saw it.
    pub last_error: Option<String>,
}

impl NodeRow {
    /// Whether it counts as live.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.role != NodeRole::Down
    }
}
