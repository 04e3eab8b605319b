//! Own computations, who waits for them, and the push of a lease.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::fold::FoldDue;
use super::io::SyncOutput;
use super::machine::{Membership, SyncMachine};
use super::message::SyncBody;
use crate::ids::{Chain, Millis, NodeId};
use crate::index_set::IndexSet;
use crate::numbers::Numbers;
use crate::rendezvous::heirs;

/// Questions of others that wait for a computation, at most. An owner asks for a part of ours at most once for each
/// micro-batch, so honest members of a small swarm stay far below.
const NEEDS_PENDING_MAX: usize = 65_536;

/// Of these, questions of one member: four for each part of the largest job. One that floods leaves room for the others.
const NEEDS_OF_ONE_MAX: usize = NEEDS_PENDING_MAX / 4;

/// Computations that are asked of the trainer at a time: one in hand, and one behind it so that the trainer never waits for an
/// answer. What is not asked for yet is not begun, and goes to somebody else when a lease moves.
const COMPUTING_MAX: u32 = 2;

/// What a step of ours took that no view interrupted.
#[derive(Clone, Copy, Debug)]
pub(super) struct StepTimes {
    microbatches: u64,
    computing_ms: u64,
    /// From our last sum to the results, the waiting for slower members included.
    exchange_ms: u64,
}

impl StepTimes {
    /// Whether the network is quick enough for sums as they are computed: an exchange for each of them, of which a sum is about
    /// a half, would take no longer than to compute them. Else owners get all of a lease at its end, as one sum.
    fn leaves_room(self) -> bool {
        // An exchange that the clock does not show takes a part of a millisecond.
        self.exchange_ms.max(1).saturating_mul(self.microbatches) <= self.computing_ms
    }
}

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
    /// Begun: asked of the trainer and not answered, at most [`COMPUTING_MAX`].
    pub(super) computing: IndexSet,
    /// Not to be tried again in this epoch.
    pub(super) failed: IndexSet,
    needs: Vec<Need>,
    /// Already sent to all owners of this view, each for itself.
    sent_early: IndexSet,
    /// When the step began here, in this epoch.
    begun_at: Option<Millis>,
    /// When the last of our sums was sent, and how many micro-batches they are of.
    sent_at: Option<(Millis, u64)>,
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
        self.begun_at = None;
    }

    /// A step begins.
    pub(super) fn begin(&mut self, now: Millis) {
        self.push_due = true;
        self.begun_at = Some(now);
    }

    /// What the step took that ends now; `None` where a view interrupted it.
    pub(super) fn times(&self, now: Millis) -> Option<StepTimes> {
        let (begun_at, (sent_at, microbatches)) = (self.begun_at?, self.sent_at?);
        let (computing_ms, exchange_ms) = (sent_at.since(begun_at), now.since(sent_at));
        Some(StepTimes { microbatches, computing_ms, exchange_ms })
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

    /// Asks the trainer for as many more computations as it is to have.
    pub(super) fn compute_next(&mut self, out: &mut Vec<SyncOutput>) {
        let work = &mut self.work;
        let room = COMPUTING_MAX.saturating_sub(work.computing.len());
        if room == 0 {
            return;
        }
        let waiting = work.wanted.minus(&work.computed).minus(&work.computing).minus(&work.failed);
        let microbatches: IndexSet = waiting.iter().take(room as usize).collect();
        if !microbatches.is_empty() {
            work.computing.extend_from(&microbatches);
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

    /// What of our lease is ours to deliver in this step: what nobody else says it has begun. Waits for all states
    /// first, as a lease may have moved after it was begun. `None` too where others are ahead or the view ends here.
    fn lease_due(&self, membership: &Membership) -> Option<IndexSet> {
        if !self.goes_on(membership) {
            return None;
        }
        let mut due = membership.lease.clone();
        for &other in &membership.others {
            let standing = self.peers.standing(other)?;
            if !standing.synced {
                continue;
            }
            if standing.step > self.step {
                return None;
            }
            if standing.step == self.step && standing.chain == self.chain {
                due = due.minus(&standing.computed);
                due = due.minus(&standing.computing);
            }
        }
        Some(due.minus(&self.summed_by_all(membership)))
    }

    /// Micro-batches whose sums are here, of whomever, for all parts of the step in progress that we reduce.
    pub(super) fn summed(&self) -> IndexSet {
        let Some(membership) = self.membership.as_ref().filter(|_| self.synced) else {
            return IndexSet::new();
        };
        let all = IndexSet::full(self.options.microbatches);
        let mut summed = all.clone();
        for part in 0..self.options.parts {
            let is_ours = membership.view.owner(part) == Some(self.options.me.node);
            if is_ours && self.results[part as usize].is_none() {
                let (_, mut covered) = self.received.cover(self.step, part, self.chain);
                covered.extend_from(&self.work.computed);
                summed = summed.minus(&all.minus(&covered));
            }
        }
        summed
    }

    /// Micro-batches that nobody needs to compute, as every member has told on entering the view that it has their sums.
    fn summed_by_all(&self, membership: &Membership) -> IndexSet {
        let all = IndexSet::full(self.options.microbatches);
        let mut summed = all.clone();
        for &other in &membership.others {
            let told = self.peers.standing(other);
            match told.filter(|told| told.synced && (told.step, told.chain) == (self.step, self.chain)) {
                Some(told) => summed = summed.minus(&all.minus(&told.summed)),
                None if self.goes_on_without(other, membership) => {}
                None => return IndexSet::new(),
            }
            if summed.is_empty() {
                return summed;
            }
        }
        summed.minus(&all.minus(&self.summed()))
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
        self.work.computing.remove(microbatch);
        self.work.computed.insert(microbatch);
        self.work.contributions.insert(microbatch, contributions);
        self.fold_due = FoldDue::All;
        if self.options.sends_early && self.step_times.is_some_and(StepTimes::leaves_room) {
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
        let need = Need { from, part, microbatches };
        let of_one = self.work.needs.iter().filter(|need| need.from == from).count();
        if self.work.needs.len() >= NEEDS_PENDING_MAX || of_one >= NEEDS_OF_ONE_MAX {
            return out.push(SyncOutput::Refused { from, reason: "asks for too many sums" });
        }
        if !self.work.needs.contains(&need) {
            self.work.needs.push(need);
        }
        self.answer_needs(out);
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
        for (part, heir) in (0u32..).zip(membership.heirs.get_or_init(|| heirs(&membership.view))) {
            let to = membership.view.owner(part).filter(|owner| *owner != me).or(*heir);
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
        self.work.sent_at = Some((self.now, u64::from(ready.len())));
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
