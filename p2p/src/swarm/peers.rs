//! Joined peers: joining, losing and finding them again, telling others about them.

use std::sync::Arc;

use bytes::Bytes;
use libp2p::Multiaddr;
use libp2p::swarm::ConnectionId;
use traind_protocol::ids::{Boot, Millis, NodeId};
use traind_protocol::wire::encode;

use super::driver::Driver;
use crate::address;
use crate::bulk::{Destination, Path};
use crate::control::{Frame, Greeting, KnownPeer};
use crate::event::{Event, LossEvidence};
use crate::limits::{ADDRESSES_PER_PEER_MAX, EXCHANGED_PEERS_MAX, REDIAL_MS_MAX};
use crate::peer_meters::PeerMeters;
use crate::registry::Entry;

/// A peer whose hello was accepted, connected or in the second of its redial.
pub(super) struct Peer {
    pub(super) boot: Boot,
    /// Where it listens, as its connection tells.
    pub(super) primary: Option<Multiaddr>,
    /// Whether `primary` was reached from here: only then a refusal there means something.
    pub(super) proven: bool,
    /// All its addresses, `primary` first.
    pub(super) addresses: Vec<Multiaddr>,
    /// Its connections, in the order they came up; control messages go out on the first.
    pub(super) links: Vec<ConnectionId>,
    pub(super) redial: Option<Redial>,
    pub(super) meters: Arc<PeerMeters>,
    path: Arc<dyn Path>,
}

/// The attempt to get a closed connection back.
#[derive(Clone, Copy, Debug)]
pub(super) struct Redial {
    pub(super) deadline: Millis,
    pub(super) next: Millis,
    pub(super) attempt: Option<ConnectionId>,
    /// The first attempt goes to `primary` alone, so that its refusal is heard at once.
    pub(super) tried: bool,
}

impl Driver {
    /// Hellos went both ways on this connection.
    pub(super) fn on_link_up(&mut self, connection: ConnectionId, greeting: Greeting) {
        let Some(link) = self.links.get(&connection) else { return };
        let node = link.node;
        if self.peers.get(&node).is_some_and(|peer| peer.boot != greeting.hello.boot) {
            self.lose(node, LossEvidence::Replaced);
        }
        if !self.peers.contains_key(&node) {
            return self.join(connection, greeting);
        }
        let Some(peer) = self.peers.get_mut(&node) else { return };
        peer.links.push(connection);
        let was_broken = peer.redial.take().is_some();
        if was_broken {
            self.shared.meters.links_regained.one();
            peer.meters.reconnects.one();
            tracing::info!(peer = %node.short(), "peer is back");
            // What was sent while the connection broke may be lost, so the consumer must hear of a new path.
            peer.path.reset();
            self.route(node);
        }
        self.admit_to_kademlia(node, connection);
    }

    fn join(&mut self, connection: ConnectionId, greeting: Greeting) {
        let Some(link) = self.links.get(&connection) else { return };
        let (node, hello) = (link.node, greeting.hello);
        let primary = link.listening_at(greeting.port);
        let told = greeting.addresses.iter().take(ADDRESSES_PER_PEER_MAX);
        let told =
            told.filter_map(|text| address::parse(text, self.local.loopback_only).ok().map(|(bare, _)| bare));
        let told = told.filter(|address| link.is_loopback() || !address::is_loopback(address));
        let told = told.filter(|address| !address::ip(address).is_some_and(address::is_link_local_v6));
        let mut addresses: Vec<Multiaddr> = Vec::new();
        for address in primary.clone().into_iter().chain(told) {
            if !addresses.contains(&address) && addresses.len() < ADDRESSES_PER_PEER_MAX {
                addresses.push(address);
            }
        }
        let host = address::host(&link.remote).unwrap_or_default();
        let meters = Arc::clone(&link.meters);
        let path = self.bulk.open(Destination { node, host, port: hello.bulk_port }, Arc::clone(&meters));
        let address = address::full(primary.as_ref().unwrap_or(&link.remote), node);
        let entry = Entry {
            boot: hello.boot,
            address: address.clone(),
            reachable: link.dialled,
            control: link.control.clone(),
            pulse: Arc::clone(&link.pulse),
            path: Arc::clone(&path),
        };
        let proven = link.dialled;
        let (boot, links) = (hello.boot, vec![connection]);
        self.shared.insert(node, entry);
        self.shared.keep_peer_meters(node, &meters);
        if meters.joins.get() > 0 {
            meters.reconnects.one();
        }
        meters.joins.one();
        self.peers.insert(node, Peer { boot, primary, proven, addresses, links, redial: None, meters, path });
        self.shared.meters.peers_joined.one();
        tracing::info!(peer = %node.short(), boot = boot.0, address, "peer joined");
        self.outbox.push_back(Event::PeerJoined { node, hello, address });
        if !proven {
            self.probe(node);
        }
        self.tell_about(node);
        self.admit_to_kademlia(node, connection);
    }

