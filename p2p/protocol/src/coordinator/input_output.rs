//! What the coordinator is told and what it asks for.

use std::collections::BTreeSet;

use crate::ids::{Boot, NodeId, SeatId};
use crate::ledger::LedgerCommand;
use crate::wire::control::{ControlMessage, JobCheck, Progress, Registration, Report};

/// What a coordinator knows from the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoordinatorOptions {
    /// This process: a coordinator registers itself.
    pub registration: Registration,
}

/// What happened.
#[derive(Clone, Debug, PartialEq)]
pub enum CoordinatorInput {
    /// This node leads the council. To be given once the ledger shows everything committed in earlier terms.
    Elected {
        /// The term.
        term: u64,
    },
    /// This node leads no more.
    Deposed,
    /// A connection to an authenticated process of this swarm exists.
    PeerJoined {
        /// The node.
        node: NodeId,
        /// Its process.
        boot: Boot,
    },
    /// There is none any more.
    PeerLost {
        /// The node.
        node: NodeId,
        /// The process that was connected.
        boot: Boot,
        /// The process is known to be dead, as by a refused connection, and not only silent.
        death_is_certain: bool,
        /// What was seen, as `connection refused`.
        reason: String,
    },
    /// A node asks to be registered.
    Register {
        /// The node, authenticated.
        from: NodeId,
        /// What it says about itself.
        registration: Registration,
        /// The how-manieth turn of its process, if it comes over from another council; zero if it does not.
        turn: u64,
    },
    /// A member told how far it is.
    Report {
        /// The node, authenticated.
        from: NodeId,
        /// Its word.
        report: Report,
    },
    /// A node told whether it has a job's data.
    JobChecked {
        /// The node, authenticated.
        from: NodeId,
        /// Its word.
        check: JobCheck,
    },
    /// Progress heard from the coordinator while this node is not. What it says of the past is gone on only if
    /// someone remembers it.
    ProgressHeard {
        /// The message.
        progress: Progress,
    },
    /// The ledger that is passed along has changed.
    LedgerChanged,
    /// The consensus group as it is.
    Seats {
        /// Seats that vote.
        voters: BTreeSet<SeatId>,
        /// Seats that only follow.
        learners: BTreeSet<SeatId>,
        /// Seats whose log is close enough to the leader's to vote.
        caught_up: BTreeSet<SeatId>,
    },
    /// Time has passed: due at [`super::Coordinator::deadline`].
    Tick,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum CoordinatorOutput {
    /// Propose to the council.
    Propose(LedgerCommand),
    /// Send to one node, never to this one.
    Send {
        /// The receiver.
        to: NodeId,
        /// The message.
        message: ControlMessage,
    },
    /// Send to every connected node.
    Broadcast(ControlMessage),
    /// Make the consensus group so. Asked for again until it is.
    ChangeSeats {
        /// Seats that shall vote.
        voters: BTreeSet<SeatId>,
        /// Seats that shall only follow.
        learners: BTreeSet<SeatId>,
    },
    /// Hand the lead of the consensus group to this voter. Asked for again until this node leads no more.
    TransferLeadership {
        /// A voter that is caught up.
        to: SeatId,
    },
}
