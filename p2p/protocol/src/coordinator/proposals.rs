//! What was proposed and is not yet in the ledger.

use std::collections::BTreeMap;

use super::limits::{PROPOSAL_RETRY_MS, REJECTION_RETRY_MS};
use crate::ids::{Boot, Epoch, JobId, Life, Millis, NodeId, SeatId};

/// Names a proposal together with what the ledger showed when it was made, so that the next change of the same thing
/// is another proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ProposalKey {
    /// The process and its turn.
    Register(NodeId, Boot, u64),
    Forget(NodeId),
    View(JobId, Epoch),
    Steps(JobId, u64),
    Synced(JobId, Life, Epoch),
    /// The step and how many holders the ledger has.
    Checkpoint(JobId, u64, usize),
    Replicas(JobId, u64),
    Failure(JobId, u64, u32),
    End(JobId),
    Refuse(JobId),
    Halt(JobId, Epoch),
    Evaluation(JobId, u64),
    /// The step that was due before.
    Save(JobId, u64),
    /// Whom it is about, and whose word it is.
    Verdict(NodeId, NodeId),
    Seats,
    Transfer(SeatId),
}

#[derive(Clone, Copy, Debug)]
struct InFlight {
    at: Millis,
    retry_at: Millis,
    wanted: bool,
}

/// Proposals in flight. In each pass everything that should be in the ledger is asked for again; what was proposed
/// lately is not repeated, and what is not asked for any more is forgotten.
#[derive(Debug, Default)]
pub(super) struct Proposals {
    in_flight: BTreeMap<ProposalKey, InFlight>,
}

impl Proposals {
    pub(super) fn begin_pass(&mut self) {
        for proposal in self.in_flight.values_mut() {
            proposal.wanted = false;
        }
    }

    /// Whether to propose `key` now.
    pub(super) fn is_due(&mut self, now: Millis, key: ProposalKey) -> bool {
        let again = InFlight { at: now, retry_at: now.plus(PROPOSAL_RETRY_MS), wanted: true };
        match self.in_flight.get_mut(&key) {
            Some(proposal) if now < proposal.retry_at => {
                proposal.wanted = true;
                false
            }
            _ => {
                self.in_flight.insert(key, again);
                true
            }
        }
    }

    pub(super) fn end_pass(&mut self) {
        self.in_flight.retain(|_, proposal| proposal.wanted);
    }

    /// The ledger rejected something: perhaps one of these.
    pub(super) fn rejected(&mut self, now: Millis) {
        for proposal in self.in_flight.values_mut() {
            let due = proposal.at.plus(REJECTION_RETRY_MS).max(now);
            proposal.retry_at = proposal.retry_at.min(due);
        }
    }

    pub(super) fn forget(&mut self, key: ProposalKey) {
        self.in_flight.remove(&key);
    }

    pub(super) fn clear(&mut self) {
        self.in_flight.clear();
    }

    /// When the next one is to be repeated.
    pub(super) fn deadline(&self) -> Option<Millis> {
        self.in_flight.values().map(|proposal| proposal.retry_at).min()
    }
}
