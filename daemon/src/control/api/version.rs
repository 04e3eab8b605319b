//! Versions of the programs of a swarm.

use serde::{Deserialize, Serialize};

use super::node::NodeRef;

/// Versions, as the daemon that was asked knows them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionInfo {
    /// Version of the daemon.
    pub version: String,
    /// Protocol between daemons, as `2`.
    pub protocol: String,
    /// Cargo features of the build that matter to a user, as `cuda`.
    pub features: Vec<String>,
    /// The daemon's node.
    pub node: NodeRef,
    /// All nodes of the ledger, this one included, by name.
    pub nodes: Vec<NodeVersion>,
}

/// The version of one node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeVersion {
    /// The node.
    pub node: NodeRef,
    /// Version of its daemon, if it told.
    pub version: Option<String>,
    /// Whether it is live.
    pub live: bool,
}
