//! What the council's driver shows to the rest of the daemon.

use std::collections::{BTreeMap, BTreeSet};

use traind_protocol::ids::{JobId, NodeId, SeatId};
use traind_protocol::ledger::Ledger;

/// The ledger and the council as this node knows them, replaced as a whole at each change.
#[derive(Clone, Debug, Default)]
pub struct Published {
    /// The replicated ledger, as far as it was applied here.
    pub ledger: Ledger,
    /// Who coordinates, as far as it is known.
    pub coordinator: Option<NodeId>,
    /// The council's term.
    pub term: u64,
    /// This node's seat; zero until it was admitted.
    pub seat: SeatId,
    /// Seats that vote.
    pub voters: BTreeSet<SeatId>,
    /// Seats that follow.
    pub learners: BTreeSet<SeatId>,
    /// Nodes that this one is connected to, itself included.
    pub live: BTreeSet<NodeId>,
    /// What each unfinished job waits for; filled on the coordinator only.
    pub why: BTreeMap<JobId, Vec<String>>,
}
