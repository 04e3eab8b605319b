//! Counters of one peer, over all its connections and lives.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use traind_protocol::ids::NodeId;

use crate::counters::Meter;
use crate::limits::PEER_METERS_MAX;

/// The running counters of one peer.
#[derive(Debug, Default)]
pub(crate) struct PeerMeters {
    pub(crate) control_bytes_sent: Meter,
    pub(crate) control_bytes_received: Meter,
    pub(crate) data_bytes_sent: Meter,
    pub(crate) data_bytes_received: Meter,
    pub(crate) joins: Meter,
    pub(crate) reconnects: Meter,
}

/// A peer's traffic since it was first joined, and how its link is now.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PeerCounters {
    /// The peer.
    pub node: NodeId,
    /// Whether it is joined now.
    pub is_joined: bool,
    /// Bytes written to its control streams, heartbeats and lengths among them.
    pub control_bytes_sent: u64,
    /// Bytes read from them.
    pub control_bytes_received: u64,
    /// Payload bytes written to its bulk connections.
    pub data_bytes_sent: u64,
    /// Payload bytes read from them.
    pub data_bytes_received: u64,
    /// How often its connection came back after it had broken, whether it was called lost in between or not.
    pub reconnects: u64,
    /// Round trip of the latest heartbeat, microseconds; `None` before the first and while it is not joined.
    pub rtt_us: Option<u64>,
    /// How unlikely its present silence is: −log10 of the probability that it is alive all the same (phi accrual).
    /// Above 8 it is called silent, if the silence is long enough too. `None` while it is not joined.
    pub phi: Option<f64>,
}

/// The meters of all peers that were ever joined, the latest ones if they are many.
#[derive(Debug, Default)]
pub(crate) struct PeerTable {
    by_node: BTreeMap<NodeId, Arc<PeerMeters>>,
}

impl PeerTable {
    /// Those of a peer, if it was ever joined.
    pub(crate) fn get(&self, node: NodeId) -> Option<Arc<PeerMeters>> {
        self.by_node.get(&node).cloned()
    }

    /// The peer joins; `joined` are those that must stay in the table.
    pub(crate) fn insert(&mut self, node: NodeId, meters: Arc<PeerMeters>, joined: &BTreeSet<NodeId>) {
        if !self.by_node.contains_key(&node) && self.by_node.len() >= PEER_METERS_MAX {
            let gone = self.by_node.keys().find(|other| !joined.contains(other)).copied();
            match gone {
                Some(gone) => self.by_node.remove(&gone),
                // More joined peers than that: what this one does is counted in the totals only.
                None => return,
            };
        }
        self.by_node.insert(node, meters);
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = (NodeId, &Arc<PeerMeters>)> {
        self.by_node.iter().map(|(&node, meters)| (node, meters))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(index: usize) -> NodeId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&(index as u64).to_be_bytes());
        NodeId(bytes)
    }

    #[test]
    fn the_table_is_bounded_and_joined_peers_stay() {
        let mut table = PeerTable::default();
        let joined: BTreeSet<NodeId> = (0..10).map(node).collect();
        for index in 0..2 * PEER_METERS_MAX {
            table.insert(node(index), Arc::default(), &joined);
        }
        assert_eq!(table.all().count(), PEER_METERS_MAX);
        assert!(joined.iter().all(|&node| table.get(node).is_some()));
        assert!(table.get(node(10)).is_none());
        let everybody: BTreeSet<NodeId> = table.all().map(|(node, _)| node).collect();
        table.insert(node(9_999), Arc::default(), &everybody);
        assert!(table.get(node(9_999)).is_none());
    }
}
