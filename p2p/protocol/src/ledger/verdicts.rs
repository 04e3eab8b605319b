//! What nodes found wrong with others, or with their own disks: kept for people. Whom a view is without because of it is
//! decided by the coordinator, and stands in the view's reason.

use serde::{Deserialize, Serialize};

use super::limits::VERDICTS_MAX;
use super::{Ledger, Rejected};
use crate::ids::{ChunkId, NodeId};

/// What was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Finding {
    /// It sent bytes whose BLAKE3 is not the chunk's name.
    WrongBytes,
    /// It sent pieces that do not make the chunk.
    WrongPieces,
    /// It sent another manifest than it was asked for.
    WrongManifest,
    /// A chunk on its disk is not what was written.
    Damaged,
    /// That chunk was got anew from another node.
    Replaced,
    /// It sent what is no message, no sum or no result of the job.
    Malformed,
    /// It sent two different sums or results where there is one.
    Contradictory,
    /// It spoke of a view that does not exist.
    NoSuchView,
    /// It sent many times more messages than a member has reason to.
    Flood,
    /// It accused one member after another, and nobody else accuses those.
    FalseAccusations,
}

/// One node's word on another, or on itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// Whom it is about.
    pub node: NodeId,
    /// Whose word it is.
    pub by: NodeId,
    /// What was found.
    pub finding: Finding,
    /// The chunk that shows it, the manifest's id, or the BLAKE3 of the message.
    pub object: ChunkId,
}

impl Verdict {
    fn is_about_the_same(&self, other: &Self) -> bool {
        (self.node, self.by, self.object) == (other.node, other.by, other.object)
    }
}

impl Ledger {
    /// Whether the last word of this kind is this one.
    #[must_use]
    pub fn has_verdict(&self, verdict: &Verdict) -> bool {
        let last = self.verdicts.iter().rev().find(|known| known.is_about_the_same(verdict));
        last.is_some_and(|last| last.finding == verdict.finding)
    }

    pub(super) fn record_verdict(&mut self, verdict: Verdict) -> Result<(), Rejected> {
        for node in [verdict.node, verdict.by] {
            if !self.nodes.contains_key(&node) {
                return Err(Rejected::NodeNotRegistered { node });
            }
        }
        // The same again, as after a lost answer.
        if self.has_verdict(&verdict) {
            return Ok(());
        }
        if self.verdicts.len() >= VERDICTS_MAX {
            self.verdicts.pop_front();
        }
        self.verdicts.push_back(verdict);
        self.verdicts_total += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{node, register};
    use super::*;

    fn verdict(object: u8, finding: Finding) -> Verdict {
        Verdict { node: node(2), by: node(1), finding, object: ChunkId([object; 32]) }
    }

    #[test]
    fn the_same_word_counts_once_and_the_newest_are_kept() {
        let mut ledger = Ledger::default();
        assert!(ledger.record_verdict(verdict(1, Finding::Damaged)).is_err(), "nobody is registered");
        ledger.apply_command(1, register(1, 1)).unwrap();
        ledger.apply_command(2, register(2, 1)).unwrap();
        let words = [Finding::Damaged, Finding::Damaged, Finding::Replaced, Finding::Damaged];
        words.into_iter().for_each(|finding| ledger.record_verdict(verdict(1, finding)).unwrap());
        assert_eq!(ledger.verdicts_total, 3, "damaged, replaced, damaged again");
        for object in 2..100 {
            ledger.record_verdict(verdict(object, Finding::WrongBytes)).unwrap();
        }
        assert_eq!((ledger.verdicts.len(), ledger.verdicts_total), (VERDICTS_MAX, 101));
        assert_eq!(ledger.verdicts.back(), Some(&verdict(99, Finding::WrongBytes)));
    }
}
