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
    /// Threads that it computes with.
    pub threads: u32,
    /// What it fails together with, as a rack or a site; empty for nothing but itself.
    pub failure_label: String,
    /// Version of its program.
    pub version: String,
    /// Index in the council's log of the command that registered `boot`.
    pub registered_index: u64,
    /// It gives its work away and gets none.
    pub drain: Option<Drain>,
    /// Its process ends as soon as nobody misses it: rather than going on alone, a job halts.
    pub is_leaving: bool,
}

/// Why a node gets no work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// The node where that was asked for.
    pub by: NodeId,
    /// Why.
    pub reason: String,
    /// What ends it.
    pub until: DrainUntil,
}

/// What ends a drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DrainUntil {
    /// The node registers another process than this one, which is about to end. Names the process, so that a late
    /// command does not hit its successor.
    Restart {
        /// The process.
        boot: Boot,
    },
    /// A person takes it back; it lasts over restarts.
    Undrain,
}

impl NodeRecord {
    /// The node in its registered process.
    #[must_use]
    pub fn life(&self) -> Life {
        Life { node: self.node, boot: self.boot }
    }

    /// Whether it may get work.
    #[must_use]
    pub fn takes_work(&self) -> bool {
        self.drain.is_none()
    }
}