    /// A connection ended, by itself or by us.
    pub(super) fn end_link(&mut self, connection: ConnectionId, evidence: LossEvidence) {
        let Some(link) = self.links.remove(&connection) else { return };
        self.swarm.close_connection(connection);
        let node = link.node;
        let Some(peer) = self.peers.get_mut(&node).filter(|peer| peer.links.contains(&connection)) else {
            return;
        };
        peer.links.retain(|&other| other != connection);
        if !peer.links.is_empty() {
            return self.route(node);
        }
        if evidence == LossEvidence::Silent {
            return self.lose(node, evidence);
        }
        let now = self.shared.clock.now();
        let deadline = now.plus(REDIAL_MS_MAX);
        peer.redial = Some(Redial { deadline, next: now, attempt: None, tried: false });
        tracing::debug!(peer = %node.short(), "connection closed; redialling");
        self.route(node);
        self.redial(node, now);
    }

    /// Control messages to the peer go to its first connection.
    fn route(&self, node: NodeId) {
        let first = self.peers.get(&node).and_then(|peer| peer.links.first());
        let link = first.and_then(|connection| self.links.get(connection));
        let link = link.and_then(|link| Some((link.control.clone()?, Arc::clone(&link.pulse))));
        self.shared.set_control(node, link);
    }

    /// The peer is gone.
    pub(super) fn lose(&mut self, node: NodeId, evidence: LossEvidence) {
        let Some(peer) = self.peers.remove(&node) else { return };
        let now = self.shared.clock.now();
        self.shared.remove(node);
        self.shared.meters.peers_lost.one();
        peer.path.close();
        // A dead process's connection ends by itself, after everything it had sent.
        if evidence != LossEvidence::Refused {
            self.bulk.cut(node);
        }
        for &connection in &peer.links {
            self.links.remove(&connection);
            self.swarm.close_connection(connection);
        }
        self.learn(node, &peer.addresses);
        // It was met there: worth trying for days, should it come back to nobody but us.
        if let Some(primary) = peer.primary {
            self.targets.remember(primary, Some(node), now);
        }
        self.targets.lost(node, now);
        self.forget_in_kademlia(node);
        tracing::info!(peer = %node.short(), boot = peer.boot.0, ?evidence, "peer lost");
        self.outbox.push_back(Event::PeerLost { node, boot: peer.boot, evidence });
    }

    /// Tells a new peer where all others are, and all others where it is.
    fn tell_about(&self, new: NodeId) {
        if !self.local.peer_exchange {
            return;
        }
        let others: Vec<NodeId> = self.peers.keys().copied().filter(|&node| node != new).collect();
        for chunk in others.chunks(EXCHANGED_PEERS_MAX) {
            self.tell(new, chunk);
        }
        for &other in &others {
            self.tell(other, &[new]);
        }
    }

    fn tell(&self, to: NodeId, about: &[NodeId]) {
        let link = self.peers.get(&to).and_then(|peer| self.links.get(peer.links.first()?));
        let Some((control, is_loopback)) =
            link.and_then(|link| Some((link.control.as_ref()?, link.is_loopback())))
        else {
            return;
        };
        let known = about.iter().filter_map(|&node| {
            let addresses = self.peers.get(&node)?.addresses.iter();
            // Loopback means something on this host only.
            let useful = addresses.filter(|address| is_loopback || !address::is_loopback(address));
            Some(KnownPeer { node, addresses: useful.map(ToString::to_string).collect() })
        });
        let known: Vec<KnownPeer> = known.filter(|peer| !peer.addresses.is_empty()).collect();
        if !known.is_empty() {
            // A peer whose queue is full hears of the others from others.
            let _ = control.try_send(Bytes::from(encode(&Frame::Peers(known))));
        }
    }

    /// A peer told where others are.
    pub(super) fn on_peers_told(&mut self, peers: Vec<KnownPeer>, is_loopback: bool) {
        for peer in peers.into_iter().take(EXCHANGED_PEERS_MAX) {
            let addresses = peer.addresses.iter().take(ADDRESSES_PER_PEER_MAX);
            let parsed =
                addresses.filter_map(|text| Some(address::parse(text, self.local.loopback_only).ok()?.0));
            let useful = parsed.filter(|address| is_loopback || !address::is_loopback(address));
            self.learn(peer.node, &useful.collect::<Vec<_>>());
        }
    }
}
