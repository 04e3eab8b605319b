//! What the machine does of itself after every input.

use bytes::Bytes;

use super::fold::FoldDue;
use super::io::SyncOutput;
use super::machine::{Membership, SyncMachine};
use super::next_chain;
use crate::index_set::IndexSet;
use crate::numbers::Numbers;

impl<N: Numbers> SyncMachine<N> {
    /// Goes as far as it can: applies, pulls results if behind, folds, computes.
    pub(super) fn progress(&mut self, out: &mut Vec<SyncOutput>) {
        let Some(membership) = self.membership.clone() else { return };
        if self.tenure.is_none() {
            return;
        }
        if !self.synced {
            self.ask_snapshot(&membership, out);
            self.follow(&membership, out);
        }
        if !self.synced {
            return;
        }
        while self.step < self.end() {
            self.keep_state(&membership, out);
            if self.results.iter().all(Option::is_some) {
                if !self.may_leave_step(&membership) {
                    break;
                }
                self.apply(&membership, out);
                continue;
            }
            self.pull_results(&membership, out);
            if !self.goes_on(&membership) || !self.fold_parts(&membership, out) {
                break;
            }
        }
        self.keep_state(&membership, out);
        self.compute_lease(&membership, out);
        self.compute_next(out);
        self.push_lease(out);
        self.announce_halt(&membership, out);
        self.offer_state(&membership, out);
    }

    fn apply(&mut self, membership: &Membership, out: &mut Vec<SyncOutput>) {
        self.apply_results(out);
        let (epoch, step, chain) = (membership.view.epoch, self.step, self.chain);
        out.push(SyncOutput::Applied { epoch, step, chain });
        if self.step >= self.end() {
            return out.push(SyncOutput::Finished { step, chain });
        }
        self.fold_due = FoldDue::All;
        self.work.begin();
        self.compute_lease(membership, out);
        self.push_lease(out);
    }

    /// The results of the step in progress, all of them, lead to the next.
    pub(super) fn apply_results(&mut self, out: &mut Vec<SyncOutput>) {
        let results: Vec<Bytes> = self.results.iter_mut().filter_map(Option::take).collect();
        self.pace.applied(self.now, &self.work.spent);
        self.drop_work(out);
        let step = self.step;
        if let Some(kept) = &mut self.kept {
            kept.push(self.chain, &results);
        }
        self.previous_chain = self.chain;
        self.chain = next_chain(self.chain, &results);
        self.step += 1;
        self.numbers.advance(&results);
        self.last = results.clone();
        self.sources.applied();
        self.allowances.renew();
        self.received.remove_before(self.step);
        self.peers.forget_before(self.step);
        out.push(SyncOutput::Apply { step, chain: self.chain, results });
    }

    /// Behind others: the owner of each part sends its result of itself. Only where the owner does not have the state
    /// itself, any member that is ahead is asked.
    fn pull_results(&mut self, membership: &Membership, out: &mut Vec<SyncOutput>) {
        let ahead = membership.others.iter().copied().find(|&other| {
            let standing = self.peers.standing(other);
            standing.is_some_and(|standing| standing.synced && standing.step > self.step)
        });
        let Some(ahead) = ahead else { return };
        // As a rule others supply theirs, of which there may be thousands.
        let others_supply = membership.others.iter().all(|other| self.peers.is_synced(*other));
        let parts = if others_supply { membership.parts.clone() } else { IndexSet::full(self.options.parts) };
        for part in parts.iter() {
            let owner = membership.view.owner(part);
            let owner_supplies =
                owner.is_some_and(|owner| owner != self.options.me.node && self.peers.is_synced(owner));
            if self.results[part as usize].is_none() && !owner_supplies {
                self.ask_result(ahead, part, out);
            }
        }
    }
}
