//! Bulk over TCP and TLS: a listener, and a sending task per peer.

use std::io;
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use traind_protocol::ids::NodeId;

use super::listener::{Inbound, Listener};
use super::queue::Queue;
use super::sender::Sender;
use super::tls::{Credentials, TlsError};
use super::{Destination, Path, Transport};
use crate::event::DataEvent;
use crate::peer_meters::PeerMeters;
use crate::registry::Shared;

/// Written by the listener when it serves a connection. A TLS 1.3 client is done before its own certificate was
/// judged; without this it would take a refused connection for an open one.
pub(super) const READY: [u8; 16] = *b"traind-bulk/1 ok";

/// TLS over TCP.
#[derive(Debug)]
pub(crate) struct TlsTransport {
    port: u16,
    credentials: Credentials,
    runtime: Handle,
    shared: Arc<Shared>,
    events: mpsc::Sender<DataEvent>,
    inbound: Arc<Mutex<Inbound>>,
}

impl TlsTransport {
    /// Serves `listener` on `runtime`, which this must be called in.
    pub(crate) fn start(
        listener: TcpListener,
        credentials: Credentials,
        shared: Arc<Shared>,
        events: mpsc::Sender<DataEvent>,
    ) -> Result<Self, TransportError> {
        listener.set_nonblocking(true).map_err(TransportError::Listen)?;
        let port = listener.local_addr().map_err(TransportError::Listen)?.port();
        let socket = tokio::net::TcpListener::from_std(listener).map_err(TransportError::Listen)?;
        let acceptor = TlsAcceptor::from(Arc::new(credentials.server().map_err(TransportError::Tls)?));
        let inbound = Arc::new(Mutex::new(Inbound::default()));
        let listener =
            Listener::new(socket, acceptor, Arc::clone(&shared), events.clone(), Arc::clone(&inbound));
        let runtime = Handle::current();
        runtime.spawn(listener.run());
        Ok(Self { port, credentials, runtime, shared, events, inbound })
    }
}

/// Why bulk connections are not served.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TransportError {
    /// The listener could not be set up.
    #[error("listen for bulk connections")]
    Listen(#[source] io::Error),
    /// TLS could not be set up.
    #[error("set up bulk connections")]
    Tls(#[source] TlsError),
}

impl Transport for TlsTransport {
    fn port(&self) -> u16 {
        self.port
    }

    fn open(&self, to: Destination, meters: Arc<PeerMeters>) -> Arc<dyn Path> {
        let queue = Arc::new(Queue::new());
        let sender = Sender {
            to,
            meters,
            queue: Arc::clone(&queue),
            credentials: self.credentials.clone(),
            shared: Arc::clone(&self.shared),
            events: self.events.clone(),
        };
        self.runtime.spawn(sender.run());
        queue
    }

    fn cut(&self, from: NodeId) {
        self.inbound.lock().unwrap_or_else(std::sync::PoisonError::into_inner).cut(from);
    }
}
