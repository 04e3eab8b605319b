//! What the ledger knows about a node.

use serde::{Deserialize, Serialize};

use crate::ids::{Boot, Life, NodeId, SeatId};

/// A node that was admitted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// The node.
    pub node: NodeId,
    /// Its number in the consensus group, given once.
    pub seat: SeatId,
    /// The latest process that it registered.
    pub boot: Boot,
    /// Its numeric class: digests compare within one class only.
    pub numeric_class: String,
    /// The device that it computes on, as `cpu` or `cuda:0`.
    pub device: String,
    /// Index in the council's log of the command that registered `boot`.
    pub registered_index: u64,
}

impl NodeRecord {
    /// The node in its registered process.
    #[must_use]
    pub fn life(&self) -> Life {
        Life { node: self.node, boot: self.boot }
    }
}
