//! A replicated state that remembers every command with its index.

use std::collections::BTreeMap;

use crate::replicated::Replicated;
use crate::wire::{DecodeError, decode, encode};

const SNAPSHOT_BYTES_MAX: usize = 1 << 22;

/// A command that no state should ever see: applying it panics.
pub(super) const LANDMINE: &[u8] = b"landmine";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Ledger {
    pub(super) commands: BTreeMap<u64, Vec<u8>>,
}

impl Ledger {
    pub(super) fn holds(&self, command: &[u8]) -> bool {
        self.commands.values().any(|held| held == command)
    }
}

impl Replicated for Ledger {
    fn apply(&mut self, index: u64, command: &[u8]) {
        assert_ne!(command, LANDMINE, "stepped on it");
        let newest = self.commands.last_key_value().map_or(0, |(index, _)| *index);
        assert!(index > newest, "applied {index} after {newest}");
        self.commands.insert(index, command.to_vec());
    }

    fn snapshot(&self) -> Vec<u8> {
        encode(&self.commands)
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        self.commands = decode(bytes, SNAPSHOT_BYTES_MAX)?;
        Ok(())
    }
}
