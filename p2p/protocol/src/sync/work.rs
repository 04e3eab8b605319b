//! Own computations, who waits for them, and the push of a lease.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::deal::Deal;
use super::fold::FoldDue;
use super::io::SyncOutput;
use super::machine::{Membership, SyncMachine};
use super::message::SyncBody;
use super::pace::{Spent, fits_memory};
use crate::ids::{Chain, NodeId};
use crate::index_set::IndexSet;
use crate::numbers::Numbers;

/// Questions of others that wait for a computation, at most. An owner asks for a part of ours at most once for each
/// micro-batch, so honest members of a small swarm stay far below.
const NEEDS_PENDING_MAX: usize = 65_536;

/// Of these, questions of one member: four for each part of the largest job. One that floods leaves room for the others.
const NEEDS_OF_ONE_MAX: usize = NEEDS_PENDING_MAX / 4;

/// Another member waits for the sum over these.
#[derive(Debug, PartialEq, Eq)]
struct Need {
    from: NodeId,
    part: u32,
    microbatches: IndexSet,
}

/// What this life computes in the step in progress. A cache: everything in it can be computed again from the state.
#[derive(Debug, Default)]
pub(super) struct Work {
    contributions: BTreeMap<u32, Vec<Bytes>>,
    /// To be computed in this epoch: of our lease, or as others asked for it.
    wanted: IndexSet,
    pub(super) computed: IndexSet,
    /// Begun: asked of the trainer and not answered, as many as the pace allows.
    pub(super) computing: IndexSet,
    /// Not to be tried again in this epoch.
    pub(super) failed: IndexSet,
    /// Failed in this step, here or by the word of others: not dealt to others than those to whom a view gives it.
    pub(super) suspected: IndexSet,
    needs: Vec<Need>,
    /// Already sent to all owners of this view, each for itself.
    sent_early: IndexSet,
    /// What it took so far.
    pub(super) spent: Spent,
    /// Whether our sums are still to be pushed to the owners. Only in a step that began in this epoch: in one that a
    /// new view interrupted, owners ask for exactly what they lack.
    pub(super) push_due: bool,
}

impl Work {
    /// Own contribution of `microbatch` to `part`.
    pub(super) fn contribution(&self, microbatch: u32, part: u32) -> Option<&Bytes> {
        self.contributions.get(&microbatch)?.get(part as usize)
    }

    /// What is per epoch is over: what is to be computed, who waits for what, what failed, what is pushed.
    pub(super) fn enter_view(&mut self) {
        self.wanted = IndexSet::new();
        self.needs.clear();
        self.failed = IndexSet::new();
        self.sent_early = IndexSet::new();
        self.push_due = false;
    }

    /// A step begins.
    pub(super) fn begin(&mut self) {
        self.push_due = true;
    }

    /// What was sent may be lost.
    pub(super) fn forget_sent(&mut self) {
        self.sent_early = IndexSet::new();
    }
}

impl<N: Numbers> SyncMachine<N> {
    /// Sees to it that those of `wanted` that have not failed are computed, as the trainer comes to it.
    pub(super) fn compute(&mut self, wanted: &IndexSet, out: &mut Vec<SyncOutput>) {
        self.work.wanted.extend_from(wanted);
        self.compute_next(out);
    }

    /// Asks the trainer for as many more computations as it is to have, what is ours to deliver before what else was asked for.
    pub(super) fn compute_next(&mut self, out: &mut Vec<SyncOutput>) {
        let work = &self.work;
        let room = self.pace.computing_max().saturating_sub(work.computing.len());
        if room == 0 {
            return;
        }
        let waiting = work.wanted.minus(&work.computed).minus(&work.computing).minus(&work.failed);
        let due = match &self.membership {
            Some(membership) if waiting.len() > room => self.lease_due(membership).unwrap_or_default(),
            _ => IndexSet::new(),
        };
        let others = waiting.minus(&due);
        let first = waiting.minus(&others);
        let microbatches: IndexSet = first.iter().chain(others.iter()).take(room as usize).collect();
        if !microbatches.is_empty() {
            let work = &mut self.work;
            work.computing.extend_from(&microbatches);
            work.spent.asked(self.now);
            out.push(SyncOutput::Compute { step: self.step, base: self.chain, microbatches });
        }
    }

