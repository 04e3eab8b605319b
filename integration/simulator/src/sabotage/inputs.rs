//! Inputs altered or made up.

use traind_protocol::ids::{Chain, Epoch, NodeId};
use traind_protocol::index_set::IndexSet;
use traind_protocol::invariants::Place;
use traind_protocol::sync::{Arrival, SnapshotHead, Standing, SyncBody, SyncInput, SyncMachine, SyncMessage};
use traind_protocol::view::View;

use super::PlantedFault as Rule;
use super::rig::Adapter;
use crate::chunks::offer_of;
use crate::toy::ToyModel;

impl Adapter {
    /// What the machine gets instead of `input`.
    pub(super) fn alter_input(
        &mut self,
        machine: &SyncMachine<ToyModel>,
        input: SyncInput,
    ) -> Vec<SyncInput> {
        let place = machine.place();
        match input {
            SyncInput::EnterView(view) => vec![SyncInput::EnterView(self.alter_view(view))],
            SyncInput::Message { from, mut message } => {
                let mut inputs = Vec::new();
                let lets_through = self.alter_message(&place, from, &mut message, &mut inputs);
                self.remember(machine, &place, from, &message);
                inputs.extend(lets_through.then_some(SyncInput::Message { from, message }));
                inputs
            }
            SyncInput::Computed { step, base, microbatch, contributions } => {
                let old = self.work.insert(microbatch, (step, contributions.clone()));
                let stale = old.filter(|old| self.rule == Rule::WorkOfStepBefore && old.0 + 1 == step);
                let contributions = stale.map_or(contributions, |old| old.1);
                vec![SyncInput::Computed { step, base, microbatch, contributions }]
            }
            other => vec![other],
        }
    }

    fn alter_view(&mut self, mut view: View) -> View {
        let old = self.view.as_ref().filter(|old| old.incarnation == view.incarnation);
        match self.rule {
            Rule::OldOwnerFolds => {
                let position = view.members.iter().position(|member| member.life() == self.me);
                let owned = |part: &usize| old.and_then(|old| old.owner(*part as u32)) == Some(self.me.node);
                if let Some(position) = position.and_then(|position| u16::try_from(position).ok()) {
                    let parts: Vec<usize> = (0..view.owners.len()).filter(owned).collect();
                    parts.into_iter().for_each(|part| view.owners[part] = position);
                }
            }
            Rule::TenureIgnored => {
                let tenure = old.and_then(|old| old.member(self.me)).map(|member| member.tenure);
                let me = view.members.iter_mut().find(|member| member.life() == self.me);
                if let (Some(tenure), Some(me)) = (tenure, me) {
                    me.tenure = tenure;
                }
            }
            Rule::BootIgnored => view.members.iter_mut().for_each(|member| member.boot = self.me.boot),
            _ => {}
        }
        view
    }

    /// Alters a message and perhaps makes up others before it. Whether it is let through.
    fn alter_message(
        &mut self,
        place: &Place,
        from: NodeId,
        message: &mut SyncMessage,
        before: &mut Vec<SyncInput>,
    ) -> bool {
        let Some(view) = &self.view else { return self.rule != Rule::LaterEpochDropped };
        let same_lineage = message.incarnation == view.incarnation;
        let is_old = message.epoch < view.epoch;
        let now_of_this_view = |message: &mut SyncMessage| {
            if let Some(member) = view.member_on(from) {
                (message.incarnation, message.epoch, message.boot) =
                    (view.incarnation, view.epoch, member.boot);
            }
        };
        match (self.rule, &mut message.body) {
            (Rule::LaterEpochDropped, _) if message.epoch > view.epoch => return false,
            (Rule::LaterEpochDropped, SyncBody::State { fresh, .. }) => *fresh = false,
            (Rule::OldResultAccepted, SyncBody::Result { base, .. }) if is_old && same_lineage => {
                *base = place.chain;
                now_of_this_view(message);
            }
            (Rule::RevocationForgotten, _) if message.incarnation < view.incarnation => {
                now_of_this_view(message)
            }
            (Rule::BootIgnored, _) => message.boot = self.me.boot,
            (Rule::BaseIgnored, SyncBody::Contribution { step, base, .. }) if *step == place.step => {
                *base = place.chain;
            }
            (Rule::OneOfferBelieved, SyncBody::Offer { offer }) if message.epoch == view.epoch => {
                let others = self.others().into_iter().filter(|other| *other != from);
                let said = |other| self.heard(other, SyncBody::Offer { offer: offer.clone() });
                before.extend(others.filter_map(said));
            }
            (Rule::ComputingIgnored, SyncBody::State { standing, .. }) => {
                standing.entry.iter_mut().for_each(|entry| entry.computing = IndexSet::new());
            }
            (Rule::ContributionCountsAsState, SyncBody::Contribution { step, base, .. })
                if message.epoch == view.epoch && !self.told.contains_key(&from) =>
            {
                let standing = Self::standing_at(*step, *base);
                before.extend(
                    self.heard(from, SyncBody::State { standing, fresh: false, awaits: Arrival::default() }),
                );
            }
            _ => {}
        }
        true
    }

    fn remember(
        &mut self,
        machine: &SyncMachine<ToyModel>,
        place: &Place,
        from: NodeId,
        message: &SyncMessage,
    ) {
        if place.view != Some((message.incarnation, message.epoch)) {
            return;
        }
        match &message.body {
            SyncBody::State { standing, .. } => drop(self.told.insert(from, standing.clone())),
            SyncBody::Contribution { step, part, sum, .. } if !sum.is_empty() && *step >= place.step => {
                machine.numbers().keep_sum(*step, *part, sum.clone());
                if let Some(told) = self.told.get_mut(&from) {
                    told.step = told.step.max(*step);
                }
                if self.rule == Rule::BaseIgnored && *step > place.step {
                    self.kept.push((from, message.clone()));
                }
            }
            SyncBody::NeedContribution { part, microbatches, .. } => {
                self.needs.push((from, *part, microbatches.clone()));
            }
            _ => {}
        }
    }

