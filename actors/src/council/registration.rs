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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everyone_is_asked_until_the_coordinator_is_known_and_nobody_too_often() {
        let (one, two) = (NodeId([1; 32]), NodeId([2; 32]));
        let mut registering = Registering::default();
        assert_eq!(registering.ask(Millis(0), None, &[]), []);
        assert_eq!(registering.ask(Millis(1), None, &[one, two]), [one, two]);
        assert_eq!(registering.ask(Millis(2), None, &[one, two]), []);
        registering.learn(Some(two));
        assert_eq!(registering.ask(Millis(3), None, &[one, two]), [two], "asked at once");
        registering.learn(Some(two));
        assert_eq!(registering.ask(Millis(4), None, &[one, two]), [], "the same word again is no news");
        assert_eq!(registering.ask(Millis(3 + REGISTER_EVERY_MS), Some(one), &[one, two]), [one]);
        assert_eq!(
            registering.ask(Millis(1000), Some(NodeId([9; 32])), &[one]),
            [one],
            "who is not connected is no use"
        );
    }
}
