//! Kademlia among the members of one swarm (Maymounkov, Mazières: Kademlia, IPTPS 2002): finds members that nobody
//! told of, far beyond the local network.
//!
//! It serves accepted peers only (A1): a connection gets a handler when its hello was accepted, and the routing table
//! has joined peers only. It dials nobody: whom a query wants to reach is told to the driver, which dials as it dials
//! everyone else.

mod handler;
mod no_records;
mod searches;

use std::collections::{BTreeMap, VecDeque};
use std::task::{Context, Poll, Waker};

use libp2p::core::transport::PortUse;
use libp2p::core::{ConnectedPoint, Endpoint, Multiaddr};
use libp2p::kad::{BucketInserts, Caching, Config, Mode};
use libp2p::swarm::behaviour::{ConnectionClosed, ConnectionEstablished, DialFailure};
use libp2p::swarm::{
    ConnectionDenied, ConnectionHandler, ConnectionId, DialError, FromSwarm, NetworkBehaviour, NotifyHandler,
    THandler, THandlerInEvent, THandlerOutEvent, ToSwarm,
};
use libp2p::{PeerId, StreamProtocol, kad};
use traind_protocol::ids::SwarmId;

use crate::limits::{
    ADDRESSES_PER_PEER_MAX, CONNECTIONS_PER_PEER_MAX, KADEMLIA_MESSAGE_BYTES_MAX, KADEMLIA_QUERY_TIMEOUT,
};

use handler::{Handler, ToHandler};
use no_records::NoRecords;
pub(super) use searches::Searches;

type Inner = kad::Behaviour<NoRecords>;
/// The handler that libp2p gives a connection.
type KadHandler = <Inner as NetworkBehaviour>::ConnectionHandler;

/// A peer that a query wants to reach.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) peer: PeerId,
    /// Where others say it is; nothing is known of them yet.
    pub(crate) addresses: Vec<Multiaddr>,
}

/// The behaviour. Without a swarm it does nothing.
pub(crate) struct Kademlia {
    me: PeerId,
    inner: Option<Inner>,
    /// Accepted connections by peer.
    admitted: BTreeMap<PeerId, BTreeMap<ConnectionId, ConnectedPoint>>,
    events: VecDeque<ToSwarm<Wanted, ToHandler>>,
    waker: Option<Waker>,
}

impl Kademlia {
    pub(crate) fn new(me: PeerId) -> Self {
        Self { me, inner: None, admitted: BTreeMap::new(), events: VecDeque::new(), waker: None }
    }

    /// The node is in this swarm from now on. Its name is in the protocol's, so two swarms never mix.
    pub(crate) fn enter(&mut self, swarm: SwarmId) {
        let Ok(protocol) = StreamProtocol::try_from_owned(format!("/traind/kad/1/{}", swarm.to_hex())) else {
            return;
        };
        let mut config = Config::new(protocol);
        config
            .set_query_timeout(KADEMLIA_QUERY_TIMEOUT)
            .set_max_packet_size(KADEMLIA_MESSAGE_BYTES_MAX)
            .set_kbucket_inserts(BucketInserts::Manual)
            .set_caching(Caching::Disabled)
            .set_replication_interval(None)
            .set_publication_interval(None)
            .set_provider_publication_interval(None)
            // The driver says when, see `Searches`.
            .set_periodic_bootstrap_interval(None);
        let mut inner = Inner::with_config(self.me, NoRecords, config);
        inner.set_mode(Some(Mode::Server));
        self.inner = Some(inner);
        self.wake();
    }

    /// The peer was accepted on this connection; it can be found at `addresses`.
    pub(crate) fn admit(&mut self, peer: PeerId, connection: ConnectionId, addresses: &[Multiaddr]) {
        let Some(inner) = &mut self.inner else { return };
        let connections = self.admitted.entry(peer).or_default();
        if connections.contains_key(&connection) || connections.len() >= CONNECTIONS_PER_PEER_MAX as usize {
            return;
        }
        // As if it had come from there, whoever dialled: an address that was dialled here is not to be told unseen.
        let (local, remote) = (Multiaddr::empty(), Multiaddr::empty());
        let made = inner.handle_established_inbound_connection(connection, peer, &local, &remote);
        let Ok(handler) = made else { return };
        let endpoint = ConnectedPoint::Listener { local_addr: local, send_back_addr: remote };
        inner.on_swarm_event(FromSwarm::ConnectionEstablished(ConnectionEstablished {
            peer_id: peer,
            connection_id: connection,
            endpoint: &endpoint,
            failed_addresses: &[],
            other_established: connections.len(),
        }));
        connections.insert(connection, endpoint);
        for address in addresses.iter().take(ADDRESSES_PER_PEER_MAX) {
            inner.add_address(&peer, address.clone());
        }
        let event = ToHandler::Admit(Box::new(handler));
        let handler = NotifyHandler::One(connection);
        self.events.push_back(ToSwarm::NotifyHandler { peer_id: peer, handler, event });
        self.wake();
    }

