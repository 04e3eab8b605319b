//! Fencing, and what each message does.

use bytes::Bytes;

use super::arrival::Arrival;
use super::fold::FoldDue;
use super::held::is_far_ahead;
use super::io::{AlarmKind, SyncOutput};
use super::machine::SyncMachine;
use super::message::{Standing, SyncBody, SyncMessage};
use super::received::{Kept, ReceivedSum};
use crate::ids::{Chain, Epoch, Life, NodeId};
use crate::index_set::IndexSet;
use crate::misdeed::Misdeed;
use crate::numbers::Numbers;

impl<N: Numbers> SyncMachine<N> {
    /// Takes a message of this very epoch from a member; holds a later one; drops the rest (V2).
    pub(super) fn receive(&mut self, from: NodeId, message: SyncMessage, out: &mut Vec<SyncOutput>) {
        if message.job != self.options.job || from == self.options.me.node {
            return out.push(SyncOutput::Refused { from, reason: "message of another job" });
        }
        let Some(membership) = self.membership.clone() else {
            self.hear_of(message.epoch, out);
            return self.hold(from, message);
        };
        let view = &membership.view;
        if message.incarnation == view.incarnation && is_far_ahead(view.epoch, message.epoch) {
            let (sender, misdeed) =
                (Life { node: from, boot: message.boot }, Misdeed::Epoch { epoch: message.epoch });
            return self.accuse_of_epoch(sender, misdeed, out);
        }
        if message.epoch > view.epoch {
            self.hear_of(message.epoch, out);
            // Another lineage is never "later": its messages are not held, its view makes a new start.
            if message.incarnation == view.incarnation {
                self.hold(from, message);
            }
            return;
        }
        if message.epoch < view.epoch || message.incarnation != view.incarnation {
            return self.receive_old(from, &message, view.epoch, out);
        }
        if self.tenure.is_none() {
            return;
        }
        let sender = Life { node: from, boot: message.boot };
        if view.member(sender).is_none() {
            return out.push(SyncOutput::Refused { from, reason: "not a member of this view" });
        }
        self.take(from, message.body, out);
    }

    fn take(&mut self, from: NodeId, body: SyncBody, out: &mut Vec<SyncOutput>) {
        match body {
            SyncBody::State { standing, fresh, awaits } => {
                self.take_state(from, &standing, (fresh, awaits), out);
            }
            SyncBody::Contribution { step, base, part, microbatches, sum, more }
                if part < self.options.parts =>
            {
                let epoch = self.membership.as_ref().map_or(Epoch(0), |membership| membership.view.epoch);
                let sum = ReceivedSum { from, epoch, microbatches, base, sum };
                self.take_contribution(step, part, sum, more, out);
            }
            SyncBody::Result { step, base, part, result } if part < self.options.parts => {
                self.take_result(from, step, base, part, result, out);
            }
            SyncBody::NeedContribution { step, part, microbatches } if part < self.options.parts => {
                self.take_need(from, step, part, microbatches, out);
            }
            SyncBody::NeedResult { step, part } => {
                self.give_result(from, step, part, out);
                self.tell_follower(from, out);
            }
            SyncBody::NeedSnapshot => self.handover.asked(from),
            SyncBody::Offer { offer } => self.take_offer(from, offer, out),
            SyncBody::Contribution { .. } | SyncBody::Result { .. } | SyncBody::NeedContribution { .. } => {
                self.accuse(from, Misdeed::Frame, [0; 32], out);
            }
        }
    }

    /// A message of an epoch that is over changes nothing; its sender is told once that this epoch exists.
    fn receive_old(&mut self, from: NodeId, message: &SyncMessage, epoch: Epoch, out: &mut Vec<SyncOutput>) {
        if self.tenure.is_none() {
            return;
        }
        if message.epoch < epoch && self.peers.tell(from) {
            self.send_state(from, false, out);
        }
    }

    fn hear_of(&mut self, epoch: Epoch, out: &mut Vec<SyncOutput>) {
        if epoch > self.epoch_heard {
            self.epoch_heard = epoch;
            out.push(SyncOutput::NeedView { epoch });
        }
    }

    fn hold(&mut self, from: NodeId, message: SyncMessage) {
        self.held.hold(from, message);
    }

    fn take_state(
        &mut self,
        from: NodeId,
        standing: &Standing,
        (fresh, awaits): (bool, Arrival),
        out: &mut Vec<SyncOutput>,
    ) {
        // Rule R1: what we sent before the peer entered this view, or before its end of the path noticed that it
        // is new, may be lost. So say and ask it again.
        if fresh {
            self.forget_exchange(from);
        }
        if self.peers.merge_state(from, standing, awaits) {
            self.peers.forget_given(from);
        }
        if fresh {
            self.send_state(from, false, out);
        }
        if let Some(following) = self.following.as_mut().filter(|_| standing.synced) {
            following.told.insert(from);
        }
        self.fold_due = FoldDue::All;
        self.deal_step();
        self.supply(from, out);
    }

    /// A connection to `node` works again: say and ask everything again that may be lost, and let the other end do so:
    /// it may have noticed before us, and its questions of that time have lost their answers.
    pub(super) fn path_opened(&mut self, node: NodeId, out: &mut Vec<SyncOutput>) {
        let is_other = self.membership.as_ref().is_some_and(|membership| membership.others.contains(&node));
        if self.tenure.is_some() && is_other {
            self.forget_exchange(node);
            self.allowances.renew_of(node);
            self.fold_due = FoldDue::All;
            self.send_state(node, true, out);
            self.supply(node, out);
        }
    }

    fn forget_exchange(&mut self, node: NodeId) {
        self.peers.forget_exchange(node);
        self.work.forget_sent();
        if let Some(following) = &mut self.following {
            following.forget_asked(node);
        }
    }

