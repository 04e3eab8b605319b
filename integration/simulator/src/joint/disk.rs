//! What a crash leaves: writes that were synced.

use std::collections::BTreeMap;

use bytes::Bytes;
use traind_protocol::council::{CouncilRecord, RecoveredCouncil};
use traind_protocol::ids::{Chain, SeatId};
use traind_protocol::succession::Legacy;

/// A checkpoint on a disk.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) chain: Chain,
    pub(super) state: Bytes,
}

/// One data directory.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    pub(super) seat: Option<SeatId>,
    pub(super) council: RecoveredCouncil,
    /// The highest generation of a council that the node founded.
    pub(super) generation: u64,
    /// What it took along from a council that ended.
    pub(super) legacy: Option<Legacy>,
    /// Records that were written and not synced: a crash loses them.
    unsynced: Vec<CouncilRecord>,
    pub(super) checkpoints: BTreeMap<u64, Written>,
}

impl Disk {
    /// Writes, and syncs as a sound driver does.
    pub(super) fn persist(&mut self, record: CouncilRecord, syncs: bool) {
        self.unsynced.push(record);
        if syncs {
            self.sync();
        }
    }

    /// All that was written is durable.
    pub(super) fn sync(&mut self) {
        for record in std::mem::take(&mut self.unsynced) {
            self.write(record);
        }
    }

    /// The process died: what was not synced is gone.
    pub(super) fn crash(&mut self) {
        self.unsynced.clear();
    }

    fn write(&mut self, record: CouncilRecord) {
        let stored = &mut self.council;
        stored.hard_state = record.hard_state.or(stored.hard_state.take());
        stored.conf_state = record.conf_state.or(stored.conf_state.take());
        stored.snapshot = record.snapshot.or(stored.snapshot.take());
        if let Some((first, _)) = record.entries.first() {
            stored.entries.retain(|(index, _)| index < first);
            stored.entries.extend(record.entries);
        }
        if let Some(before) = record.compact_before {
            stored.entries.retain(|(index, _)| *index >= before);
        }
    }

    /// Term, vote, and the last index that is durable: of the log, or of the snapshot.
    pub(super) fn durable(&self) -> (u64, u64, u64) {
        let hard = self.council.hard_state.as_deref().unwrap_or_default();
        let last = self.council.entries.last().map_or(0, |(index, _)| *index);
        let snapshot = self.council.snapshot.as_deref().unwrap_or_default();
        let metadata = raft_field_bytes(snapshot, 2).unwrap_or_default();
        let index = raft_field(metadata, 2).unwrap_or(0);
        (raft_field(hard, 1).unwrap_or(0), raft_field(hard, 2).unwrap_or(0), last.max(index))
    }
}

/// The number in `field` of an encoded message of the consensus library (protocol buffers).
#[must_use]
pub(super) fn raft_field(bytes: &[u8], field: u64) -> Option<u64> {
    fields(bytes).filter(|(number, ..)| *number == field).map(|(_, value, _)| value).last()
}

fn raft_field_bytes(bytes: &[u8], field: u64) -> Option<&[u8]> {
    fields(bytes).find(|(number, ..)| *number == field).map(|(.., inner)| inner)
}

fn fields(mut bytes: &[u8]) -> impl Iterator<Item = (u64, u64, &[u8])> {
    std::iter::from_fn(move || {
        let key = varint(&mut bytes)?;
        let value = varint(&mut bytes)?;
        let inner = match key & 7 {
            2 => bytes.split_off(..usize::try_from(value).ok()?)?,
            _ => &[],
        };
        Some((key >> 3, value, inner))
    })
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.split_off_first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_a_message_are_read() {
        // Field 1 is 5, field 4 is 300, field 7 holds two bytes.
        let bytes = [0x08, 5, 0x20, 0xac, 0x02, 0x3a, 2, 1, 1];
        assert_eq!(
            (raft_field(&bytes, 1), raft_field(&bytes, 4), raft_field(&bytes, 6)),
            (Some(5), Some(300), None)
        );
        assert_eq!(raft_field_bytes(&bytes, 7), Some(&[1, 1][..]));
        assert_eq!(raft_field(&[0x3a, 9, 1], 7), None);
    }

    #[test]
    fn what_is_not_synced_is_lost_in_a_crash() {
        let mut disk = Disk::default();
        let record =
            |term| CouncilRecord { hard_state: Some(vec![0x08, term, 0x10, 7]), ..Default::default() };
        disk.persist(record(3), true);
        disk.persist(record(4), false);
        disk.crash();
        assert_eq!(disk.durable(), (3, 7, 0));
    }
}
