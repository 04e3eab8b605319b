//! What the council writes to disk and reads back. Fields are bytes of the consensus library.

/// One durable write. The driver makes all of it durable, at once, before it runs the next output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CouncilRecord {
    /// Term, vote and commit index; replaces the stored one.
    pub hard_state: Option<Vec<u8>>,
    /// Log entries with their indices. An entry at index i replaces everything stored at indices >= i.
    pub entries: Vec<(u64, Vec<u8>)>,
    /// Who votes and who learns. Told for display: recovery reads it from the snapshot and the entries behind it.
    pub conf_state: Option<Vec<u8>>,
    /// Snapshot of the replicated state; replaces the stored one.
    pub snapshot: Option<Vec<u8>>,
    /// Entries at indices below this one are no longer needed. Never in one record with `entries`. With a snapshot
    /// from a leader, and at the founding, it lies above every stored index: the old log has to go.
    pub compact_before: Option<u64>,
}

impl CouncilRecord {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Everything that was written, as the disk gives it back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RecoveredCouncil {
    /// The last hard state.
    pub hard_state: Option<Vec<u8>>,
    /// Entries in the order of their indices.
    pub entries: Vec<(u64, Vec<u8>)>,
    /// The last configuration.
    pub conf_state: Option<Vec<u8>>,
    /// The last snapshot.
    pub snapshot: Option<Vec<u8>>,
}
