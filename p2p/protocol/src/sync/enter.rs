//! What a new view changes.

use std::sync::{Arc, OnceLock};

use super::accusing::Accused;
use super::fold::FoldDue;
use super::handover::Handover;
use super::io::{AlarmKind, SyncOutput};
use super::machine::{Joiner, Membership, SyncMachine};
use super::peers::Peers;
use crate::ids::NodeId;
use crate::index_set::IndexSet;
use crate::numbers::Numbers;
use crate::view::{Member, Origin, View};

impl<N: Numbers> SyncMachine<N> {
    /// Enters `view` if it is newer. Views may be skipped; values are cumulative over epochs, knowledge of peers is not.
    pub(super) fn enter(&mut self, view: View, out: &mut Vec<SyncOutput>) {
        if !self.fits(&view) {
            let (with, step) = (self.options.me.node, self.step);
            return out.push(SyncOutput::Alarm { kind: AlarmKind::MalformedView, with, step });
        }
        let former = self.membership.as_ref().map(|membership| &membership.view);
        if former.is_some_and(|old| view.incarnation < old.incarnation || view.epoch <= old.epoch) {
            return;
        }
        let same_lineage = former.is_some_and(|old| view.incarnation == old.incarnation);
        self.epoch_heard = self.epoch_heard.max(view.epoch);
        let first = former.is_none();
        let membership = Arc::new(self.membership_in(view));
        let member = membership.position.map(|position| membership.view.members[usize::from(position)]);
        self.membership = Some(membership.clone());
        self.peers = Peers::default();
        self.deal = None;
        self.fold_due = FoldDue::All;
        self.handover = Handover::default();
        self.accused = Accused::default();
        self.allowances.renew();
        self.work.enter_view();
        let Some(member) = member else {
            if self.tenure.take().is_some() || first {
                out.push(SyncOutput::Evicted);
            }
            self.wipe(out);
            self.release_state(out);
            self.held.take(membership.view.incarnation, membership.view.epoch);
            return;
        };
        let same_tenure = self.tenure == Some(member.tenure);
        self.tenure = Some(member.tenure);
        if !(same_lineage && same_tenure) {
            self.begin_tenure(member, &membership, out);
        }
        if let Some(following) = &mut self.following {
            following.enter_view();
        }
        self.fix_entry(false);
        for &other in &membership.others {
            self.send_state(other, true, out);
        }
        for (from, message) in self.held.take(membership.view.incarnation, membership.view.epoch) {
            self.receive(from, message, out);
        }
    }

    /// Founders start from the origin, everybody else from nothing.
    fn begin_tenure(&mut self, member: Member, membership: &Membership, out: &mut Vec<SyncOutput>) {
        self.wipe(out);
        if member.tenure != membership.view.founding_epoch {
            return;
        }
        let untouched = self.step == 0 && self.chain == self.options.genesis;
        if membership.view.origin == Origin::Seed && untouched {
            self.synced = true;
            self.report_synced(out);
        } else {
            self.loads_origin = true;
            self.release_state(out);
            out.push(SyncOutput::LoadOrigin(membership.view.origin));
        }
    }

    /// Forgets all but the state itself, which is a prefetch from now on.
    fn wipe(&mut self, out: &mut Vec<SyncOutput>) {
        self.sources.lose((self.step, self.previous_chain), &self.last);
        self.synced = false;
        self.loads_origin = false;
        self.results.fill(None);
        self.last.clear();
        self.kept = None;
        self.following = None;
        self.received.clear();
        self.drop_work(out);
    }

    fn fits(&self, view: &View) -> bool {
        view.job == self.options.job
            && view.is_well_formed()
            && view.leases.len() == self.options.microbatches as usize
            && view.owners.len() == self.options.parts as usize
    }

    fn membership_in(&self, view: View) -> Membership {
        let me = self.options.me.node;
        let position = (0u16..).zip(&view.members).find(|(_, member)| member.life() == self.options.me);
        let position = position.map(|(position, _)| position);
        let is_member = position.is_some();
        let lease = if is_member { view.lease(me) } else { IndexSet::new() };
        let owned = (0u32..).zip(&view.owners).filter(|(_, owner)| Some(**owner) == position);
        let parts: IndexSet = owned.map(|(part, _)| part).collect();
        let nodes = view.members.iter().map(|member| member.node);
        let others: Vec<NodeId> = nodes.filter(|node| is_member && *node != me).collect();
        let joiners = joiners(&view, &others);
        Membership { view, position, lease, parts, others, heirs: OnceLock::new(), joiners }
    }
}

/// Which of `others` came later than the founders.
fn joiners(view: &View, others: &[NodeId]) -> Vec<Joiner> {
    let workers = view.workers();
    let members = (0u16..).zip(&view.members);
    let late = members.filter(|(_, member)| member.tenure > view.founding_epoch);
    late.filter(|(_, member)| others.contains(&member.node))
        .map(|(position, member)| Joiner { node: member.node, has_work: workers.contains(&position) })
        .collect()
}
