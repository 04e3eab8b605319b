//! What this node found wrong with chunks, until the ledger shows it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use traind_protocol::ids::{ChunkId, NodeId};
use traind_protocol::ledger::{Finding, Ledger, Verdict};

/// Words that wait for the ledger. More are only in the log.
const WAITING_MAX: usize = 64;

/// A queue of words for the ledger.
#[derive(Clone, Debug)]
pub struct Verdicts {
    by: NodeId,
    waiting: Arc<Mutex<VecDeque<Verdict>>>,
}

impl Verdicts {
    /// Words of this node.
    #[must_use]
    pub fn new(by: NodeId) -> Self {
        Self { by, waiting: Arc::default() }
    }

    /// This node found something wrong with `object` and knows it from `node`, which may be itself.
    pub fn note(&self, node: NodeId, finding: Finding, object: ChunkId) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let verdict = Verdict { node, by: self.by, finding, object };
        if waiting.len() < WAITING_MAX && !waiting.contains(&verdict) {
            waiting.push_back(verdict);
        }
    }

    /// What was not told yet.
    #[cfg(test)]
    pub(crate) fn waiting(&self) -> Vec<Verdict> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).iter().copied().collect()
    }

    /// What to tell the ledger next: in their order, each until the ledger shows it.
    pub(super) fn next_for(&self, ledger: &Ledger) -> Option<Verdict> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(verdict) = waiting.front() {
            if !ledger.nodes.contains_key(&self.by) {
                return None;
            }
            let is_of_member = ledger.nodes.contains_key(&verdict.node);
            if is_of_member && !ledger.has_verdict(verdict) {
                return Some(*verdict);
            }
            waiting.pop_front();
        }
        None
    }
}
