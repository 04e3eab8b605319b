//! The accepting side of bulk connections.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use traind_protocol::ids::NodeId;

use super::frame::{DataFrameError, read_frame};
use super::tls::authenticated;
use super::transport::READY;
use crate::event::DataEvent;
use crate::limits::{BULK_HANDSHAKE_TIMEOUT, BULK_HANDSHAKES_MAX};
use crate::registry::Shared;

/// Pause after a failed accept: the process is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Readers by peer: at most one each, so at most as many as joined peers.
#[derive(Debug, Default)]
pub(super) struct Inbound {
    readers: BTreeMap<NodeId, AbortHandle>,
}

impl Inbound {
    /// Ends what `from` opened.
    pub(super) fn cut(&mut self, from: NodeId) {
        if let Some(reader) = self.readers.remove(&from) {
            reader.abort();
        }
    }

    /// A peer opened a new connection, so it gave up the one before.
    fn replace(&mut self, from: NodeId, reader: AbortHandle) {
        self.readers.retain(|_, reader| !reader.is_finished());
        if let Some(before) = self.readers.insert(from, reader) {
            before.abort();
        }
    }
}

/// Accepts bulk connections of joined peers.
pub(super) struct Listener {
    socket: TcpListener,
    service: Arc<Service>,
    handshakes: Arc<Semaphore>,
}

struct Service {
    acceptor: TlsAcceptor,
    shared: Arc<Shared>,
    events: mpsc::Sender<DataEvent>,
    inbound: Arc<Mutex<Inbound>>,
}

impl Listener {
    pub(super) fn new(
        socket: TcpListener,
        acceptor: TlsAcceptor,
        shared: Arc<Shared>,
        events: mpsc::Sender<DataEvent>,
        inbound: Arc<Mutex<Inbound>>,
    ) -> Self {
        let service = Arc::new(Service { acceptor, shared, events, inbound });
        Self { socket, service, handshakes: Arc::new(Semaphore::new(BULK_HANDSHAKES_MAX)) }
    }

    /// Accepts until the runtime ends.
    pub(super) async fn run(self) {
        loop {
            let Ok(permit) = Arc::clone(&self.handshakes).acquire_owned().await else { return };
            match self.socket.accept().await {
                Ok((stream, _)) => {
                    let service = Arc::clone(&self.service);
                    tokio::spawn(async move {
                        let opened = timeout(BULK_HANDSHAKE_TIMEOUT, service.handshake(stream)).await;
                        drop(permit);
                        match opened.ok().flatten() {
                            Some((from, stream)) => service.admit(from, stream),
                            None => service.shared.meters.data_handshakes_refused.one(),
                        }
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "bulk connection not accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl Service {
    /// The connection of a joined peer, told that it is served; `None` for everybody else.
    async fn handshake(&self, stream: TcpStream) -> Option<(NodeId, TlsStream<TcpStream>)> {
        stream.set_nodelay(true).ok()?;
        let mut stream = self.acceptor.accept(stream).await.ok()?;
        let from = authenticated(stream.get_ref().1.peer_certificates()).ok()?;
        if !self.shared.is_joined(from) {
            return None;
        }
        stream.write_all(&READY).await.ok()?;
        stream.flush().await.ok()?;
        Some((from, stream))
    }

    fn admit(self: Arc<Self>, from: NodeId, stream: TlsStream<TcpStream>) {
        let service = Arc::clone(&self);
        let reader = tokio::spawn(async move { service.read(from, stream).await });
        let mut inbound = self.inbound.lock().unwrap_or_else(PoisonError::into_inner);
        inbound.replace(from, reader.abort_handle());
        // Lost between the handshake and now: nobody else would end this reader.
        if !self.shared.is_joined(from) {
            inbound.cut(from);
        }
    }

    /// Reads frames while the consumer takes them.
    async fn read(&self, from: NodeId, mut stream: TlsStream<TcpStream>) {
        // Joined, so it has some; without them what it sends is counted in the totals only.
        let meters = self.shared.peer_meters(from).unwrap_or_default();
        loop {
            let (kind, header, payload) = match read_frame(&mut stream).await {
                Ok(Some(frame)) => frame,
                Ok(None) => return,
                Err(DataFrameError::Read(error)) => {
                    tracing::debug!(from = %from.short(), %error, "bulk connection broke");
                    return;
                }
                Err(error @ (DataFrameError::TooLong { .. } | DataFrameError::Kind { .. })) => {
                    self.shared.meters.data_violations.one();
                    tracing::warn!(from = %from.short(), %error, "bulk connection dropped");
                    // The consumer ends only with the network.
                    let _ = self.events.send(DataEvent::Violated { from }).await;
                    return;
                }
            };
            self.shared.meters.data_frames_received.one();
            self.shared.meters.data_payload_bytes_received.add(payload.len());
            meters.data_bytes_received.add(payload.len());
            if self.events.send(DataEvent::Frame { from, kind, header, payload }).await.is_err() {
                return;
            }
        }
    }
}