    /// Starts early what will be asked of us.
    pub(super) fn compute_lease(&mut self, membership: &Membership, out: &mut Vec<SyncOutput>) {
        let due = match self.lease_due(membership) {
            Some(due) => due,
            None => return,
        };
        self.compute(&due, out);
    }

    /// What is ours to deliver in this step. Waits for all states first, as a lease may have moved after it was begun. `None`
    /// too where others are ahead or the view ends here.
    fn lease_due(&self, membership: &Membership) -> Option<IndexSet> {
        if !self.goes_on(membership) {
            return None;
        }
        for &other in &membership.others {
            let standing = self.peers.standing(other)?;
            if standing.synced && standing.step > self.step {
                return None;
            }
        }
        match (self.deal.as_ref().filter(|deal| deal.step == self.step), membership.position) {
            (Some(deal), Some(position)) => Some(deal.due(position)),
            _ => Some(membership.lease.clone()),
        }
    }

    /// Finds who computes what of the step that the view interrupted, as soon as all others have told how they entered it.
    pub(super) fn deal_step(&mut self) {
        let Some(membership) = self.membership.clone() else { return };
        self.deal = self.deal_in(&membership);
        let Some(deal) = &self.deal else { return };
        // What one has told to have failed stays known if it dies.
        for &other in &membership.others {
            let entry = self.peers.standing(other).and_then(|standing| standing.entry.as_ref());
            if let Some(entry) = entry.filter(|entry| entry.step == deal.step && entry.step == self.step) {
                self.work.suspected.extend_from(&entry.failed);
            }
        }
    }

    fn deal_in(&self, membership: &Membership) -> Option<Deal> {
        let mut entries = Vec::new();
        for (position, member) in (0u16..).zip(&membership.view.members) {
            let entry = match member.node == self.options.me.node {
                true => self.entry.as_ref(),
                false => self.peers.standing(member.node)?.entry.as_ref(),
            };
            entries.extend(entry.map(|entry| (position, entry)));
        }
        Deal::of(&membership.view, &entries)
    }

    /// Micro-batches whose sums are here, of whomever, for all parts of the step in progress that we reduce.
    pub(super) fn summed(&self) -> IndexSet {
        let Some(membership) = self.membership.as_ref().filter(|_| self.synced) else {
            return IndexSet::new();
        };
        let all = IndexSet::full(self.options.microbatches);
        let mut summed = all.clone();
        for part in membership.parts.iter() {
            if self.results[part as usize].is_none() {
                let (_, mut covered) = self.received.cover(self.step, part, self.chain);
                covered.extend_from(&self.work.computed);
                summed = summed.minus(&all.minus(&covered));
                // As a rule the first part shows that there is none.
                if summed.is_empty() {
                    break;
                }
            }
        }
        summed
    }

    pub(super) fn computed(
        &mut self,
        step: u64,
        base: Chain,
        microbatch: u32,
        contributions: Vec<Bytes>,
        out: &mut Vec<SyncOutput>,
    ) {
        let current = self.synced && step == self.step && base == self.chain;
        if !current || self.work.computed.contains(microbatch) {
            return;
        }
        if contributions.len() != self.options.parts as usize {
            return self.compute_failed(step, base, microbatch, out);
        }
        let bytes = contributions.iter().map(|bytes| bytes.len() as u64).sum::<u64>();
        let has_room = fits_memory(bytes, self.options.microbatches);
        self.work.computing.remove(microbatch);
        self.work.computed.insert(microbatch);
        self.work.contributions.insert(microbatch, contributions);
        self.work.spent.computed(self.now, !self.work.computing.is_empty());
        self.fold_due = FoldDue::All;
        if self.options.sends_early && has_room && self.pace.leaves_room() {
            self.send_early(microbatch, out);
        }
        self.answer_needs(out);
        self.push_lease(out);
    }

    pub(super) fn compute_failed(
        &mut self,
        step: u64,
        base: Chain,
        microbatch: u32,
        out: &mut Vec<SyncOutput>,
    ) {
        if step == self.step && base == self.chain && self.work.computing.contains(microbatch) {
            self.work.computing.remove(microbatch);
            self.work.failed.insert(microbatch);
            self.work.suspected.insert(microbatch);
            self.work.spent.failed(self.now, !self.work.computing.is_empty());
            self.fold_due = FoldDue::All;
            self.push_lease(out);
        }
    }

