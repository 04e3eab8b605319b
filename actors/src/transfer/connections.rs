//! Who is connected, as the transfer thread knows it.

use std::collections::BTreeSet;

use traind_protocol::ids::NodeId;

/// Joined peers at the last look.
#[derive(Debug, Default)]
pub(super) struct Connections {
    joined: BTreeSet<NodeId>,
}

impl Connections {
    /// Looks again: who came and who went.
    pub(super) fn refresh(&mut self, network: &traind_p2p::Handle) -> (Vec<NodeId>, Vec<NodeId>) {
        let now: BTreeSet<NodeId> = network.peers().into_iter().map(|peer| peer.node).collect();
        let came = now.difference(&self.joined).copied().collect();
        let went = self.joined.difference(&now).copied().collect();
        self.joined = now;
        (came, went)
    }

    /// Those of `nodes` that are joined, all if it is empty.
    pub(super) fn among(&self, nodes: &BTreeSet<NodeId>) -> Vec<NodeId> {
        if nodes.is_empty() {
            return self.joined.iter().copied().collect();
        }
        self.joined.intersection(nodes).copied().collect()
    }

    pub(super) fn contains(&self, node: NodeId) -> bool {
        self.joined.contains(&node)
    }
}
