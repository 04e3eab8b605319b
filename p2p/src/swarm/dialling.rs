//! Dialling: addresses given and learned, redials, probes.

use libp2p::Multiaddr;
use libp2p::swarm::dial_opts::{DialOpts, PeerCondition};
use libp2p::swarm::{ConnectionId, DialError};
use tokio::net::TcpStream;
use tokio::time::timeout;
use traind_protocol::ids::{Millis, NodeId};

use super::driver::Driver;
use crate::address::{self, AddressError};
use crate::control::LinkEvent;
use crate::dial_words::dial_words;
use crate::event::{Event, LossEvidence};
use crate::limits::{CONNECTION_TIMEOUT, REDIAL_PAUSE_MS, UNREACHED_REPORT_MS, YIELD_MS};
use crate::node_id::peer_of;
use crate::targets::{Origin, Unanswered};
use crate::unreached::{AddressOrigin, UnreachedPeer};

impl Driver {
    /// Keeps an address given by people, and dials it as long as nobody is connected there.
    pub(crate) fn keep_address(&mut self, text: &str) -> Result<(), AddressError> {
        let (address, node) = address::parse(text, self.local.loopback_only)?;
        if node != Some(self.local.node) && !self.targets.keep(address, node, self.shared.clock.now()) {
            self.shared.meters.addresses_dropped.one();
        }
        Ok(())
    }

    /// Keeps an address where a peer was met in an earlier run, and dials it as long as nobody is connected there.
    pub(crate) fn remember_address(&mut self, text: &str) -> Result<(), AddressError> {
        let (address, node) = address::parse(text, self.local.loopback_only)?;
        if node != Some(self.local.node) && !self.targets.remember(address, node, self.shared.clock.now()) {
            self.shared.meters.addresses_dropped.one();
        }
        Ok(())
    }

    /// Takes addresses of `node` that somebody told. One of the two that hear of each other waits a little.
    pub(super) fn learn(&mut self, node: NodeId, addresses: &[Multiaddr]) {
        if node == self.local.node {
            return;
        }
        let now = self.shared.clock.now();
        let next = if self.local.node < node { now } else { now.plus(YIELD_MS) };
        for address in addresses {
            let Ok((address, _)) = address::split(address) else { continue };
            let is_loopback = address::is_loopback(&address);
            if !address::is_tcp_host(&address) || (self.local.loopback_only && !is_loopback) {
                continue;
            }
            // Of another host it says nothing about where that is.
            if address::ip(&address).is_some_and(address::is_link_local_v6) {
                continue;
            }
            if !self.targets.learn(address, node, now, next) {
                self.shared.meters.addresses_dropped.one();
            }
        }
    }

    /// Dials what is due.
    pub(super) fn dial_targets(&mut self, now: Millis) {
        let (peers, links, refusals) = (&self.peers, &self.links, &self.refusals);
        let unwanted = |node: NodeId| {
            peers.contains_key(&node)
                || links.values().any(|link| link.node == node)
                || refusals.is_refused(node, now)
        };
        for due in self.targets.due(now, unwanted) {
            let options = match (due.pinned.and_then(peer_of), due.addresses.first()) {
                (Some(peer), _) => DialOpts::peer_id(peer)
                    .condition(PeerCondition::Always)
                    .addresses(due.addresses.clone())
                    .allocate_new_port()
                    .build(),
                (None, Some(address)) => {
                    DialOpts::unknown_peer_id().address(address.clone()).allocate_new_port().build()
                }
                (None, None) => continue,
            };
            let connection = options.connection_id();
            self.targets.dialling(&due.addresses, connection);
            self.shared.meters.dials_begun.one();
            if let Err(error) = self.swarm.dial(options) {
                self.on_dial_failed(connection, &error, now);
            }
        }
    }

    /// Redials peers whose connection closed; those past their deadline are lost.
    pub(super) fn redial_lost(&mut self, now: Millis) {
        let redialled = self.peers.iter().filter_map(|(&node, peer)| Some((node, peer.redial?.deadline)));
        for (node, deadline) in redialled.collect::<Vec<_>>() {
            if deadline <= now {
                self.lose(node, LossEvidence::Closed);
            } else {
                self.redial(node, now);
            }
        }
    }

