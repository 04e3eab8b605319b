//! Which nodes were refused lately.

use std::collections::BTreeMap;

use traind_protocol::ids::{Millis, NodeId};

use crate::limits::{REFUSALS_MAX, REFUSED_MS};

/// A bounded memory of refused nodes.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    until: BTreeMap<NodeId, Millis>,
}

impl Refusals {
    /// Notes a refusal; true if this node was not remembered, so that it is worth a line in the log.
    pub(crate) fn note(&mut self, node: NodeId, now: Millis) -> bool {
        if !self.until.contains_key(&node) && self.until.len() >= REFUSALS_MAX {
            let oldest = self.until.iter().min_by_key(|&(_, until)| *until).map(|(&node, _)| node);
            if let Some(oldest) = oldest {
                self.until.remove(&oldest);
            }
        }
        self.until.insert(node, now.plus(REFUSED_MS)).is_none()
    }

    /// Whether the node is not to be dialled yet.
    pub(crate) fn is_refused(&self, node: NodeId, now: Millis) -> bool {
        self.until.get(&node).is_some_and(|&until| now < until)
    }

    /// The node was accepted after all.
    pub(crate) fn forget(&mut self, node: NodeId) {
        self.until.remove(&node);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(index: usize) -> NodeId {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&index.to_le_bytes());
        NodeId(bytes)
    }

    #[test]
    fn memory_is_bounded_and_ends() {
        let mut refusals = Refusals::default();
        for index in 0..REFUSALS_MAX + 10 {
            assert!(refusals.note(node(index), Millis(index as u64)));
        }
        assert_eq!(refusals.until.len(), REFUSALS_MAX);
        let last = node(REFUSALS_MAX + 9);
        assert!(!refusals.note(last, Millis(300)));
        assert!(refusals.is_refused(last, Millis(300 + REFUSED_MS - 1)));
        assert!(!refusals.is_refused(last, Millis(300 + REFUSED_MS)));
        assert!(!refusals.is_refused(node(0), Millis(300)));
    }
}
