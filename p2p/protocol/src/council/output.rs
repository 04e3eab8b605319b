//! What the council asks of its driver.

use super::CouncilRecord;
use crate::ids::SeatId;

/// What the council asks of its driver, to be done in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CouncilOutput {
    /// Make this durable before anything behind it.
    Persist(CouncilRecord),
    /// Send this. It may be lost, repeated or overtaken.
    Send {
        /// Seat of the receiver.
        to: SeatId,
        /// Opaque message, at most [`CONTROL_BYTES_MAX`](crate::wire::control::CONTROL_BYTES_MAX) long unless the
        /// snapshot of the replicated state has outgrown it.
        bytes: Vec<u8>,
    },
    /// The replicated state applied this command. Its commit index is already durable here.
    Applied {
        /// Its place in the log. Indices grow, not by one: the log also holds entries of the consensus itself.
        index: u64,
        /// The command.
        command: Vec<u8>,
    },
    /// A snapshot of the leader replaced the whole replicated state.
    StateReplaced,
    /// Another leader, or none, or the same one in another term.
    LeaderChanged {
        /// Seat of the leader.
        leader: Option<SeatId>,
        /// Its term.
        term: u64,
    },
    /// This proposal is not on its way to a leader. Forwarded proposals can be lost without this word.
    ProposalDropped(Vec<u8>),
    /// A message was refused before the consensus library saw it.
    MessageRefused {
        /// Seat that the transport named.
        from: SeatId,
        /// Why.
        reason: &'static str,
    },
    /// This seat is no longer in the group. Keep the machine stepping a few seconds: the others may need its vote to
    /// finish the change that removed it.
    Removed,
    /// A defect was caught and the machine is unusable: drop it and recover from disk. Outputs of the step that
    /// failed are not given out, as if the process had died before it.
    Poisoned,
}
