//! How a member without the state gets it.

use bytes::Bytes;

use super::fold::FoldDue;
use super::io::SyncOutput;
use super::machine::{Membership, SyncMachine};
use super::message::{SnapshotHead, SyncBody};
use super::next_chain;
use super::peers::Question;
use crate::ids::{Chain, NodeId};
use crate::numbers::Numbers;
use crate::view::Origin;

impl<N: Numbers> SyncMachine<N> {
    /// Asks one synced member for the state. It answers, or its path breaks, or a view without it comes.
    pub(super) fn ask_snapshot(&mut self, membership: &Membership, out: &mut Vec<SyncOutput>) {
        if self.loads_origin || self.donor.is_some() {
            return;
        }
        let donor =
            membership.others.iter().copied().find(|&other| {
                self.peers.is_synced(other) && !self.peers.was_asked(other, &Question::Snapshot)
            });
        if let Some(donor) = donor {
            self.donor = Some(donor);
            self.peers.ask(donor, Question::Snapshot);
            self.send(donor, SyncBody::NeedSnapshot, out);
        }
    }

    /// Sends the state as it is after the outputs so far, and what those a step behind it may need.
    pub(super) fn give_snapshot(&self, to: NodeId, out: &mut Vec<SyncOutput>) {
        let Some(membership) = self.membership.as_ref().filter(|_| self.synced) else { return };
        let snapshot = SnapshotHead {
            incarnation: membership.view.incarnation,
            epoch: membership.view.epoch,
            step: self.step,
            chain: self.chain,
            previous_chain: self.previous_chain,
            last: self.last.clone(),
        };
        out.push(SyncOutput::SendSnapshot { to, snapshot });
    }

    /// Takes the state of a member of this epoch.
    pub(super) fn take_snapshot(
        &mut self,
        from: NodeId,
        head: SnapshotHead,
        state: Bytes,
        out: &mut Vec<SyncOutput>,
    ) {
        if self.synced || self.loads_origin {
            return;
        }
        if !self.is_consistent(&head) || !self.numbers.restore(&state) {
            self.donor = None;
            return out.push(SyncOutput::Refused { from, reason: "malformed snapshot" });
        }
        self.step = head.step;
        self.chain = head.chain;
        self.previous_chain = head.previous_chain;
        self.last = head.last;
        out.push(SyncOutput::InstallState { step: self.step, chain: self.chain, state });
        self.become_synced(out);
    }

    fn is_consistent(&self, head: &SnapshotHead) -> bool {
        let parts = self.options.parts as usize;
        let well_formed = (0u32..).zip(&head.last).all(|(part, result)| self.numbers.is_result(part, result));
        head.last.is_empty()
            || (head.last.len() == parts
                && well_formed
                && next_chain(head.previous_chain, &head.last) == head.chain)
    }

    /// The driver's state is now that of a checkpoint. It counts if we are a founder that starts from it; after an
    /// eviction in between it is a prefetch.
    pub(super) fn origin_loaded(&mut self, step: u64, chain: Chain, out: &mut Vec<SyncOutput>) {
        let Some(membership) = self.membership.as_ref().filter(|_| !self.synced) else { return };
        let expected = match membership.view.origin {
            Origin::Seed => (0, self.options.genesis),
            Origin::Checkpoint { step, chain, .. } => (step, chain),
        };
        self.step = step;
        self.chain = chain;
        self.previous_chain = chain;
        if self.loads_origin && expected == (step, chain) {
            self.loads_origin = false;
            self.become_synced(out);
        }
    }

    fn become_synced(&mut self, out: &mut Vec<SyncOutput>) {
        let Some(membership) = self.membership.clone() else { return };
        self.synced = true;
        self.fix_halt_step();
        self.donor = None;
        self.fold_due = FoldDue::All;
        self.received.remove_before(self.step);
        self.report_synced(out);
        for &other in &membership.others {
            self.send_state(other, false, out);
            self.supply(other, out);
        }
        if self.step >= self.end() {
            out.push(SyncOutput::Finished { step: self.step, chain: self.chain });
        }
    }

    pub(super) fn report_synced(&self, out: &mut Vec<SyncOutput>) {
        if let (Some(membership), Some(tenure)) = (&self.membership, self.tenure) {
            let (epoch, step, chain) = (membership.view.epoch, self.step, self.chain);
            out.push(SyncOutput::Synced { tenure, epoch, step, chain });
        }
    }
}
