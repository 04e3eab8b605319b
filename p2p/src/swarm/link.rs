//! One connection and its two control streams.

use std::sync::Arc;

use libp2p::Multiaddr;
use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use traind_protocol::ids::{Millis, NodeId};

use crate::address;
use crate::control::{ControlSender, Greeting};
use crate::peer_meters::PeerMeters;
use crate::pulse::Pulse;

/// A connection between two nodes, whatever its state.
pub(super) struct Link {
    /// The authenticated node at the other end.
    pub(super) node: NodeId,
    /// Whether this side dialled.
    pub(super) dialled: bool,
    /// The address dialled, or where the connection came from; without `/p2p`.
    pub(super) remote: Multiaddr,
    pub(super) since: Millis,
    /// The queue of the outbound stream, once it is open.
    pub(super) control: Option<ControlSender>,
    pub(super) pulse: Arc<Pulse>,
    pub(super) meters: Arc<PeerMeters>,
    pub(super) stage: Stage,
    /// Readers and writers; they end with the link.
    pub(super) tasks: Vec<AbortHandle>,
}

/// How far the handshake is.
pub(super) enum Stage {
    /// No acceptable greeting yet.
    Greeting,
    /// The peer's greeting was accepted; its reader waits until our own stream is open.
    Accepted { greeting: Greeting, answer: oneshot::Sender<bool> },
    /// Both ways open.
    Up,
    /// Refused; closed at this time.
    Refused { close_at: Millis },
}

impl Link {
    pub(super) fn new(
        node: NodeId,
        dialled: bool,
        remote: Multiaddr,
        meters: Arc<PeerMeters>,
        now: Millis,
    ) -> Self {
        let pulse = Arc::new(Pulse::new(now));
        let (control, tasks) = (None, Vec::with_capacity(2));
        Self { node, dialled, remote, since: now, control, pulse, meters, stage: Stage::Greeting, tasks }
    }

    /// Whether both ends are on one host.
    pub(super) fn is_loopback(&self) -> bool {
        address::is_loopback(&self.remote)
    }

    /// Where the peer listens, as far as this connection tells: `port` is from its greeting.
    pub(super) fn listening_at(&self, port: u16) -> Option<Multiaddr> {
        let listening =
            if self.dialled { Some(self.remote.clone()) } else { address::with_port(&self.remote, port) };
        listening.filter(address::is_tcp_host)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}
