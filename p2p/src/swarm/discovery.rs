//! Finding peers: mDNS, Kademlia, identify. All of them only learn addresses; who answers there is judged by its hello.

use libp2p::{Multiaddr, PeerId, identify, mdns};
use traind_protocol::ids::{Millis, NodeId};

use super::behaviour::{Behaviour, BehaviourEvent};
use super::driver::Driver;
use super::kademlia::{Kademlia, Wanted};
use crate::address;
use crate::limits::ADDRESSES_PER_PEER_MAX;
use crate::node_id::{node_of, peer_of};

impl Behaviour {
    pub(super) fn kademlia(&mut self) -> Option<&mut Kademlia> {
        self.kademlia.as_mut()
    }
}

impl Driver {
    pub(super) fn on_behaviour_event(&mut self, event: BehaviourEvent) {
        match event {
            BehaviourEvent::Control((connection, event)) => self.on_stream(connection, event),
            BehaviourEvent::Identify(identify::Event::Received { peer_id, info, connection_id, .. }) => {
                // A1: of peers whose hello was accepted only.
                let link = self.links.get(&connection_id).filter(|link| self.peers.contains_key(&link.node));
                if let Some((node, is_loopback)) = link.map(|link| (link.node, link.is_loopback()))
                    && node_of(&peer_id) == Some(node)
                {
                    let useful = |told: &&Multiaddr| is_loopback || !address::is_loopback(told);
                    let addresses = info.listen_addrs.iter().filter(useful).take(ADDRESSES_PER_PEER_MAX);
                    self.learn(node, &addresses.cloned().collect::<Vec<_>>());
                }
            }
            BehaviourEvent::Mdns(mdns::Event::Discovered(discovered)) => self.on_mdns(discovered),
            BehaviourEvent::Kademlia(wanted) => self.on_wanted(wanted),
            _ => {}
        }
    }

    fn on_mdns(&mut self, discovered: Vec<(PeerId, Multiaddr)>) {
        for (peer, address) in discovered {
            let Some(node) = node_of(&peer).filter(|&node| node != self.local.node) else { continue };
            if !self.is_known(node) {
                self.shared.meters.peers_found_mdns.one();
                tracing::debug!(peer = %node.short(), %address, "found by multicast DNS");
            }
            self.learn(node, &[address]);
            self.targets.seen(node, self.shared.clock.now());
        }
    }

    /// A query of Kademlia wants to reach a member that others told of.
    fn on_wanted(&mut self, wanted: Wanted) {
        let now = self.shared.clock.now();
        let node = node_of(&wanted.peer).filter(|&node| !self.refusals.is_refused(node, now));
        let Some(node) = node else { return self.unreachable(wanted.peer) };
        if !self.is_known(node) {
            self.shared.meters.peers_found_kademlia.one();
            tracing::debug!(peer = %node.short(), "found by Kademlia");
        }
        let useful = |told: &Multiaddr| self.local.loopback_only || !address::is_loopback(told);
        let useful: Vec<Multiaddr> = wanted.addresses.into_iter().filter(useful).collect();
        self.learn(node, &useful);
        if !self.targets.is_known(node) {
            self.unreachable(wanted.peer);
        }
    }

    fn is_known(&self, node: NodeId) -> bool {
        self.peers.contains_key(&node) || self.targets.is_known(node)
    }

    fn unreachable(&mut self, peer: PeerId) {
        if let Some(kademlia) = self.swarm.behaviour_mut().kademlia() {
            kademlia.unreachable(peer);
        }
    }

    /// A dial of this node failed: no query waits for it.
    pub(super) fn not_found(&mut self, node: Option<NodeId>) {
        if let Some(peer) = node.and_then(peer_of) {
            self.unreachable(peer);
        }
    }

    /// The peer was accepted on this connection.
    pub(super) fn admit_to_kademlia(&mut self, node: NodeId, connection: libp2p::swarm::ConnectionId) {
        let Some((id, peer)) = peer_of(node).zip(self.peers.get(&node)) else { return };
        let useful = |known: &&Multiaddr| self.local.loopback_only || !address::is_loopback(known);
        let addresses: Vec<Multiaddr> = peer.addresses.iter().filter(useful).cloned().collect();
        let Some(kademlia) = self.swarm.behaviour_mut().kademlia() else { return };
        kademlia.admit(id, connection, &addresses);
        self.kademlia_changed();
    }

    /// The peer is lost.
    pub(super) fn forget_in_kademlia(&mut self, node: NodeId) {
        let Some((id, kademlia)) = peer_of(node).zip(self.swarm.behaviour_mut().kademlia()) else { return };
        kademlia.forget(&id);
        self.kademlia_changed();
    }

    fn kademlia_changed(&mut self) {
        let now = self.shared.clock.now();
        self.searches.changed(now);
        let count = self.swarm.behaviour_mut().kademlia().map_or(0, Kademlia::count);
        self.shared.meters.kademlia_peers.set(count);
    }

    pub(super) fn search(&mut self, now: Millis) {
        if self.searches.is_due(now)
            && let Some(kademlia) = self.swarm.behaviour_mut().kademlia()
        {
            kademlia.search();
        }
    }
}
