//! What the machine is told and what it asks for.

use std::collections::BTreeMap;

use super::QuorumLossPolicy;
use super::legacy::Legacy;
use crate::council::{Council, CouncilOptions, CouncilOutput};
use crate::ids::{CouncilId, NodeId, SeatId};
use crate::ledger::{Ledger, LedgerCommand};
use crate::wire::control::Standing;

/// What a node starts with.
#[derive(Clone, Debug)]
pub struct SuccessionOptions {
    /// The node.
    pub me: NodeId,
    /// What its operator wants.
    pub policy: QuorumLossPolicy,
    /// Timing of its council.
    pub council: CouncilOptions,
    /// The highest generation of a council that it ever founded, from its disk.
    pub generation: u64,
    /// What it took along from a council that ended, from its disk.
    pub legacy: Option<Legacy>,
}

/// What happened.
#[derive(Clone, Debug)]
pub enum SuccessionInput {
    /// A peer is connected.
    PeerJoined(NodeId),
    /// It is not any more.
    PeerLost {
        /// The peer.
        node: NodeId,
        /// Its process is known to be dead.
        is_certain: bool,
    },
    /// A peer told which council it is in.
    Standing {
        /// The peer.
        from: NodeId,
        /// Its word.
        standing: Standing,
    },
    /// The leader of another council gave this node a seat there.
    Seated {
        /// The council.
        council: CouncilId,
        /// The seat.
        seat: SeatId,
        /// The turn for which it was asked.
        turn: u64,
    },
    /// A message of the council that this node goes over to, see [`Succession::expects`].
    Message {
        /// The sender.
        from: NodeId,
        /// Its seat.
        seat: SeatId,
        /// The message.
        bytes: Vec<u8>,
    },
    /// The council or the clock moved.
    Tick,
}

/// What is to be done, in this order.
pub enum SuccessionOutput {
    /// Tell all connected nodes.
    Tell(Standing),
    /// Tell one.
    TellTo(NodeId, Standing),
    /// A connected node is in another council: the coordinator must take it for lost.
    PeerElsewhere(NodeId),
    /// It is in the own council again.
    PeerHere(NodeId),
    /// Ask this leader of another council for a seat, for this turn.
    Turn {
        /// The leader.
        to: NodeId,
        /// The turn.
        turn: u64,
    },
    /// Propose this to the own council.
    Propose(LedgerCommand),
    /// Send a message of the council that this node goes over to.
    Send {
        /// The receiver.
        to: NodeId,
        /// The council.
        council: CouncilId,
        /// The own seat there.
        from: SeatId,
        /// The receiver's.
        seat: SeatId,
        /// The message.
        bytes: Vec<u8>,
    },
    /// Make `generation` durable, then found this council in the place of the old one.
    Found(Successor),
    /// Make the legacy durable, then take part in this council in the place of the old one.
    GoOver(Successor),
    /// All of the legacy is in the ledger, or was refused there: it may be forgotten.
    LegacySettled {
        /// How much of it the council refused again and again.
        missing: usize,
    },
}

/// A council that takes the place of the old one.
pub struct Successor {
    /// Its name.
    pub id: CouncilId,
    /// The seat in it; to be made durable after the first record.
    pub council: Council<Ledger>,
    /// What it asks for. The first record replaces all of the old log.
    pub outputs: Vec<CouncilOutput>,
    /// Who is in which seat, as far as the ledger does not know it.
    pub seats: BTreeMap<SeatId, NodeId>,
    /// Whether it contains all that this node knew of the old council: then sessions go on in its views. Else what they
    /// did belongs to nobody.
    pub continues: bool,
    /// What was only in the old ledger.
    pub legacy: Option<Legacy>,
}

/// The own council, as the machine looks at it.
#[derive(Clone, Copy)]
pub struct Own<'a> {
    /// The council, if there is one.
    pub council: Option<&'a Council<Ledger>>,
    /// Who is in which seat, as far as the ledger does not know it.
    pub said_seats: &'a BTreeMap<SeatId, NodeId>,
}