    /// As owner, gives `node` the results that it lacks, as far as it has told.
    pub(super) fn supply(&mut self, node: NodeId, out: &mut Vec<SyncOutput>) {
        let Some(membership) = self.membership.clone() else { return };
        let Some(standing) = self.peers.standing(node).filter(|standing| standing.synced).cloned() else {
            return;
        };
        if !self.synced || !(standing.step == self.step || standing.step.checked_add(1) == Some(self.step)) {
            return;
        }
        for part in membership.parts.iter() {
            let lacks = standing.step < self.step || !standing.held.contains(part);
            if lacks
                && self.result_of(standing.step, part).is_some()
                && self.peers.give(node, standing.step, part)
            {
                self.give_result(node, standing.step, part, out);
            }
        }
    }

    /// The result of `part` in the step in progress, the one before or one since the state that is kept, with the chain it
    /// applies to.
    fn result_of(&self, step: u64, part: u32) -> Option<(Chain, &Bytes)> {
        if step == self.step {
            return Some((self.chain, self.results.get(part as usize)?.as_ref()?));
        }
        if step.checked_add(1) == Some(self.step) {
            return Some((self.previous_chain, self.last.get(part as usize)?));
        }
        self.kept.as_ref()?.result(step, part)
    }

    /// Sends a result if it is held.
    pub(super) fn give_result(&self, to: NodeId, step: u64, part: u32, out: &mut Vec<SyncOutput>) {
        if let Some((base, result)) = self.result_of(step, part).filter(|_| self.synced) {
            self.send(to, SyncBody::Result { step, base, part, result: result.clone() }, out);
        }
    }

    fn take_contribution(
        &mut self,
        step: u64,
        part: u32,
        sum: ReceivedSum,
        more: bool,
        out: &mut Vec<SyncOutput>,
    ) {
        if self.synced && step > self.step.saturating_add(1) {
            let kind = AlarmKind::StepFromTheFuture;
            return out.push(SyncOutput::Alarm { kind, with: sum.from, step });
        }
        let current = (self.synced && step == self.step).then_some(self.chain);
        let is_over = self.synced && step < self.step;
        let is_done = current.is_some() && self.results[part as usize].is_some();
        let is_strange = current.is_some_and(|chain| sum.base != chain);
        let is_doubtful = self.accused.contradicts_itself(sum.from);
        let is_wanted = !(sum.microbatches.is_empty() || is_over || is_done || is_strange || is_doubtful);
        // Before anything is kept: what is kept has the length that sums of this part have.
        if is_wanted && !self.numbers.is_contribution(part, &sum.sum) {
            let evidence = *blake3::hash(&sum.sum).as_bytes();
            return self.accuse(sum.from, Misdeed::Contribution { step, part }, evidence, out);
        }
        let (from, base) = (sum.from, sum.base);
        if !self.collects(part, from) {
            return out.push(SyncOutput::Refused { from, reason: "a sum of a part that is another's" });
        }
        if is_wanted {
            let evidence = sum.sum.clone();
            if self.received.insert(step, part, sum, current) == Kept::Contradicts {
                // Which of the two is right, and which of its others, nobody knows: a view without it computes them again.
                self.received.remove_of(from);
                let evidence = *blake3::hash(&evidence).as_bytes();
                return self.accuse(from, Misdeed::TwoContributions { step, part }, evidence, out);
            }
        }
        if self.peers.merge_contribution(from, step, base, (!more).then_some(part)) {
            self.fold_due = FoldDue::All;
        }
        self.fold_due.add(part);
    }

    /// Whether sums of `part` come here from `from`: to its owner, and from the owner to whoever reduces the part if it dies.
    fn collects(&self, part: u32, from: NodeId) -> bool {
        let Some(membership) = &self.membership else { return false };
        let (me, owner) = (self.options.me.node, membership.view.owner(part));
        owner == Some(me) || owner == Some(from) && membership.heir(part) == Some(me)
    }

    fn take_result(
        &mut self,
        from: NodeId,
        step: u64,
        base: Chain,
        part: u32,
        result: Bytes,
        out: &mut Vec<SyncOutput>,
    ) {
        if self.following.is_some() {
            return self.take_followed(from, (step, base, part), result, out);
        }
        if !self.synced || step < self.step {
            return;
        }
        if step > self.step {
            let kind = AlarmKind::StepFromTheFuture;
            return out.push(SyncOutput::Alarm { kind, with: from, step });
        }
        if base != self.chain {
            let kind = AlarmKind::ResultOnOtherChain;
            return out.push(SyncOutput::Alarm { kind, with: from, step });
        }
        if !self.numbers.is_result(part, &result) {
            let evidence = *blake3::hash(&result).as_bytes();
            return self.accuse(from, Misdeed::Result { step, part }, evidence, out);
        }
        self.set_result(part, result, from, out);
    }

    fn take_need(
        &mut self,
        from: NodeId,
        step: u64,
        part: u32,
        microbatches: IndexSet,
        out: &mut Vec<SyncOutput>,
    ) {
        if !self.synced || !microbatches.is_valid(self.options.microbatches) {
            return;
        }
        let ends_here = self.halted || step >= self.end();
        let reduces = self.membership.as_ref().is_some_and(|now| now.view.owner(part) == Some(from));
        if step == self.step && self.results[part as usize].is_none() && !ends_here {
            if !reduces {
                return out
                    .push(SyncOutput::Refused { from, reason: "asks for sums of a part that is another's" });
            }
            self.need_contribution(from, part, microbatches, out);
        } else {
            self.give_result(from, step, part, out);
        }
    }
}
