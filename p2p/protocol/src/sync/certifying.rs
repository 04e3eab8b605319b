//! Which of the states that members offer counts, and who has it.

use std::collections::{BTreeMap, BTreeSet};

use super::state_offer::StateOffer;
use crate::ids::{NodeId, StateId};

/// What became of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// It is the newest of its sender.
    Kept,
    /// Its sender has offered a later one.
    Late,
    /// Its sender has offered another state of the same step.
    Contradicts,
}

/// What is to be done about the offers heard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Decision {
    /// This state is certified and newer than the one before.
    pub(super) certified: Option<StateOffer>,
    /// Who has the certified state and was not told of before.
    pub(super) sources: Vec<NodeId>,
    /// Who says of the same step something else than the majority, or than others where there is none, and was not named
    /// before.
    pub(super) dissenters: Vec<NodeId>,
}

/// The offers heard in one epoch.
///
/// A state is certified once more than half of the members that have the state, or may have it for all that is known,
/// offer that very one. What was certified once stays so in its epoch, until a later one is.
#[derive(Debug, Default)]
pub(super) struct Offers {
    heard: BTreeMap<NodeId, (StateId, StateOffer)>,
    /// Who offered what cannot be, or two states of one step.
    refused: BTreeSet<NodeId>,
    certified: Option<(StateId, StateOffer)>,
    sources: BTreeSet<NodeId>,
    named: BTreeSet<NodeId>,
}

impl Offers {
    /// Takes the offer of `from`.
    pub(super) fn hear(&mut self, from: NodeId, offer: StateOffer) -> Heard {
        if self.refused.contains(&from) {
            return Heard::Late;
        }
        let id = offer.id();
        match self.heard.get(&from) {
            Some((_, old)) if old.step > offer.step => Heard::Late,
            Some((known, old)) if old.step == offer.step && *known != id => {
                self.refuse(from);
                Heard::Contradicts
            }
            _ => {
                // Said again: what was under way from there may be lost.
                self.sources.remove(&from);
                self.heard.insert(from, (id, offer));
                Heard::Kept
            }
        }
    }

    /// Nothing that this member offers counts in this epoch.
    pub(super) fn refuse(&mut self, node: NodeId) {
        self.heard.remove(&node);
        self.sources.remove(&node);
        self.refused.insert(node);
    }

    /// Whether this member has made an offer that counts.
    pub(super) fn has_offered(&self, node: NodeId) -> bool {
        self.heard.contains_key(&node)
    }

    /// Who is asked for its chunks.
    pub(super) fn sources(&self) -> Vec<NodeId> {
        self.sources.iter().copied().collect()
    }

    /// The certified state.
    pub(super) fn certified(&self) -> Option<&StateOffer> {
        self.certified.as_ref().map(|(_, offer)| offer)
    }

    /// Takes `id` for what cannot be, with all that offered it; gives their names.
    pub(super) fn refuse_certified(&mut self, id: StateId) -> Vec<NodeId> {
        self.certified.take_if(|(certified, _)| *certified == id);
        let liars: Vec<NodeId> =
            self.heard.iter().filter(|(_, (heard, _))| *heard == id).map(|(node, _)| *node).collect();
        liars.iter().for_each(|node| self.refuse(*node));
        liars
    }

    /// Decides anew. `may_have` are the other members of which nothing tells that they do not have the state.
    pub(super) fn decide(&mut self, may_have: impl IntoIterator<Item = NodeId>) -> Decision {
        let mut electorate: BTreeSet<NodeId> = may_have.into_iter().collect();
        electorate.extend(self.heard.keys());
        electorate.retain(|node| !self.refused.contains(node));
        let mut votes: BTreeMap<StateId, usize> = BTreeMap::new();
        self.heard.values().for_each(|(id, _)| *votes.entry(*id).or_default() += 1);
        let majority = votes.into_iter().find(|(_, count)| 2 * count > electorate.len()).map(|(id, _)| id);
        let mut decision = Decision::default();
        if let Some(offer) = majority.and_then(|id| self.heard.values().find(|(heard, _)| *heard == id))
            && self.certified.as_ref().is_none_or(|(_, old)| offer.1.step > old.step)
        {
            self.certified = Some(offer.clone());
            self.sources.clear();
            decision.certified = Some(offer.1.clone());
        }
        decision.sources = self.new_sources();
        decision.dissenters = self.new_dissenters(electorate.len());
        decision
    }

    fn new_sources(&mut self) -> Vec<NodeId> {
        let Some((certified, _)) = &self.certified else { return Vec::new() };
        let has_it = self.heard.iter().filter(|(_, (id, _))| id == certified).map(|(node, _)| *node);
        let new: Vec<NodeId> = has_it.filter(|node| !self.sources.contains(node)).collect();
        self.sources.extend(&new);
        new
    }

    fn new_dissenters(&mut self, electorate: usize) -> Vec<NodeId> {
        let mut ids: Vec<&(StateId, StateOffer)> = self.heard.values().collect();
        ids.dedup_by_key(|(id, _)| *id);
        let all_of_one_step =
            self.heard.len() == electorate && ids.windows(2).all(|pair| pair[0].1.step == pair[1].1.step);
        let differs = |(id, offer): &(StateId, StateOffer)| match &self.certified {
            Some((certified, of)) => offer.step == of.step && id != certified,
            None => all_of_one_step && ids.len() > 1,
        };
        let differing = self.heard.iter().filter(|(_, heard)| differs(heard)).map(|(node, _)| *node);
        let new: Vec<NodeId> = differing.filter(|node| !self.named.contains(node)).collect();
        self.named.extend(&new);
        new
    }
}
