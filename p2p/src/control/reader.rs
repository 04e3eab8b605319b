//! The reading side of a link.

use std::sync::Arc;

use futures::AsyncRead;
use libp2p::swarm::ConnectionId;
use tokio::sync::{mpsc, oneshot};
use traind_protocol::ids::NodeId;
use traind_protocol::wire::control::ControlMessage;
use traind_protocol::wire::hello::HELLO_BYTES_MAX;

use super::frame::{Frame, FrameError, Greeting, KnownPeer, read_frame};
use crate::limits::{FRAME_BYTES_MAX, GREETINGS_MAX};
use crate::peer_meters::PeerMeters;
use crate::pulse::Pulse;
use crate::registry::Shared;

/// What a link's tasks tell the driver.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// The peer greeted. The reader goes on when it got an answer: true if the peer was accepted, false to wait for
    /// another greeting; it ends when the answer is dropped.
    Greeted { connection: ConnectionId, greeting: Greeting, answer: oneshot::Sender<bool> },
    /// A frame of an accepted peer.
    Received { connection: ConnectionId, incoming: Incoming },
    /// One of the link's streams ended.
    Ended { connection: ConnectionId, end: LinkEnd },
    /// A connection attempt to a joined peer's listening port: whether it connected, and if not, whether it was refused.
    Probed { node: NodeId, connected: bool, refused: bool },
}

/// Frames that the driver handles.
#[derive(Debug)]
pub(crate) enum Incoming {
    Control(ControlMessage),
    Peers(Vec<KnownPeer>),
}

/// Why a stream ended.
#[derive(Debug)]
pub(crate) enum LinkEnd {
    /// It was closed or broke.
    Closed(std::io::Error),
    /// The peer sent what no peer may send.
    Violation(String),
}

/// Reads one inbound control stream.
pub(crate) struct Reader<S> {
    pub(crate) stream: S,
    pub(crate) connection: ConnectionId,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) meters: Arc<PeerMeters>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) events: mpsc::Sender<LinkEvent>,
}

impl<S: AsyncRead + Unpin> Reader<S> {
    /// Reads until the stream ends or the peer misbehaves.
    pub(crate) async fn run(mut self) {
        if let Err(end) = self.read().await {
            if matches!(end, LinkEnd::Violation(_)) {
                self.shared.meters.control_violations.one();
            }
            // The driver is gone only when the whole network is.
            let _ = self.events.send(LinkEvent::Ended { connection: self.connection, end }).await;
        }
    }

    async fn read(&mut self) -> Result<(), LinkEnd> {
        if !self.greet().await? {
            return Ok(());
        }
        loop {
            let incoming = match self.frame(FRAME_BYTES_MAX).await? {
                Frame::Heartbeat(heartbeat) => {
                    let clock = &self.shared.clock;
                    self.pulse.heartbeat(&heartbeat, clock.now(), clock.micros());
                    continue;
                }
                Frame::Control(message) => Incoming::Control(message),
                Frame::Peers(peers) => Incoming::Peers(peers),
                Frame::Greeting(_) => {
                    return Err(LinkEnd::Violation("greeting after the handshake".to_owned()));
                }
            };
            if !self.deliver(LinkEvent::Received { connection: self.connection, incoming }).await {
                return Ok(());
            }
        }
    }

    /// Reads greetings until one is accepted; false if the driver wants no more.
    async fn greet(&mut self) -> Result<bool, LinkEnd> {
        for _ in 0..GREETINGS_MAX {
            let Frame::Greeting(greeting) = self.frame(HELLO_BYTES_MAX).await? else {
                return Err(LinkEnd::Violation("frame before the handshake".to_owned()));
            };
            let (answer, answered) = oneshot::channel();
            let connection = self.connection;
            if !self.deliver(LinkEvent::Greeted { connection, greeting, answer }).await {
                return Ok(false);
            }
            match answered.await {
                Ok(true) => return Ok(true),
                Ok(false) => {}
                Err(_) => return Ok(false),
            }
        }
        Err(LinkEnd::Violation("too many greetings".to_owned()))
    }

    async fn frame(&mut self, bytes_max: usize) -> Result<Frame, LinkEnd> {
        let heard = || self.pulse.heard(self.shared.clock.now());
        let (frame, bytes) =
            read_frame(&mut self.stream, bytes_max, heard).await.map_err(|error| match error {
                FrameError::Read(source) => LinkEnd::Closed(source),
                FrameError::TooLong { .. } => LinkEnd::Violation(error.to_string()),
                FrameError::Decode(source) => LinkEnd::Violation(source.to_string()),
            })?;
        self.shared.meters.control_frames_received.one();
        self.shared.meters.control_bytes_received.add(bytes + 4);
        self.meters.control_bytes_received.add(bytes + 4);
        Ok(frame)
    }

    /// Hands an event to the driver, and says so while the driver has no room; false if the driver is gone.
    async fn deliver(&mut self, event: LinkEvent) -> bool {
        match self.events.try_send(event) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(event)) => {
                self.pulse.set_stalled(true, self.shared.clock.now());
                let delivered = self.events.send(event).await.is_ok();
                self.pulse.set_stalled(false, self.shared.clock.now());
                delivered
            }
        }
    }
}
