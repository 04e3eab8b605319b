//! Where a view that halts ends.

use super::io::SyncOutput;
use super::machine::{Membership, SyncMachine};
use crate::numbers::Numbers;

impl<N: Numbers> SyncMachine<N> {
    /// On entering a view, and on getting the state within it: what is begun by now is what a halt must not waste.
    /// Nothing that happens later in the epoch changes it, so that all members find the same end whenever they hear.
    pub(super) fn fix_halt_step(&mut self) {
        self.halted = false;
        let has_begun = !self.work.computing.is_empty()
            || !self.work.computed.is_empty()
            || self.results.iter().any(Option::is_some);
        self.halt_step = self.step + u64::from(has_begun);
    }

    /// Steps after which this view ends: all of the job, or in a view that halts those that some member had begun.
    /// `None` until all have told in this epoch where they stood on entering it. A member without the state has begun
    /// nothing, and the state that it will get lies before the end.
    pub(super) fn last_step(&self, membership: &Membership) -> Option<u64> {
        if !membership.view.halt {
            return Some(self.end());
        }
        let mut end = self.halt_step;
        for &other in &membership.others {
            let standing = self.peers.standing(other)?;
            if standing.synced {
                end = end.max(standing.halt_step);
            }
        }
        Some(end.min(self.end()))
    }

    /// Whether this view may still lead beyond the state we have.
    pub(super) fn goes_on(&self, membership: &Membership) -> bool {
        self.last_step(membership).is_some_and(|end| self.step < end)
    }

    /// Says once that we have stopped.
    pub(super) fn announce_halt(&mut self, membership: &Membership, out: &mut Vec<SyncOutput>) {
        let is_known = self.last_step(membership).is_some();
        if membership.view.halt && !self.halted && is_known && !self.goes_on(membership) {
            self.halted = true;
            let (epoch, step, chain) = (membership.view.epoch, self.step, self.chain);
            out.push(SyncOutput::Halted { epoch, step, chain });
        }
    }
}
