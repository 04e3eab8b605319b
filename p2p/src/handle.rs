//! What the rest of the daemon holds of the network.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::{mpsc, watch};
use traind_protocol::ids::{Boot, NodeId, SeatId, SwarmId};
use traind_protocol::wire::control::{CONTROL_BYTES_MAX, ControlMessage};
use traind_protocol::wire::data::DataFrame;
use traind_protocol::wire::encode;

use crate::control::{Frame, QueueError};
use crate::counters::Counters;
use crate::limits::FRAME_BYTES_MAX;
use crate::peer_meters::{PeerCounters, PeerMeters};
use crate::registry::{Entry, Shared};
use crate::unreached::UnreachedPeer;

/// Why a message was not taken. Nothing of it was sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum SendError {
    /// The peer is not joined, or its connection is being opened.
    #[error("peer is not connected")]
    NotConnected,
    /// The peer's queue is full. On a data path everything queued is dropped and the path is opened anew.
    #[error("queue to the peer is full")]
    Full,
    /// The message is longer than any may be.
    #[error("message of {bytes} bytes, {bytes_max} are allowed")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
}

/// A joined peer at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerSnapshot {
    /// The peer.
    pub node: NodeId,
    /// Its process.
    pub boot: Boot,
    /// Where it can be reached, as a multiaddr with `/p2p/...`.
    pub address: String,
    /// Round trip of the latest heartbeat, microseconds; `None` before the first.
    pub rtt_us: Option<u64>,
    /// Time since its latest sign of life, milliseconds.
    pub heartbeat_age_ms: u64,
    /// Whether its listening port was reached from here. Only then its death can be known at once.
    pub reachable: bool,
}

/// What handles tell the driver.
#[derive(Debug)]
pub(crate) enum Command {
    /// Keep a peer's address.
    Dial(String),
}

/// What may change about this node. A watched value: the latest one is never lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) seat: SeatId,
    pub(crate) founded: Option<SwarmId>,
    pub(crate) stop: bool,
}

/// A cloneable handle of the running network. When the last one is dropped the network stops.
///
/// No method waits for the network, except [`Self::shutdown`].
#[derive(Clone, Debug)]
pub struct Handle {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    node: NodeId,
    bulk_port: u16,
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
    settings: watch::Sender<Settings>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Handle {
    pub(crate) fn new(
        node: NodeId,
        bulk_port: u16,
        shared: Arc<Shared>,
        commands: mpsc::Sender<Command>,
        settings: watch::Sender<Settings>,
        thread: JoinHandle<()>,
    ) -> Self {
        let thread = Mutex::new(Some(thread));
        Self { inner: Arc::new(Inner { node, bulk_port, shared, commands, settings, thread }) }
    }

    /// This node.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.inner.node
    }

    /// TCP port of the bulk listener, for people who open firewalls.
    #[must_use]
    pub fn bulk_port(&self) -> u16 {
        self.inner.bulk_port
    }

    /// Queues a control message. Messages to one peer arrive in order; those queued when its connection breaks are lost.
    ///
    /// # Errors
    /// When the peer is not connected, its queue is full, or the message is too long.
    pub fn try_send_control(&self, to: NodeId, message: ControlMessage) -> Result<(), SendError> {
        let frame = encode_control(message)?;
        self.queue_control(to, frame)
    }

    /// Queues a control message to every joined peer; returns how many took it.
    ///
    /// # Errors
    /// When the message is too long.
    pub fn broadcast_control(&self, message: ControlMessage) -> Result<usize, SendError> {
        let frame = encode_control(message)?;
        let peers = self.inner.shared.entries();
        Ok(peers.iter().filter(|(node, _)| self.queue_control(*node, frame.clone()).is_ok()).count())
    }

    /// Queues a data frame. Payloads of chunks go when nothing else waits for that peer; of them [`SendError::Full`] breaks
    /// nothing. It takes none before [`crate::DataEvent::PathOpened`] and while the path is broken.
    ///
    /// # Errors
    /// When the peer is not joined, its path is not open, its queue is full (the path is then opened anew), or header
    /// or payload are too long.
    pub fn try_send_data(&self, to: NodeId, frame: DataFrame) -> Result<(), SendError> {
        self.inner.shared.path(to).ok_or(SendError::NotConnected)?.try_send(frame)
    }

    /// Queues a background frame as soon as there is room for it.
    ///
    /// # Errors
    /// When the peer is not joined, its path is not open or breaks meanwhile, or header or payload are too long.
    pub async fn send_data_behind(&self, to: NodeId, frame: DataFrame) -> Result<(), SendError> {
        let path = self.inner.shared.path(to).ok_or(SendError::NotConnected)?;
        let room = path.background_room();
        loop {
            let notified = room.notified();
            match path.try_send(frame.clone()) {
                Err(SendError::Full) if frame.is_background() => notified.await,
                sent => return sent,
            }
        }
    }

