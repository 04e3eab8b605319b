//! How a member without the state gets it: all that have it offer it, what most of them offer counts, and its chunks come
//! from all of these.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::arrival::Arrival;
use super::certifying::{Heard, Offers};
use super::fold::FoldDue;
use super::io::{AlarmKind, SyncOutput};
use super::machine::{Membership, SyncMachine};
use super::message::{SnapshotHead, SyncBody};
use super::next_chain;
use super::peers::Question;
use super::state_offer::StateOffer;
use crate::ids::{Chain, NodeId, StateId};
use crate::numbers::Numbers;
use crate::view::Origin;

/// Verdict on a member that contradicts itself.
pub const STATES_CONTRADICT: &str = "two states of one step offered";

/// What is under way of handing over the state, in one epoch.
#[derive(Debug, Default)]
pub(super) struct Handover {
    /// Who asked us, and the step of what it was offered.
    asked_by: BTreeMap<NodeId, Option<u64>>,
    /// What we were offered.
    pub(super) offers: Offers,
    /// The driver was told whom to ask.
    is_fetching: bool,
    /// How often what we were given proved wrong.
    pub(super) started_over: usize,
    /// What we have told the others of being about to be synced.
    pub(super) arrival: Arrival,
}

impl Handover {
    /// `node` asks for the state.
    pub(super) fn asked(&mut self, node: NodeId) {
        self.asked_by.insert(node, None);
    }

    /// What we were offered led nowhere: offers are heard anew.
    pub(super) fn start_over(&mut self) {
        self.offers = Offers::default();
        self.is_fetching = false;
        self.started_over += 1;
    }
}

impl<N: Numbers> SyncMachine<N> {
    /// Asks every member that has the state for an offer. It answers, or its path breaks, or a view without it comes.
    pub(super) fn ask_snapshot(&mut self, membership: &Membership, out: &mut Vec<SyncOutput>) {
        if self.loads_origin {
            return;
        }
        for &other in &membership.others {
            if self.peers.is_synced(other) && self.peers.ask(other, Question::Snapshot) {
                self.send(other, SyncBody::NeedSnapshot, out);
            }
        }
        self.decide_state(membership, out);
    }

    /// Offers the state that is kept to everybody who asked and was not offered it. Once nobody can need it any more it is let
    /// go.
    pub(super) fn offer_state(&mut self, membership: &Membership, out: &mut Vec<SyncOutput>) {
        let peers = &self.peers;
        self.handover.asked_by.retain(|node, _| !peers.is_synced(*node));
        if let Some(kept) = self.kept.as_ref().filter(|kept| kept.is_whole) {
            let step = kept.head.step;
            let due = self.handover.asked_by.iter_mut().filter(|(_, offered)| **offered != Some(step));
            for (to, offered) in due {
                *offered = Some(step);
                let (incarnation, epoch) = (membership.view.incarnation, membership.view.epoch);
                let snapshot = SnapshotHead { incarnation, epoch, ..kept.head.clone() };
                out.push(SyncOutput::OfferState { to: *to, snapshot });
            }
        }
        let all_have_it = membership.others.iter().all(|other| self.peers.is_synced(*other));
        if all_have_it {
            self.kept = None;
            self.release_state(out);
        }
    }

    /// The chunks of a state, offered or fetched, are not needed any more.
    pub(super) fn release_state(&mut self, out: &mut Vec<SyncOutput>) {
        if std::mem::take(&mut self.holds_chunks) {
            out.push(SyncOutput::ReleaseState);
        }
    }

    /// Takes an offer of a member of this epoch.
    pub(super) fn take_offer(&mut self, from: NodeId, offer: StateOffer, out: &mut Vec<SyncOutput>) {
        if self.synced || self.loads_origin {
            return;
        }
        if !offer.is_possible(self.options.parts, u64::MAX) || offer.step > self.options.steps {
            self.handover.offers.refuse(from);
            return out.push(SyncOutput::Refused { from, reason: "malformed offer of a state" });
        }
        if self.following.is_some() && offer.step <= self.step {
            return;
        }
        if self.handover.offers.hear(from, offer) == Heard::Contradicts {
            out.push(SyncOutput::Refused { from, reason: STATES_CONTRADICT });
        }
    }

