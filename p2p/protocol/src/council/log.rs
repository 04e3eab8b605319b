//! The log as the consensus library reads it: a snapshot and the entries behind it, in memory.

use raft::eraftpb::{ConfState, Entry, HardState, Snapshot};
use raft::{Error, GetEntriesContext, RaftState, Storage, StorageError, util::limit_size};

use super::{CouncilError, RecoveredCouncil};

/// A snapshot and the entries behind it. What is here was handed out to be made durable.
#[derive(Default)]
pub(super) struct Log {
    hard_state: HardState,
    snapshot: Snapshot,
    /// The entry at position i has index `snapshot_index() + 1 + i`.
    entries: Vec<Entry>,
}

impl Log {
    /// A log that starts with `snapshot`, whose term is the first.
    pub(super) fn starting_with(snapshot: Snapshot) -> Self {
        let (term, commit) = (snapshot.get_metadata().term, snapshot.get_metadata().index);
        let hard_state = HardState { term, commit, ..HardState::default() };
        Self { hard_state, snapshot, entries: Vec::new() }
    }

    /// The log that `recovered` holds.
    pub(super) fn recover(recovered: &RecoveredCouncil) -> Result<Self, CouncilError> {
        let mut hard_state: HardState = parse(recovered.hard_state.as_deref(), "hard state")?;
        let snapshot: Snapshot = parse(recovered.snapshot.as_deref(), "snapshot")?;
        let _shown: ConfState = parse(recovered.conf_state.as_deref(), "configuration")?;
        let snapshot_index = snapshot.get_metadata().index;
        if snapshot_index == 0 && !recovered.entries.is_empty() {
            return Err(CouncilError::Inconsistent { what: "entries without a snapshot before them" });
        }
        if snapshot_index > 0 && recovered.hard_state.is_none() {
            return Err(CouncilError::Inconsistent { what: "a snapshot without a hard state" });
        }
        let mut entries: Vec<Entry> = Vec::new();
        for (index, bytes) in recovered.entries.iter().filter(|(index, _)| *index > snapshot_index) {
            let entry: Entry = parse(Some(bytes), "entry")?;
            let expected = snapshot_index + 1 + entries.len() as u64;
            if *index != expected || entry.index != expected {
                return Err(CouncilError::Inconsistent { what: "an index is missing from the log" });
            }
            entries.push(entry);
        }
        // A snapshot speaks for everything below it.
        hard_state.commit = hard_state.commit.max(snapshot_index);
        if hard_state.commit > snapshot_index + entries.len() as u64 {
            return Err(CouncilError::Inconsistent { what: "committed entries are missing" });
        }
        Ok(Self { hard_state, snapshot, entries })
    }

    pub(super) fn hard_state(&self) -> &HardState {
        &self.hard_state
    }

    pub(super) fn set_hard_state(&mut self, hard_state: HardState) {
        self.hard_state = hard_state;
    }

    pub(super) fn snapshot_index(&self) -> u64 {
        self.snapshot.get_metadata().index
    }

    pub(super) fn snapshot_data(&self) -> &[u8] {
        self.snapshot.get_data()
    }

    /// Whether the snapshot's configuration names every seat of `conf_state`. The library throws a snapshot away that
    /// does not name its receiver, so a new seat needs one that is taken after it was added.
    pub(super) fn snapshot_has(&self, conf_state: &ConfState) -> bool {
        let held = self.snapshot.get_metadata().get_conf_state();
        conf_state == held || seats_of(conf_state).all(|seat| seats_of(held).any(|known| known == seat))
    }

    pub(super) fn last(&self) -> u64 {
        self.snapshot_index() + self.entries.len() as u64
    }

    /// Replaces everything from the first of `entries` on. `false` if they do not join the log.
    #[must_use]
    pub(super) fn append(&mut self, entries: &[Entry]) -> bool {
        let Some(first) = entries.first() else { return true };
        if first.index <= self.snapshot_index() || first.index > self.last() + 1 {
            return false;
        }
        self.entries.truncate((first.index - self.snapshot_index() - 1) as usize);
        self.entries.extend_from_slice(entries);
        true
    }

    /// A snapshot from the leader replaces the whole log.
    pub(super) fn install(&mut self, snapshot: Snapshot) {
        self.snapshot = snapshot;
        self.entries.clear();
    }

    /// A snapshot of our own replaces the entries up to its index.
    pub(super) fn compact(&mut self, snapshot: Snapshot) {
        let gone = snapshot.get_metadata().index.saturating_sub(self.snapshot_index()) as usize;
        self.entries.drain(..gone.min(self.entries.len()));
        self.snapshot = snapshot;
    }
}

fn parse<M: protobuf::Message>(bytes: Option<&[u8]>, what: &'static str) -> Result<M, CouncilError> {
    let Some(bytes) = bytes else { return Ok(M::new()) };
    M::parse_from_bytes(bytes).map_err(|source| CouncilError::Decode { what, source })
}

/// The seats of a configuration; those that become learners still vote in its outgoing half.
fn seats_of(conf_state: &ConfState) -> impl Iterator<Item = u64> {
    conf_state.voters.iter().chain(&conf_state.learners).chain(&conf_state.voters_outgoing).copied()
}

impl Storage for Log {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(self.hard_state.clone(), self.snapshot.get_metadata().get_conf_state().clone()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<Entry>> {
        if low <= self.snapshot_index() {
            return Err(Error::Store(StorageError::Compacted));
        }
        if high > self.last() + 1 || low > high {
            return Err(Error::Store(StorageError::Unavailable));
        }
        let offset = self.snapshot_index() + 1;
        let mut entries = self.entries[(low - offset) as usize..(high - offset) as usize].to_vec();
        limit_size(&mut entries, max_size.into());
        Ok(entries)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.snapshot_index() {
            return Ok(self.snapshot.get_metadata().term);
        }
        if index < self.snapshot_index() {
            return Err(Error::Store(StorageError::Compacted));
        }
        let position = (index - self.snapshot_index() - 1) as usize;
        self.entries.get(position).map(|entry| entry.term).ok_or(Error::Store(StorageError::Unavailable))
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.snapshot_index() + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, request_index: u64, to: u64) -> raft::Result<Snapshot> {
        let names_receiver = seats_of(self.snapshot.get_metadata().get_conf_state()).any(|seat| seat == to);
        if !names_receiver || self.snapshot_index() < request_index {
            return Err(Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        Ok(self.snapshot.clone())
    }
}