    /// The seat to tell in hellos from now on.
    pub fn set_seat(&self, seat: SeatId) {
        self.inner.settings.send_modify(|settings| settings.seat = seat);
    }

    /// Founds a swarm, unless the node is in one already. Peers that look for one are told.
    pub fn found_swarm(&self, swarm: SwarmId) {
        self.inner.settings.send_modify(|settings| settings.founded = Some(swarm));
    }

    /// The joined peers, in order of their ids.
    #[must_use]
    pub fn peers(&self) -> Vec<PeerSnapshot> {
        let now = self.inner.shared.clock.now();
        let snapshot = |(node, entry): (NodeId, Entry)| PeerSnapshot {
            node,
            boot: entry.boot,
            address: entry.address,
            reachable: entry.reachable,
            rtt_us: entry.pulse.rtt_us(),
            heartbeat_age_ms: entry.pulse.silence_ms(now),
        };
        self.inner.shared.entries().into_iter().map(snapshot).collect()
    }

    /// The counters now.
    #[must_use]
    pub fn counters(&self) -> Counters {
        let shared = &self.inner.shared;
        let upload_bytes_per_second_max = shared.caps.all.bytes_per_second_max().unwrap_or(0);
        Counters { upload_bytes_per_second_max, ..shared.meters.snapshot() }
    }

    /// Counters of each peer that was ever joined, in order of their ids; of many that left, not all.
    #[must_use]
    pub fn peer_counters(&self) -> Vec<PeerCounters> {
        let shared = &self.inner.shared;
        let now = shared.clock.now();
        let joined: BTreeMap<NodeId, Entry> = shared.entries().into_iter().collect();
        let counters = |(node, meters): (NodeId, Arc<PeerMeters>)| {
            let entry = joined.get(&node);
            PeerCounters {
                node,
                is_joined: entry.is_some(),
                control_bytes_sent: meters.control_bytes_sent.get(),
                control_bytes_received: meters.control_bytes_received.get(),
                data_bytes_sent: meters.data_bytes_sent.get(),
                data_bytes_received: meters.data_bytes_received.get(),
                reconnects: meters.reconnects.get(),
                rtt_us: entry.and_then(|entry| entry.pulse.rtt_us()),
                phi: entry.map(|entry| entry.pulse.phi(now)),
            }
        };
        shared.all_peer_meters().into_iter().map(counters).collect()
    }

    /// Known peers that cannot be reached, with the cause in words; half a second old at most.
    #[must_use]
    pub fn unreached_peers(&self) -> Vec<UnreachedPeer> {
        self.inner.shared.unreached()
    }

    /// Another cap on what all bulk connections together send, bytes per second; `None` lifts it. See
    /// [`crate::Options::upload_bytes_per_second_max`].
    pub fn set_upload_bytes_per_second_max(&self, bytes_per_second: Option<u64>) {
        self.inner.shared.caps.all.set(bytes_per_second);
    }

    /// Another cap on the chunks among them, bytes per second; `None` lifts it.
    pub fn set_chunk_bytes_per_second_max(&self, bytes_per_second: Option<u64>) {
        self.inner.shared.caps.background.set(bytes_per_second);
    }

    /// Keeps the address of a peer and dials it, as if it had been in [`crate::Options::peers`]. A text that is no
    /// address is logged; so is one that comes while many others wait.
    pub fn dial(&self, address: String) {
        if let Err(error) = self.inner.commands.try_send(Command::Dial(address)) {
            tracing::warn!(%error, "address not taken");
        }
    }

    /// Stops the network for all handles: connections are closed, threads joined. Blocks for up to a second.
    pub fn shutdown(self) {
        self.inner.settings.send_modify(|settings| settings.stop = true);
        let thread = self.inner.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("network thread panicked");
        }
    }

    fn queue_control(&self, to: NodeId, frame: Bytes) -> Result<(), SendError> {
        let shared = &self.inner.shared;
        let control = shared.control(to).ok_or(SendError::NotConnected)?;
        control.try_send(frame).map_err(|error| match error {
            QueueError::Closed => SendError::NotConnected,
            QueueError::Full => {
                shared.meters.control_dropped_full.one();
                SendError::Full
            }
        })
    }
}

fn encode_control(message: ControlMessage) -> Result<Bytes, SendError> {
    let frame = encode(&Frame::Control(message));
    if frame.len() > FRAME_BYTES_MAX {
        return Err(SendError::TooLong { bytes: frame.len(), bytes_max: CONTROL_BYTES_MAX });
    }
    Ok(Bytes::from(frame))
}
