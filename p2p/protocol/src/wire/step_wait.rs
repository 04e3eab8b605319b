//! What a member lacks to come further, as it tells the coordinator.

use serde::{Deserialize, Serialize};

use crate::ids::NodeId;

/// Nodes in each list of one [`StepWait`] that are read: the members of a view.
pub const STEP_WAIT_NODES_MAX: usize = crate::ledger::limits::NODES_MAX;

/// What a member with the state lacks in the step in progress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepWait {
    /// Steps applied.
    pub step: u64,
    /// Whether something is still to be done here: micro-batches to compute, the last state to test or to write down.
    pub works: bool,
    /// Micro-batches of the step computed here.
    pub computed: u32,
    /// Members whose sums for parts of ours, or whose first words in this view, have not come. At most
    /// [`STEP_WAIT_NODES_MAX`].
    pub sums_of: Vec<NodeId>,
    /// Members whose results have not come. At most [`STEP_WAIT_NODES_MAX`].
    pub results_of: Vec<NodeId>,
}

impl StepWait {
    /// Whether anybody else is waited for.
    #[must_use]
    pub fn names_others(&self) -> bool {
        !self.sums_of.is_empty() || !self.results_of.is_empty()
    }
}