    /// Begins an attempt if none runs and one is due.
    pub(super) fn redial(&mut self, node: NodeId, now: Millis) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        let Some(redial) =
            peer.redial.as_mut().filter(|redial| redial.attempt.is_none() && redial.next <= now)
        else {
            return;
        };
        let first = peer.primary.iter().filter(|_| !redial.tried).cloned();
        let mut addresses: Vec<Multiaddr> = first.collect();
        if addresses.is_empty() {
            addresses.clone_from(&peer.addresses);
        }
        redial.tried = true;
        redial.next = now.plus(REDIAL_PAUSE_MS);
        let Some(id) = peer_of(node).filter(|_| !addresses.is_empty()) else { return };
        let options = DialOpts::peer_id(id)
            .condition(PeerCondition::Always)
            .addresses(addresses)
            .allocate_new_port()
            .build();
        redial.attempt = Some(options.connection_id());
        if let Err(error) = self.swarm.dial(options) {
            tracing::debug!(peer = %node.short(), %error, "redial not begun");
            if let Some(redial) = self.peers.get_mut(&node).and_then(|peer| peer.redial.as_mut()) {
                redial.attempt = None;
            }
        }
    }

    pub(super) fn on_dial_failed(&mut self, connection: ConnectionId, error: &DialError, now: Millis) {
        self.shared.meters.dials_failed.one();
        tracing::debug!(?connection, %error, "dial failed");
        if matches!(error, DialError::LocalPeerId { .. }) {
            self.targets.remove(connection);
        } else {
            let wanted = self.targets.dialled_node(connection);
            let is_alone = self.peers.is_empty();
            let words = |address: &Multiaddr| dial_words(error, address);
            for (address, node) in self.targets.failed(connection, now, is_alone, words) {
                self.shared.meters.peers_forgotten.one();
                let address = node.map_or_else(|| address.to_string(), |node| address::full(&address, node));
                tracing::info!(address, "forgotten: nobody answered there for too long");
                self.outbox.push_back(Event::PeerForgotten { address });
            }
            self.not_found(wanted);
        }
        let redialled = self.peers.iter_mut().find_map(|(&node, peer)| {
            let redial = peer.redial.as_mut().filter(|redial| redial.attempt == Some(connection))?;
            redial.attempt = None;
            Some((node, peer.proven))
        });
        // The error of a dial does not say reliably whether the port refused; a bare connection attempt does.
        if let Some((node, true)) = redialled {
            self.probe(node);
        }
    }

    /// Tells handles who cannot be reached, now and then.
    pub(super) fn report_unreached(&mut self, now: Millis) {
        if now.since(self.reported) < UNREACHED_REPORT_MS {
            return;
        }
        self.reported = now;
        let peers = &self.peers;
        let told = |unanswered: Unanswered<'_>| {
            let bare = || unanswered.address.to_string();
            UnreachedPeer {
                node: unanswered.node,
                address: unanswered.node.map_or_else(bare, |node| address::full(unanswered.address, node)),
                origin: match unanswered.origin {
                    Origin::Configured => AddressOrigin::Configured,
                    Origin::Remembered => AddressOrigin::Remembered,
                    Origin::Learned { .. } => AddressOrigin::Learned,
                },
                error: unanswered.error.unwrap_or_default().to_owned(),
                failures: unanswered.failures,
                next_dial_ms: unanswered.next.since(now),
            }
        };
        let unreached = self.targets.unanswered(|node| peers.contains_key(&node)).map(told).collect();
        self.shared.set_unreached(unreached);
    }

    /// Finds out whether the peer's listening port can be reached.
    pub(super) fn probe(&self, node: NodeId) {
        let primary = self.peers.get(&node).and_then(|peer| peer.primary.as_ref());
        let Some((host, port)) =
            primary.and_then(|address| Some((address::host(address)?, address::port(address)?)))
        else {
            return;
        };
        let events = self.link_sender.clone();
        tokio::spawn(async move {
            let attempt = timeout(CONNECTION_TIMEOUT, TcpStream::connect((host.as_str(), port))).await;
            let connected = matches!(attempt, Ok(Ok(_)));
            let refused =
                matches!(&attempt, Ok(Err(error)) if error.kind() == std::io::ErrorKind::ConnectionRefused);
            // The driver is gone only when the whole network is.
            let _ = events.send(LinkEvent::Probed { node, connected, refused }).await;
        });
    }

    pub(super) fn on_probed(&mut self, node: NodeId, connected: bool, refused: bool) {
        let Some(peer) = self.peers.get_mut(&node) else { return };
        if connected {
            peer.proven = true;
            self.shared.set_reachable(node);
        }
        if refused && peer.proven && peer.redial.is_some() {
            self.lose(node, LossEvidence::Refused);
        }
    }
}
