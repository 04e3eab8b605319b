//! The task that keeps one sending path open.

use std::future::pending;
use std::io;
use std::sync::Arc;

use rustls::pki_types::ServerName;
use thiserror::Error;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{mpsc, watch};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Destination;
use super::frame::write_frame;
use super::queue::{Queue, Signal};
use super::tls::{Credentials, TlsError};
use super::transport::READY;
use crate::event::DataEvent;
use crate::limits::{BULK_HANDSHAKE_TIMEOUT, BULK_RETRY_PAUSE};
use crate::peer_meters::PeerMeters;
use crate::registry::Shared;

/// Opens the path, pumps the queue into it, and does so again when it broke.
pub(super) struct Sender {
    pub(super) to: Destination,
    pub(super) meters: Arc<PeerMeters>,
    pub(super) queue: Arc<Queue>,
    pub(super) credentials: Credentials,
    pub(super) shared: Arc<Shared>,
    pub(super) events: mpsc::Sender<DataEvent>,
}

#[derive(Debug, Error)]
enum OpenError {
    #[error("connect bulk")]
    Connect(#[source] io::Error),
    #[error("configure bulk TLS")]
    Configure(#[source] TlsError),
    #[error("bulk TLS handshake")]
    Handshake(#[source] io::Error),
    #[error("bulk listener does not serve us yet")]
    NotServed(#[source] io::Error),
    #[error("what listens there is no bulk listener")]
    NotBulk,
    #[error("bulk handshake took too long")]
    TimedOut,
}

impl Sender {
    pub(super) async fn run(self) {
        let mut signal = self.queue.signal();
        let mut failed_before = false;
        while *signal.borrow_and_update() != Signal::Close {
            match self.until_signal(&mut signal, self.open()).await {
                None => continue,
                Some(Ok(stream)) => {
                    failed_before = false;
                    self.serve(&mut signal, stream).await;
                }
                Some(Err(error)) => {
                    if !failed_before {
                        tracing::debug!(to = %self.to.node.short(), error = chain(&error), "bulk path not open yet");
                    }
                    failed_before = true;
                }
            }
            self.until_signal(&mut signal, sleep(BULK_RETRY_PAUSE)).await;
        }
        self.account();
    }

    /// `None` if the signal came first.
    async fn until_signal<T>(
        &self,
        signal: &mut watch::Receiver<Signal>,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let changed = async {
            if signal.changed().await.is_err() {
                // The queue is ours, so its sender lives as long as we do.
                pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = changed => None,
            done = work => Some(done),
        }
    }

    /// Sends until the connection breaks or must be dropped.
    async fn serve(&self, signal: &mut watch::Receiver<Signal>, stream: TlsStream<TcpStream>) {
        self.queue.open();
        self.shared.meters.data_paths_opened.one();
        tracing::debug!(to = %self.to.node.short(), port = self.to.port, "bulk path opened");
        let pumping = async {
            if self.events.send(DataEvent::PathOpened { to: self.to.node }).await.is_err() {
                return pending().await;
            }
            self.pump(stream).await
        };
        let ended = self.until_signal(signal, pumping).await;
        self.account();
        match ended {
            Some(Err(error)) => {
                tracing::debug!(to = %self.to.node.short(), error = chain(&error), "bulk path broke");
            }
            Some(Ok(())) => tracing::debug!(to = %self.to.node.short(), "bulk path closed by its peer"),
            None => tracing::debug!(to = %self.to.node.short(), "bulk path dropped"),
        }
    }

    fn account(&self) {
        let (dropped_frames, full_resets) = self.queue.interrupt();
        self.shared.meters.data_frames_dropped.add(dropped_frames);
        self.shared.meters.data_resets_full.add(full_resets);
    }

    async fn open(&self) -> Result<TlsStream<TcpStream>, OpenError> {
        timeout(BULK_HANDSHAKE_TIMEOUT, self.handshake()).await.unwrap_or(Err(OpenError::TimedOut))
    }

    async fn handshake(&self) -> Result<TlsStream<TcpStream>, OpenError> {
        let config = self.credentials.client(self.to.node).map_err(OpenError::Configure)?;
        let address = (self.to.host.as_str(), self.to.port);
        let stream = TcpStream::connect(address).await.map_err(OpenError::Connect)?;
        stream.set_nodelay(true).map_err(OpenError::Connect)?;
        // Names mean nothing here: the verifier checks the node.
        let name = ServerName::IpAddress(stream.peer_addr().map_err(OpenError::Connect)?.ip().into());
        let connector = TlsConnector::from(Arc::new(config));
        let mut stream = connector.connect(name, stream).await.map_err(OpenError::Handshake)?;
        let mut ready = [0u8; READY.len()];
        stream.read_exact(&mut ready).await.map_err(OpenError::NotServed)?;
        if ready == READY { Ok(stream) } else { Err(OpenError::NotBulk) }
    }

    /// Writes frames; also watches for the end of the connection, since the peer sends nothing else.
    async fn pump(&self, mut stream: TlsStream<TcpStream>) -> io::Result<()> {
        let mut nothing = [0u8; 1];
        loop {
            let frame = match self.queue.pop() {
                Some(frame) => frame,
                None => {
                    stream.flush().await?;
                    tokio::select! {
                        frame = self.queue.next() => frame,
                        read = stream.read(&mut nothing) => return read.map(|_| ()),
                    }
                }
            };
            write_frame(&mut stream, &frame, &self.shared.caps).await?;
            self.shared.meters.data_frames_sent.one();
            self.shared.meters.data_payload_bytes_sent.add(frame.payload_bytes());
            self.meters.data_bytes_sent.add(frame.payload_bytes());
        }
    }
}

/// The error and its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}
