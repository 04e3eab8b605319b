//! The writing side of a link.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::{AsyncWrite, AsyncWriteExt};
use libp2p::swarm::ConnectionId;
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use traind_protocol::wire::encode;

use super::frame::Frame;
use super::queue::{ControlReceiver, Outgoing};
use super::reader::{LinkEnd, LinkEvent};
use crate::limits::HEARTBEAT_MS;
use crate::peer_meters::PeerMeters;
use crate::pulse::Pulse;
use crate::registry::Shared;

/// Writes one outbound control stream: queued frames, and heartbeats once the peer was accepted.
pub(crate) struct Writer<S> {
    pub(crate) stream: S,
    pub(crate) connection: ConnectionId,
    pub(crate) queue: ControlReceiver,
    pub(crate) pulse: Arc<Pulse>,
    pub(crate) meters: Arc<PeerMeters>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) events: mpsc::Sender<LinkEvent>,
}

impl<S: AsyncWrite + Unpin> Writer<S> {
    /// Writes until the stream breaks or all senders are gone.
    pub(crate) async fn run(mut self) {
        if let Err(error) = self.write_all().await {
            let end = LinkEnd::Closed(error);
            // The driver is gone only when the whole network is.
            let _ = self.events.send(LinkEvent::Ended { connection: self.connection, end }).await;
        }
    }

    async fn write_all(&mut self) -> io::Result<()> {
        let mut ticks = interval(Duration::from_millis(HEARTBEAT_MS));
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut beating = false;
        loop {
            tokio::select! {
                outgoing = self.queue.next() => match outgoing {
                    Some(Outgoing::Frame(frame)) => self.write(&frame).await?,
                    Some(Outgoing::Beat) => beating = true,
                    None => return self.stream.close().await,
                },
                _ = ticks.tick(), if beating => {
                    let beat = self.pulse.beat(self.shared.clock.micros());
                    self.write(&Bytes::from(encode(&Frame::Heartbeat(beat)))).await?;
                }
            }
            if self.queue.is_empty() {
                self.stream.flush().await?;
            }
        }
    }

    async fn write(&mut self, frame: &Bytes) -> io::Result<()> {
        let length = u32::try_from(frame.len()).map_err(io::Error::other)?;
        self.stream.write_all(&length.to_le_bytes()).await?;
        self.stream.write_all(frame).await?;
        self.shared.meters.control_frames_sent.one();
        self.shared.meters.control_bytes_sent.add(frame.len() + 4);
        self.meters.control_bytes_sent.add(frame.len() + 4);
        Ok(())
    }
}
