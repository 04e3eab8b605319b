//! How a node gets its seat, and how the ledger learns of its new process.

use traind_protocol::ids::{Millis, NodeId};

/// A node that is not yet in the ledger asks this often.
const REGISTER_EVERY_MS: u64 = 200;

/// Whom to ask next for admission.
#[derive(Debug, Default)]
pub(super) struct Registering {
    asked_at: Option<Millis>,
    coordinator: Option<NodeId>,
}

impl Registering {
    /// A peer named the coordinator: ask it at once.
    pub(super) fn learn(&mut self, coordinator: Option<NodeId>) {
        if coordinator.is_some() && coordinator != self.coordinator {
            self.coordinator = coordinator;
            self.asked_at = None;
        }
    }

    /// Something changed that makes asking again worth it.
    pub(super) fn hurry(&mut self) {
        self.asked_at = None;
    }

    /// When to ask again.
    pub(super) fn deadline(&self, now: Millis) -> Millis {
        self.asked_at.map_or(now, |asked| asked.plus(REGISTER_EVERY_MS))
    }

    /// Whom to ask now: the coordinator where it is known and connected, else everyone.
    pub(super) fn ask(&mut self, now: Millis, leader: Option<NodeId>, peers: &[NodeId]) -> Vec<NodeId> {
        if self.deadline(now) > now || peers.is_empty() {
            return Vec::new();
        }
        self.asked_at = Some(now);
        let known = leader.or(self.coordinator).filter(|node| peers.contains(node));
        known.map_or_else(|| peers.to_vec(), |node| vec![node])
    }
}
