//! What is fixed on entering a view, and where a view that halts ends.

use super::io::SyncOutput;
use super::machine::{Membership, SyncMachine};
use super::message::Entry;
use crate::index_set::IndexSet;
use crate::numbers::Numbers;

impl<N: Numbers> SyncMachine<N> {
    /// On entering a view, or with the origin that is loaded in it: what is begun by now is what a halt must not waste, and what
    /// is kept for joiners stays. Nothing that happens later in the epoch changes it, so that all members find the same
    /// end and the same state whenever they hear.
    pub(super) fn fix_entry(&mut self, is_loaded: bool) {
        self.halted = false;
        let has_begun = !self.work.computing.is_empty()
            || !self.work.computed.is_empty()
            || self.results.iter().any(Option::is_some);
        let halt_step = self.step + u64::from(has_begun);
        let kept_step = self.kept.as_ref().filter(|kept| kept.is_whole).map(|kept| kept.head.step);
        let (computed, computing) = (self.work.computed.clone(), self.work.computing.clone());
        let (step, failed) = (self.step, self.work.suspected.clone());
        let summed = if is_loaded { IndexSet::new() } else { self.summed() };
        let entry = Entry { step, halt_step, kept_step, is_loaded, computed, computing, summed, failed };
        self.entry = self.synced.then_some(entry);
        self.deal_step();
    }

    /// Steps after which this view ends: all of the job, or in a view that halts those that some member had begun.
    /// `None` until all have told in this epoch where they stood on entering it. A member without the state has begun
    /// nothing, and the state that it will get lies before the end.
    pub(super) fn last_step(&self, membership: &Membership) -> Option<u64> {
        if !membership.view.halt {
            return Some(self.end());
        }
        let mut end = self.entry.as_ref().map_or(0, |entry| entry.halt_step);
        for &other in &membership.others {
            let entry = &self.peers.standing(other)?.entry;
            end = end.max(entry.as_ref().map_or(0, |entry| entry.halt_step));
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