    /// What the machine is told of others that did not say it, after an input that found it at `before`.
    pub(super) fn make_up(
        &mut self,
        machine: &SyncMachine<ToyModel>,
        before: &Place,
        entered: Option<View>,
    ) -> Vec<SyncInput> {
        let place = machine.place();
        let mut inputs = Vec::new();
        let is_new = entered.is_some();
        if let Some(view) = entered {
            inputs.extend(self.enter(machine, &place, view));
        }
        if is_new || (before.synced, before.step) != (place.synced, place.step) {
            self.entered =
                if is_new || !before.synced { (epoch_of(&place), place.step) } else { self.entered };
        }
        if self.rule == Rule::BaseIgnored {
            inputs.extend(self.give_again(&place));
        }
        if let Some(epoch) = epoch_of(&place).filter(|_| place.synced && place.tenure.is_some()) {
            inputs.extend(self.speak_for_others(epoch, place.step, place.chain));
        }
        inputs
    }

    fn enter(&mut self, machine: &SyncMachine<ToyModel>, place: &Place, view: View) -> Vec<SyncInput> {
        let same_lineage = self.view.as_ref().is_some_and(|old| old.incarnation == view.incarnation);
        let is_founder = place.tenure == Some(view.founding_epoch);
        self.view = Some(view);
        self.needs.clear();
        self.made_up = None;
        let told = std::mem::take(&mut self.told);
        if self.rule == Rule::PeersKept && same_lineage && place.tenure.is_some() {
            let state = |(from, standing)| {
                self.heard(from, SyncBody::State { standing, fresh: false, awaits: Arrival::default() })
            };
            return told.into_iter().filter_map(state).collect();
        }
        let trusts = self.rule == Rule::JoinerStateTrusted && place.tenure.is_some();
        if trusts
            && !place.synced
            && place.step > 0
            && !is_founder
            && let Some((incarnation, epoch)) = place.view
        {
            let (step, chain, previous_chain) = (place.step, place.chain, place.previous_chain);
            let last = Vec::new();
            let head = SnapshotHead { incarnation, epoch, step, chain, previous_chain, last: last.clone() };
            let state = machine.numbers().to_bytes();
            let offer = offer_of(&head, &state).0;
            let said = |from| self.heard(from, SyncBody::Offer { offer: offer.clone() });
            let mut inputs: Vec<SyncInput> = self.others().into_iter().filter_map(said).collect();
            inputs.push(SyncInput::StateFetched { id: offer.id(), state, last });
            return inputs;
        }
        Vec::new()
    }

    /// Sums of the step that the machine is in, whatever state they were computed on, are given to it as of its own.
    fn give_again(&mut self, place: &Place) -> Vec<SyncInput> {
        if !place.synced {
            self.kept.clear();
        }
        let is_here = |told: &Standing| told.step >= place.step;
        let others = self.others();
        let Some(voucher) = others.into_iter().find(|node| self.told.get(node).is_some_and(is_here)) else {
            return Vec::new();
        };
        let due = |kept: &mut (NodeId, SyncMessage)| step_of(&kept.1) <= Some(place.step);
        let kept: Vec<_> = self.kept.extract_if(.., due).collect();
        let again = kept.into_iter().filter_map(|(_, message)| match message.body {
            // A view may have given the part to another meanwhile, and it does not look at the sum then.
            SyncBody::Contribution { step, part, microbatches, sum, .. }
                if step == place.step && self.owns(part) =>
            {
                let base = place.chain;
                self.heard(
                    voucher,
                    SyncBody::Contribution { step, base, part, microbatches, sum, more: false },
                )
            }
            _ => None,
        });
        again.collect()
    }

    fn owns(&self, part: u32) -> bool {
        self.view.as_ref().is_some_and(|view| view.owner(part) == Some(self.me.node))
    }

    fn speak_for_others(&mut self, epoch: Epoch, step: u64, chain: Chain) -> Vec<SyncInput> {
        let Some(view) = &self.view else { return Vec::new() };
        let speaks = |node: &NodeId| match self.rule {
            Rule::FlushSkipped => true,
            Rule::EmptyLeasesNotAwaited => {
                view.lease(*node).is_empty() && self.told.get(node).is_some_and(|standing| standing.synced)
            }
            _ => false,
        };
        let others: Vec<_> = self.others().into_iter().filter(speaks).collect();
        let is_known = self.made_up == Some((epoch, step, true));
        if others.is_empty() || (is_known && self.rule == Rule::FlushSkipped) {
            return Vec::new();
        }
        self.made_up = Some((epoch, step, true));
        let mut inputs = Vec::new();
        for node in others {
            let behind = self.told.get(&node).is_none_or(|standing| standing.step < step);
            if self.rule == Rule::FlushSkipped || behind {
                let standing = Self::standing_at(step, chain);
                self.told.insert(node, standing.clone());
                inputs.extend(
                    self.heard(node, SyncBody::State { standing, fresh: false, awaits: Arrival::default() }),
                );
            }
        }
        inputs
    }
}

fn epoch_of(place: &Place) -> Option<Epoch> {
    place.view.map(|view| view.1)
}

fn step_of(message: &SyncMessage) -> Option<u64> {
    match &message.body {
        SyncBody::Contribution { step, .. } => Some(*step),
        _ => None,
    }
}
