//! What the council's driver shows to the rest of the daemon.

use std::collections::{BTreeMap, BTreeSet};

use traind_protocol::ids::{JobId, Millis, NodeId, SeatId};
use traind_protocol::ledger::Ledger;
use traind_protocol::wire::control::JobWait;

/// The ledger and the council as this node knows them, replaced as a whole at each change.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// The replicated ledger, as far as it was applied here.
    pub ledger: Ledger,
    /// Who coordinates, as far as it is known.
    pub coordinator: Option<NodeId>,
    /// The council's term.
    pub term: u64,
    /// When this node founds a new council because a majority of this one is lost.
    pub founds_at: Option<Millis>,
    /// How often this process went over to a council that does not contain all of its old one: what sessions did before
    /// belongs to nobody then.
    pub detours: u64,
    /// Whether this node may found one: its policy is not to stand still.
    pub founds_alone: bool,
    /// This node's seat; zero until it was admitted.
    pub seat: SeatId,
    /// Seats that vote.
    pub voters: BTreeSet<SeatId>,
    /// Seats that follow.
    pub learners: BTreeSet<SeatId>,
    /// Nodes that this one is connected to, itself included.
    pub live: BTreeSet<NodeId>,
    /// What each unfinished job waits for, as the coordinator said last.
    pub why: Why,
    /// Nodes of the ledger that this one was connected to and is no more.
    pub lost: BTreeMap<NodeId, Loss>,
}

/// The coordinator's word on what jobs wait for.
#[derive(Clone, Debug, Default)]
pub struct Why {
    /// Who said it: the node that coordinated then. `None` before the first word.
    pub told_by: Option<NodeId>,
    /// When, on this daemon's clock.
    pub told_at: Millis,
    /// What.
    pub jobs: BTreeMap<JobId, Vec<JobWait>>,
}

/// The end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// When it was noticed, on this daemon's clock.
    pub at: Millis,
    /// What was seen.
    pub reason: &'static str,
}
