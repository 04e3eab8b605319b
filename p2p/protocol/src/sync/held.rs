//! Messages of an epoch whose view has not come yet.

use std::collections::BTreeMap;

use super::message::SyncMessage;
use crate::ids::{Epoch, Incarnation, NodeId};

/// Messages held at most: several steps' worth of states and needs of a large view. One that is dropped costs a
/// round trip, not the step: whoever enters a view late is answered and asked again (rule R1).
const HELD_MESSAGES_MAX: usize = 4096;

/// Payload bytes held at most, beyond which bulk is dropped and pulled again later.
const HELD_PAYLOAD_BYTES_MAX: usize = 64 << 20;

/// Of these, messages of one member: one that floods leaves room for the others.
const HELD_MESSAGES_OF_ONE_MAX: usize = HELD_MESSAGES_MAX / 4;

/// Of these, payload bytes of one member.
const HELD_PAYLOAD_BYTES_OF_ONE_MAX: usize = HELD_PAYLOAD_BYTES_MAX / 4;

/// Views that a message may be ahead of the newest one that is known here: a node that stands still for a minute among
/// others that come and go every quarter of a second misses fewer.
const EPOCHS_AHEAD_MAX: u64 = 256;

/// Whether `epoch` is so far beyond `known` that nothing of it is held. Only epochs of one council are compared: those of
/// another one have a range of their own.
pub(super) fn is_far_ahead(known: Epoch, epoch: Epoch) -> bool {
    let range = |epoch: Epoch| epoch.0 - epoch.count();
    range(known) == range(epoch) && epoch.count() > known.count().saturating_add(EPOCHS_AHEAD_MAX)
}

/// Bounded, in order of arrival.
#[derive(Debug, Default)]
pub(super) struct HeldMessages {
    messages: Vec<(NodeId, SyncMessage)>,
    payload_bytes: usize,
    /// Messages and payload bytes by sender.
    shares: BTreeMap<NodeId, (usize, usize)>,
}

impl HeldMessages {
    /// Holds `message` if there is room.
    pub(super) fn hold(&mut self, from: NodeId, message: SyncMessage) {
        let bytes = message.payload_bytes();
        let payload_bytes = self.payload_bytes + bytes;
        let (messages, bytes_of_one) = self.shares.get(&from).copied().unwrap_or_default();
        let has_share =
            messages < HELD_MESSAGES_OF_ONE_MAX && bytes_of_one + bytes <= HELD_PAYLOAD_BYTES_OF_ONE_MAX;
        if has_share && self.messages.len() < HELD_MESSAGES_MAX && payload_bytes <= HELD_PAYLOAD_BYTES_MAX {
            self.payload_bytes = payload_bytes;
            self.shares.insert(from, (messages + 1, bytes_of_one + bytes));
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
        self.shares.clear();
        for (from, message) in &self.messages {
            let (messages, bytes) = self.shares.entry(*from).or_default();
            *messages += 1;
            *bytes += message.payload_bytes();
        }
        now.retain(|(_, message)| message.epoch == epoch && message.incarnation == incarnation);
        now
    }
}
