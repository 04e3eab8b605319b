//! What the network tells the daemon.

use bytes::Bytes;
use traind_protocol::ids::{Boot, NodeId, SwarmId};
use traind_protocol::wire::control::ControlMessage;
use traind_protocol::wire::data::FrameKind;
use traind_protocol::wire::hello::Hello;

/// Events of the control plane, in order.
#[derive(Clone, Debug)]
pub enum Event {
    /// Peers can reach this node here.
    Listening {
        /// Full multiaddr with `/p2p/...`, for people to copy.
        address: String,
    },
    /// Hellos went both ways. Once per (node, boot) until that peer is lost.
    PeerJoined {
        /// The peer.
        node: NodeId,
        /// Its hello.
        hello: Hello,
        /// Where to find it again, as a multiaddr with `/p2p/...`.
        address: String,
    },
    /// A joined peer is gone.
    PeerLost {
        /// The peer.
        node: NodeId,
        /// The process that is gone.
        boot: Boot,
        /// How that is known.
        evidence: LossEvidence,
    },
    /// A message of a joined peer.
    Control {
        /// Its sender.
        from: NodeId,
        /// The message.
        message: ControlMessage,
    },
    /// Nobody answered for too long at an address of [`crate::Options::remembered`] or of a peer that was joined: it is
    /// not dialled any more and not worth remembering.
    PeerForgotten {
        /// The address, as it was remembered or told by [`Self::PeerJoined`].
        address: String,
    },
    /// This node had no swarm and took the one of a peer.
    SwarmAdopted {
        /// The swarm.
        swarm: SwarmId,
    },
    /// A peer of another swarm was refused. Told once per peer while it is remembered.
    SwarmRefused {
        /// This node's swarm.
        ours: SwarmId,
        /// The peer's swarm.
        theirs: SwarmId,
        /// The peer.
        node: NodeId,
    },
}

/// How the loss of a peer is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossEvidence {
    /// The connection closed and its listening port, reached before, refused the redial: the process is dead.
    Refused,
    /// The connection closed; the redial neither succeeded nor was refused within a second.
    Closed,
    /// No heartbeat for too long.
    Silent,
    /// The same node came back as another process.
    Replaced,
}

/// Events of the data plane. Frames of one peer are in the order sent, as long as its path holds.
#[derive(Clone, Debug)]
pub enum DataEvent {
    /// A frame of a joined peer.
    Frame {
        /// Its sender.
        from: NodeId,
        /// Whom it is for.
        kind: FrameKind,
        /// Encoded header.
        header: Bytes,
        /// Payload in one piece.
        payload: Bytes,
    },
    /// A joined peer sent a frame that nobody may send, longer than any of its kind or of no kind. Nothing of it was read, and
    /// the connection was dropped.
    Violated {
        /// The peer.
        from: NodeId,
    },
    /// Our sending path to that peer was established, for the first time or again: everything sent before may be
    /// lost. Until then [`crate::Handle::try_send_data`] takes nothing for this peer.
    PathOpened {
        /// The peer.
        to: NodeId,
    },
}
