//! Nodes that are to take no more work.

use serde::{Deserialize, Serialize};

use super::node::NodeRef;

/// That a node is to take no more work, and how far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drain {
    /// The node at which it was asked for.
    pub by: NodeRef,
    /// Why, as the operator said.
    pub reason: String,
    /// Whether it ends with the node's next start.
    pub until_restart: bool,
    /// Whether nothing of the node is needed any more.
    pub drained: bool,
    /// What it waits for, in words, as `its place in the view of job digits`; empty once it is drained.
    pub waits_for: Vec<String>,
}

/// A node that a job does without, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptOut {
    /// The node.
    pub node: NodeRef,
    /// Why.
    pub reason: String,
}
