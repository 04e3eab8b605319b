//! One connection's side of Kademlia: nothing, until the peer was accepted.

use std::fmt;
use std::task::{Context, Poll};

use libp2p::core::upgrade::DeniedUpgrade;
use libp2p::swarm::derive_prelude::Either;
use libp2p::swarm::handler::ConnectionEvent;
use libp2p::swarm::{ConnectionHandler, ConnectionHandlerEvent, SubstreamProtocol};

use super::KadHandler;

type Inbound = <KadHandler as ConnectionHandler>::InboundProtocol;
type Outbound = <KadHandler as ConnectionHandler>::OutboundProtocol;

/// Refuses streams of the protocol until [`ToHandler::Admit`].
#[derive(Default)]
pub(crate) struct Handler {
    inner: Option<Box<KadHandler>>,
}

/// What the behaviour tells a connection.
pub(crate) enum ToHandler {
    /// The peer was accepted: from now on it is served by this.
    Admit(Box<KadHandler>),
    /// For the handler of an accepted peer.
    Inner(<KadHandler as ConnectionHandler>::FromBehaviour),
}

impl fmt::Debug for ToHandler {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admit(_) => formatter.write_str("Admit"),
            Self::Inner(event) => formatter.debug_tuple("Inner").field(event).finish(),
        }
    }
}

impl ConnectionHandler for Handler {
    type FromBehaviour = ToHandler;
    type ToBehaviour = <KadHandler as ConnectionHandler>::ToBehaviour;
    type InboundProtocol = Inbound;
    type OutboundProtocol = Outbound;
    type InboundOpenInfo = ();
    type OutboundOpenInfo = ();

    fn listen_protocol(&self) -> SubstreamProtocol<Inbound> {
        match &self.inner {
            Some(inner) => inner.listen_protocol(),
            None => SubstreamProtocol::new(Either::Right(DeniedUpgrade), ()),
        }
    }

    fn connection_keep_alive(&self) -> bool {
        self.inner.as_ref().is_some_and(|inner| inner.connection_keep_alive())
    }

    fn poll(
        &mut self,
        context: &mut Context<'_>,
    ) -> Poll<ConnectionHandlerEvent<Outbound, (), Self::ToBehaviour>> {
        match &mut self.inner {
            Some(inner) => inner.poll(context),
            // Admission comes as an event of the behaviour, after which the connection polls again.
            None => Poll::Pending,
        }
    }

    fn on_behaviour_event(&mut self, event: ToHandler) {
        match (event, &mut self.inner) {
            (ToHandler::Admit(handler), inner @ None) => *inner = Some(handler),
            (ToHandler::Inner(event), Some(inner)) => inner.on_behaviour_event(event),
            (ToHandler::Admit(_), Some(_)) | (ToHandler::Inner(_), None) => {}
        }
    }

    fn on_connection_event(&mut self, event: ConnectionEvent<'_, Inbound, Outbound>) {
        if let Some(inner) = &mut self.inner {
            inner.on_connection_event(event);
        }
    }
}