    /// Sees which state is to be fetched, and from whom.
    fn decide_state(&mut self, membership: &Membership, out: &mut Vec<SyncOutput>) {
        let peers = &self.peers;
        let may_have = |node: &NodeId| peers.standing(*node).is_none_or(|standing| standing.synced);
        let decision = self.handover.offers.decide(membership.others.iter().copied().filter(may_have));
        let step = self.handover.offers.certified().map_or(self.step, |offer| offer.step);
        for with in decision.dissenters {
            out.push(SyncOutput::Alarm { kind: AlarmKind::OffersDiffer, with, step });
        }
        if decision.sources.is_empty() {
            return;
        }
        if let Some(offer) = self.handover.offers.certified().cloned() {
            self.holds_chunks = true;
            let is_anew = !std::mem::replace(&mut self.handover.is_fetching, true);
            out.push(SyncOutput::FetchState { offer, from: decision.sources, is_anew });
        }
    }

    /// All chunks of a state have come. It counts if it is still the one that was certified in this epoch.
    pub(super) fn state_fetched(
        &mut self,
        id: StateId,
        state: Bytes,
        last: Vec<Bytes>,
        out: &mut Vec<SyncOutput>,
    ) {
        let certified = self.handover.offers.certified().filter(|offer| offer.id() == id);
        let Some((step, chain, previous_chain)) =
            certified.map(|offer| (offer.step, offer.chain, offer.previous_chain))
        else {
            return;
        };
        let Some(membership) = self.membership.clone() else { return };
        let is_late = self.following.is_some() && step <= self.step;
        if self.synced || self.loads_origin || self.tenure.is_none() || is_late {
            return;
        }
        if !self.is_consistent(chain, previous_chain, &last) || !self.numbers.restore(&state) {
            for from in self.handover.offers.refuse_certified(id) {
                out.push(SyncOutput::Refused { from, reason: "a state that is none was offered" });
            }
            return;
        }
        self.step = step;
        self.chain = chain;
        self.previous_chain = previous_chain;
        self.last = last;
        out.push(SyncOutput::InstallState { step, chain, state });
        self.begin_to_follow(&membership, out);
    }

    fn is_consistent(&self, chain: Chain, previous_chain: Chain, last: &[Bytes]) -> bool {
        let parts = self.options.parts as usize;
        let well_formed = (0u32..).zip(last).all(|(part, result)| self.numbers.is_result(part, result));
        last.is_empty() || (last.len() == parts && well_formed && next_chain(previous_chain, last) == chain)
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

    /// The state is that of all: from the origin, or by what others gave.
    pub(super) fn become_synced(&mut self, out: &mut Vec<SyncOutput>) {
        let Some(membership) = self.membership.clone() else { return };
        let followed = self.following.take();
        self.synced = true;
        match &followed {
            None => self.fix_entry(true),
            // Nobody is further than we are, so who gave us results of this step is gone, and others may have made them anew.
            Some(_) => self.results.fill(None),
        }
        self.handover.offers = Offers::default();
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
        // Not before our word counts.
        if let Some(differing) = followed.and_then(|following| following.differing) {
            self.accuse_of_results(differing, out);
        }
    }

    pub(super) fn report_synced(&self, out: &mut Vec<SyncOutput>) {
        if let (Some(membership), Some(tenure)) = (&self.membership, self.tenure) {
            let (epoch, step, chain) = (membership.view.epoch, self.step, self.chain);
            out.push(SyncOutput::Synced { tenure, epoch, step, chain });
        }
    }
}
