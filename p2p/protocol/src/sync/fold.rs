//! When a part is folded, and from what.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::io::{AlarmKind, SyncOutput};
use super::machine::{Membership, SyncMachine};
use super::message::SyncBody;
use super::peers::Question;
use crate::ids::NodeId;
use crate::index_set::IndexSet;
use crate::misdeed::Misdeed;
use crate::numbers::Numbers;

/// Which parts to look at: a job may have thousands, and most events concern one.
#[derive(Debug)]
pub(super) enum FoldDue {
    All,
    Parts(IndexSet),
}

impl FoldDue {
    /// Something of `part` has come.
    pub(super) fn add(&mut self, part: u32) {
        if let Self::Parts(parts) = self {
            parts.insert(part);
        }
    }

    /// Those of `own` that are due.
    fn take(&mut self, own: &IndexSet) -> Vec<u32> {
        match std::mem::replace(self, Self::Parts(IndexSet::new())) {
            Self::All => own.iter().collect(),
            Self::Parts(some) => some.iter().filter(|part| own.contains(*part)).collect(),
        }
    }
}

impl<N: Numbers> SyncMachine<N> {
    /// Folds every own part that can be. Returns whether any result was set.
    pub(super) fn fold_parts(&mut self, membership: &Membership, out: &mut Vec<SyncOutput>) -> bool {
        let flushed = self.is_flushed(membership, out);
        if !flushed {
            return false;
        }
        let mut folded = false;
        for part in self.fold_due.take(&membership.parts) {
            if self.results[part as usize].is_none() {
                folded |= self.fold(part, membership, out);
            }
        }
        folded
    }

    /// Whether all others have told in this epoch that they are synced and in this step or ahead, on our chain: flush
    /// and barrier in one. A joiner that is still to get the state holds nothing.
    fn is_flushed(&self, membership: &Membership, out: &mut Vec<SyncOutput>) -> bool {
        for &other in &membership.others {
            let Some(standing) = self.peers.standing(other) else { return false };
            if !standing.synced {
                if self.goes_on_without(other, membership) {
                    continue;
                }
                return false;
            }
            if standing.step < self.step {
                return false;
            }
            if standing.step == self.step && standing.chain != self.chain {
                let (kind, with, step) = (AlarmKind::ChainsDiffer, other, self.step);
                out.push(SyncOutput::Alarm { kind, with, step });
                return false;
            }
        }
        true
    }

    fn fold(&mut self, part: u32, membership: &Membership, out: &mut Vec<SyncOutput>) -> bool {
        if let Some(holder) = self.holder(part, membership) {
            self.ask_result(holder, part, out);
            return false;
        }
        let (mut sums, mut covered) = self.received.cover(self.step, part, self.chain);
        let all = IndexSet::full(self.options.microbatches);
        for microbatch in all.minus(&covered).iter() {
            if let Some(own) = self.work.contribution(microbatch, part) {
                sums.push(own.clone());
                covered.insert(microbatch);
            }
        }
        let missing = all.minus(&covered);
        if !missing.is_empty() {
            self.pull(part, &missing, membership, out);
            return false;
        }
        let result: Bytes = self.numbers.fold(part, &sums);
        self.set_result(part, result, self.options.me.node, out);
        true
    }

    /// A member that has the result of `part` already: it is canonical.
    fn holder(&self, part: u32, membership: &Membership) -> Option<NodeId> {
        membership.others.iter().copied().find(|&other| {
            self.peers.standing(other).is_some_and(|standing| {
                let holds = standing.step == self.step && standing.held.contains(part);
                standing.synced && (standing.step > self.step || holds)
            })
        })
    }

    /// Asks `holder` for a result, once.
    pub(super) fn ask_result(&mut self, holder: NodeId, part: u32, out: &mut Vec<SyncOutput>) {
        let step = self.step;
        if self.peers.ask(holder, Question::Result { step, part }) {
            self.send(holder, SyncBody::NeedResult { step, part }, out);
        }
    }

    /// Asks for exactly the sums that are missing, each of its supplier.
    fn pull(&mut self, part: u32, missing: &IndexSet, membership: &Membership, out: &mut Vec<SyncOutput>) {
        let mut by_supplier: BTreeMap<NodeId, IndexSet> = BTreeMap::new();
        for microbatch in missing.minus(&self.work.computing).iter() {
            if let Some(supplier) = self.supplier(microbatch, membership) {
                by_supplier.entry(supplier).or_default().insert(microbatch);
            }
        }
        for (supplier, microbatches) in by_supplier {
            if supplier == self.options.me.node {
                self.compute(&microbatches, out);
            } else if self.peers.may_ask(supplier, part) && !self.is_on_its_way(supplier, part, &microbatches)
            {
                let step = self.step;
                let question = Question::Contribution { step, part, microbatches: microbatches.clone() };
                if self.peers.ask(supplier, question) {
                    self.send(supplier, SyncBody::NeedContribution { step, part, microbatches }, out);
                }
            }
        }
    }

    /// Who is to supply the contribution of `microbatch`: whoever it was dealt to in the step that the view interrupted, else the
    /// holder of the lease.
    pub(super) fn supplier(&self, microbatch: u32, membership: &Membership) -> Option<NodeId> {
        match self.deal.as_ref().filter(|deal| deal.step == self.step) {
            Some(deal) => membership.view.node_at(deal.holder(microbatch)?),
            None => membership.view.lease_holder(microbatch),
        }
    }

    /// Whether a sum with all of `microbatches` was asked of `supplier` and has not come.
    fn is_on_its_way(&self, supplier: NodeId, part: u32, microbatches: &IndexSet) -> bool {
        self.peers.asked_sets(supplier, self.step, part).any(|asked| {
            microbatches.is_subset(asked) && !self.received.has(self.step, part, self.chain, asked)
        })
    }

    /// Takes the result of `part`, write-once, and as its owner gives it to all that are not known to have it.
    pub(super) fn set_result(&mut self, part: u32, result: Bytes, source: NodeId, out: &mut Vec<SyncOutput>) {
        let Some(membership) = self.membership.clone() else { return };
        let (me, step) = (self.options.me.node, self.step);
        let epoch = membership.view.epoch;
        if let Some(old) = &self.results[part as usize] {
            if *old != result && self.sources.is_from(part, source, epoch) {
                let evidence = *blake3::hash(&result).as_bytes();
                self.accuse(source, Misdeed::TwoResults { step, part }, evidence, out);
            } else if *old != result {
                let kind = AlarmKind::TwoResults;
                out.push(SyncOutput::Alarm { kind, with: source, step });
            }
            return;
        }
        self.results[part as usize] = Some(result);
        if source != me {
            self.sources.set(part, source, epoch);
        }
        self.received.remove(step, part);
        if !self.synced {
            // Others are supplied once we are.
            return;
        }
        for waiting in self.take_needs_of(part).into_iter().filter(|waiting| *waiting != source) {
            if self.peers.give(waiting, step, part) {
                self.give_result(waiting, step, part, out);
            }
        }
        if membership.view.owner(part) != Some(me) {
            return;
        }
        for &other in membership.others.iter().filter(|other| **other != source) {
            // Whoever is not known to be synced tells when it is, and is supplied then.
            let lacks = self.peers.standing(other).is_some_and(|standing| {
                let behind_or_here = standing.step <= step;
                let holds = standing.step == step && standing.held.contains(part);
                standing.synced && behind_or_here && !holds
            });
            if lacks && self.peers.give(other, step, part) {
                self.give_result(other, step, part, out);
            }
        }
    }
}
