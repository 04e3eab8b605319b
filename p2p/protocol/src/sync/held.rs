//! Messages of an epoch whose view has not come yet.

use super::message::SyncMessage;
use crate::ids::{Epoch, Incarnation, NodeId};

/// Messages held at most: several steps' worth of states and needs of a large view. One that is dropped costs a
/// round trip, not the step: whoever enters a view late is answered and asked again (rule R1).
const HELD_MESSAGES_MAX: usize = 4096;

/// Payload bytes held at most, beyond which bulk is dropped and pulled again later.
const HELD_PAYLOAD_BYTES_MAX: usize = 64 << 20;

/// Bounded, in order of arrival.
#[derive(Debug, Default)]
pub(super) struct HeldMessages {
    messages: Vec<(NodeId, SyncMessage)>,
    payload_bytes: usize,
}

impl HeldMessages {
    /// Holds `message` if there is room.
    pub(super) fn hold(&mut self, from: NodeId, message: SyncMessage) {
        let payload_bytes = self.payload_bytes + message.payload_bytes();
        if self.messages.len() < HELD_MESSAGES_MAX && payload_bytes <= HELD_PAYLOAD_BYTES_MAX {
            self.payload_bytes = payload_bytes;
            self.messages.push((from, message));
        }
    }

    /// Messages and payload bytes held.
    #[cfg(test)]
    pub(super) fn size(&self) -> (usize, usize) {
        (self.messages.len(), self.payload_bytes)
    }

    /// Gives out the messages of `epoch` in this `incarnation` and drops all that are not later.
    pub(super) fn take(&mut self, incarnation: Incarnation, epoch: Epoch) -> Vec<(NodeId, SyncMessage)> {
        let (later, mut now): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.messages).into_iter().partition(|(_, message)| message.epoch > epoch);
        self.payload_bytes = later.iter().map(|(_, message)| message.payload_bytes()).sum();
        self.messages = later;
        now.retain(|(_, message)| message.epoch == epoch && message.incarnation == incarnation);
        now
    }
}
