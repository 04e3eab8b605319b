//! The log of the council: what raft must find again after a restart.

use std::collections::BTreeMap;
use std::sync::Arc;

use traind_protocol::council::{CouncilRecord, RecoveredCouncil};

use crate::StoreError;
use crate::pieces::{self, Joined};
use crate::records::Records;

/// Bytes of one entry, state or snapshot at most. The council's state is a few kilobytes a node and job; this bounds
/// what a damaged length or a runaway ledger can take.
pub const COUNCIL_VALUE_BYTES_MAX: usize = 64 << 20;

const HARD_STATE: &[u8] = b"h";
const CONF_STATE: &[u8] = b"c";
const SNAPSHOT: &[u8] = b"s";
/// Entries follow in the order of their index, which is big endian in the key.
const ENTRY: &[u8] = b"e";

/// The council's log of this node.
pub struct CouncilLog {
    records: Arc<Records>,
}

impl CouncilLog {
    pub(crate) fn new(records: Arc<Records>) -> Self {
        Self { records }
    }

    /// Everything that was persisted. All fields are empty on a node that never took part.
    ///
    /// # Errors
    /// When the index fails or a value is not what was written.
    pub fn load(&self) -> Result<RecoveredCouncil, StoreError> {
        let records = self.records.tree_of_records();
        Ok(RecoveredCouncil {
            hard_state: pieces::read(records, HARD_STATE)?,
            entries: read_entries(records)?,
            conf_state: pieces::read(records, CONF_STATE)?,
            snapshot: pieces::read(records, SNAPSHOT)?,
        })
    }

    /// Makes `record` durable, as a whole or not at all. Send nothing that depends on it before this returns.
    ///
    /// # Errors
    /// When a value is too large or the entries would have a hole, and nothing has changed; or when the index or the
    /// disk fails. Then what is durable is unknown: the node must stop, and load again when it restarts.
    pub fn persist(&self, record: &CouncilRecord) -> Result<(), StoreError> {
        let states = [&record.hard_state, &record.conf_state, &record.snapshot];
        for value in states.into_iter().flatten().chain(record.entries.iter().map(|(_, value)| value)) {
            StoreError::check_length("a value of the council", value, COUNCIL_VALUE_BYTES_MAX)?;
        }
        self.records.record(|records| make_batch(records, record))
    }
}

fn make_batch(records: &sled::Tree, record: &CouncilRecord) -> Result<sled::Batch, StoreError> {
    let mut batch = sled::Batch::default();
    let states =
        [(HARD_STATE, &record.hard_state), (CONF_STATE, &record.conf_state), (SNAPSHOT, &record.snapshot)];
    for (prefix, value) in states {
        if let Some(value) = value {
            pieces::remove(records, &mut batch, prefix)?;
            pieces::insert(&mut batch, prefix, value);
        }
    }
    let floor = record.compact_before.unwrap_or(0);
    remove_entries(records, &mut batch, entry_key(0)..entry_key(floor))?;
    // Each entry removes those behind it, of the log and of this record.
    let mut entries = BTreeMap::new();
    for (index, value) in &record.entries {
        entries.split_off(index);
        entries.insert(*index, value);
    }
    if let Some(first) = record.entries.iter().map(|(index, _)| *index).min() {
        remove_entries(records, &mut batch, entry_key(first)..[ENTRY, &[0xff; 9]].concat())?;
        let mut last = last_index_below(records, first)?.filter(|last| *last >= floor);
        for (index, value) in &entries {
            if let Some(last) = last.filter(|last| last.checked_add(1) != Some(*index)) {
                return Err(StoreError::LogHole { last, found: *index });
            }
            last = Some(*index);
            pieces::insert(&mut batch, &entry_key(*index), value);
        }
    }
    Ok(batch)
}

fn entry_key(index: u64) -> Vec<u8> {
    [ENTRY, &index.to_be_bytes()].concat()
}

fn remove_entries(
    records: &sled::Tree,
    batch: &mut sled::Batch,
    keys: std::ops::Range<Vec<u8>>,
) -> Result<(), StoreError> {
    for key in records.range(keys).keys() {
        batch.remove(key.map_err(StoreError::index("read entries"))?);
    }
    Ok(())
}

fn last_index_below(records: &sled::Tree, index: u64) -> Result<Option<u64>, StoreError> {
    let last = records.range(entry_key(0)..entry_key(index)).next_back().transpose();
    let last = last.map_err(StoreError::index("read entries"))?;
    last.map(|(key, _)| split_entry_key(&key).map(|(index, _)| index)).transpose()
}

/// The index and the number of the piece.
fn split_entry_key(key: &[u8]) -> Result<(u64, &[u8]), StoreError> {
    key.strip_prefix(ENTRY)
        .and_then(<[u8]>::split_first_chunk::<8>)
        .map(|(index, piece)| (u64::from_be_bytes(*index), piece))
        .ok_or_else(|| StoreError::RecordDamaged { what: format!("the key {}", key.escape_ascii()) })
}

fn read_entries(records: &sled::Tree) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
    let mut entries: Vec<(u64, Vec<u8>)> = Vec::new();
    let mut joined = Joined::default();
    for item in records.scan_prefix(ENTRY) {
        let (key, piece) = item.map_err(StoreError::index("read entries"))?;
        let (index, number) = split_entry_key(&key)?;
        let hole = || StoreError::RecordDamaged { what: format!("the council's log before entry {index}") };
        if entries.last().is_some_and(|(last, _)| last.checked_add(1) != Some(index)) {
            return Err(hole());
        }
        if let Some(value) = joined.push(number, &piece, &key)? {
            entries.push((index, value));
        }
    }
    joined.finish(ENTRY)?;
    Ok(entries)
}