    /// The peer is lost: nobody is told of it any more.
    pub(crate) fn forget(&mut self, peer: &PeerId) {
        if let Some(inner) = &mut self.inner {
            inner.remove_peer(peer);
        }
    }

    /// A wanted peer cannot be reached, so that no query waits for it.
    pub(crate) fn unreachable(&mut self, peer: PeerId) {
        if let Some(inner) = self.inner.as_mut().filter(|_| !self.admitted.contains_key(&peer)) {
            let (error, connection_id) = (DialError::NoAddresses, ConnectionId::new_unchecked(0));
            let failure = DialFailure { peer_id: Some(peer), error: &error, connection_id };
            inner.on_swarm_event(FromSwarm::DialFailure(failure));
            self.wake();
        }
    }

    /// Searches for members near this node and in all other distances. Without peers there is nobody to ask.
    pub(crate) fn search(&mut self) {
        if let Some(inner) = self.inner.as_mut().filter(|_| !self.admitted.is_empty()) {
            // Its only error is an empty routing table.
            let _ = inner.bootstrap();
            self.wake();
        }
    }

    /// Members in the routing table.
    pub(crate) fn count(&mut self) -> usize {
        self.inner.as_mut().map_or(0, |inner| inner.kbuckets().map(|bucket| bucket.num_entries()).sum())
    }

    fn wake(&mut self) {
        if let Some(waker) = self.waker.take() {
            waker.wake();
        }
    }

    fn closed(&mut self, closed: &ConnectionClosed<'_>) {
        let Some(connections) = self.admitted.get_mut(&closed.peer_id) else { return };
        let Some(endpoint) = connections.remove(&closed.connection_id) else { return };
        let remaining_established = connections.len();
        if connections.is_empty() {
            self.admitted.remove(&closed.peer_id);
        }
        if let Some(inner) = &mut self.inner {
            inner.on_swarm_event(FromSwarm::ConnectionClosed(ConnectionClosed {
                peer_id: closed.peer_id,
                connection_id: closed.connection_id,
                endpoint: &endpoint,
                cause: closed.cause,
                remaining_established,
            }));
        }
    }

    /// What libp2p's Kademlia wants, as far as it is let.
    fn translate(
        &mut self,
        wish: ToSwarm<kad::Event, <KadHandler as ConnectionHandler>::FromBehaviour>,
    ) -> Option<ToSwarm<Wanted, ToHandler>> {
        match wish {
            ToSwarm::Dial { opts } => {
                let peer = opts.get_peer_id()?;
                let pending = self.inner.as_mut()?.handle_pending_outbound_connection(
                    opts.connection_id(),
                    Some(peer),
                    &[],
                    Endpoint::Dialer,
                );
                let mut addresses = pending.unwrap_or_default();
                addresses.truncate(ADDRESSES_PER_PEER_MAX);
                Some(ToSwarm::GenerateEvent(Wanted { peer, addresses }))
            }
            ToSwarm::NotifyHandler { peer_id, handler, event } => {
                // Any other connection of the peer has no handler yet.
                let first = self.admitted.get(&peer_id)?.keys().next().copied()?;
                let connection = match handler {
                    NotifyHandler::One(connection) => connection,
                    NotifyHandler::Any => first,
                };
                let (handler, event) = (NotifyHandler::One(connection), ToHandler::Inner(event));
                Some(ToSwarm::NotifyHandler { peer_id, handler, event })
            }
            _ => None,
        }
    }
}

impl NetworkBehaviour for Kademlia {
    type ConnectionHandler = Handler;
    type ToSwarm = Wanted;

    fn handle_established_inbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: &Multiaddr,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn handle_established_outbound_connection(
        &mut self,
        _: ConnectionId,
        _: PeerId,
        _: &Multiaddr,
        _: Endpoint,
        _: PortUse,
    ) -> Result<THandler<Self>, ConnectionDenied> {
        Ok(Handler::default())
    }

    fn on_swarm_event(&mut self, event: FromSwarm<'_>) {
        if let FromSwarm::ConnectionClosed(closed) = event {
            self.closed(&closed);
        }
    }

    fn on_connection_handler_event(
        &mut self,
        peer: PeerId,
        connection: ConnectionId,
        event: THandlerOutEvent<Self>,
    ) {
        let is_admitted = self.admitted.get(&peer).is_some_and(|all| all.contains_key(&connection));
        if let Some(inner) = self.inner.as_mut().filter(|_| is_admitted) {
            inner.on_connection_handler_event(peer, connection, event);
            self.wake();
        }
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<ToSwarm<Wanted, THandlerInEvent<Self>>> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Poll::Ready(event);
            }
            let Some(Poll::Ready(wish)) = self.inner.as_mut().map(|inner| inner.poll(context)) else {
                self.waker = Some(context.waker().clone());
                return Poll::Pending;
            };
            if let Some(event) = self.translate(wish) {
                return Poll::Ready(event);
            }
        }
    }
}
