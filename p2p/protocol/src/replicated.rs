//! What the council replicates: a deterministic state that commands change in one order everywhere.

use crate::wire::DecodeError;

/// A state that is the same on every node that applied the same commands in the same order.
pub trait Replicated {
    /// Applies the command at log `index`. A command that is no valid command changes nothing, the same way everywhere.
    fn apply(&mut self, index: u64, command: &[u8]);

    /// The whole state, for the council's snapshot.
    fn snapshot(&self) -> Vec<u8>;

    /// Replaces the state by one that [`Self::snapshot`] gave.
    ///
    /// # Errors
    /// When `bytes` is no such state; the old state is kept.
    fn restore(&mut self, bytes: &[u8]) -> Result<(), DecodeError>;
}