    /// A member needs a sum that may have to be computed first.
    pub(super) fn need_contribution(
        &mut self,
        from: NodeId,
        part: u32,
        microbatches: IndexSet,
        out: &mut Vec<SyncOutput>,
    ) {
        self.compute(&microbatches, out);
        // What waits already waits for others.
        if microbatches.is_subset(&self.work.computed) {
            return self.send_contribution(from, part, microbatches, false, out);
        }
        let need = Need { from, part, microbatches };
        let of_one = self.work.needs.iter().filter(|need| need.from == from).count();
        if self.work.needs.len() >= NEEDS_PENDING_MAX || of_one >= NEEDS_OF_ONE_MAX {
            return out.push(SyncOutput::Refused { from, reason: "asks for too many sums" });
        }
        if !self.work.needs.contains(&need) {
            self.work.needs.push(need);
        }
    }

    fn answer_needs(&mut self, out: &mut Vec<SyncOutput>) {
        let computed = self.work.computed.clone();
        let ready: Vec<Need> =
            self.work.needs.extract_if(.., |need| need.microbatches.is_subset(&computed)).collect();
        for Need { from, part, microbatches } in ready {
            self.send_contribution(from, part, microbatches, false, out);
        }
    }

    /// Those that waited for sums of a part and now get its result instead.
    pub(super) fn take_needs_of(&mut self, part: u32) -> Vec<NodeId> {
        let mut waiting: Vec<NodeId> =
            self.work.needs.extract_if(.., |need| need.part == part).map(|need| need.from).collect();
        waiting.sort_unstable();
        waiting.dedup();
        waiting
    }

    /// Sends what was computed before all of the lease is: should we die now, it is not lost. What we reduce ourselves goes to
    /// those that reduce it then.
    fn send_early(&mut self, microbatch: u32, out: &mut Vec<SyncOutput>) {
        let Some(membership) = self.membership.clone() else { return };
        let me = self.options.me.node;
        for part in 0..self.options.parts {
            let owner = membership.view.owner(part).filter(|owner| *owner != me);
            let to = owner.or_else(|| membership.heir(part));
            if let Some(to) = to.filter(|_| self.results[part as usize].is_none()) {
                self.send_contribution(to, part, [microbatch].into_iter().collect(), true, out);
            }
        }
        self.work.sent_early.insert(microbatch);
    }

    /// Sends our sums to the owners once all that is due of the lease is computed but what failed; an empty sum too, as
    /// it says that we are in this step. What others have begun of our lease, owners ask of them.
    pub(super) fn push_lease(&mut self, out: &mut Vec<SyncOutput>) {
        let Some(membership) = self.membership.clone() else { return };
        if !self.work.push_due || !self.synced {
            return;
        }
        let Some(due) = self.lease_due(&membership) else { return };
        let ready = due.minus(&self.work.failed);
        if !ready.is_subset(&self.work.computed) {
            return;
        }
        self.work.push_due = false;
        let rest = ready.minus(&self.work.sent_early);
        for part in 0..self.options.parts {
            if let Some(owner) = membership.view.owner(part)
                && owner != self.options.me.node
            {
                self.send_contribution(owner, part, rest.clone(), false, out);
            }
        }
    }

    fn send_contribution(
        &self,
        to: NodeId,
        part: u32,
        microbatches: IndexSet,
        more: bool,
        out: &mut Vec<SyncOutput>,
    ) {
        let mut own: Vec<Bytes> =
            microbatches.iter().filter_map(|index| self.work.contribution(index, part).cloned()).collect();
        let sum = match own.len() {
            0 => Bytes::new(),
            1 => own.remove(0),
            _ => self.numbers.sum(part, &own),
        };
        let (step, base) = (self.step, self.chain);
        self.send(to, SyncBody::Contribution { step, base, part, microbatches, sum, more }, out);
    }

    /// Drops the work of this step; what is under way is cancelled.
    pub(super) fn drop_work(&mut self, out: &mut Vec<SyncOutput>) {
        if !self.work.computing.is_empty() {
            out.push(SyncOutput::CancelCompute);
        }
        self.work = Work::default();
    }
}
