//! What is known of the other members in this epoch, and what was asked of them and given to them.

use std::collections::{BTreeMap, BTreeSet};

use super::arrival::Arrival;
use super::message::Standing;
use crate::ids::{Chain, NodeId};
use crate::index_set::IndexSet;

/// A question that is asked once, until a new connection or a new view makes it new.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Question {
    Snapshot,
    Result { step: u64, part: u32 },
    Contribution { step: u64, part: u32, microbatches: IndexSet },
}

impl Question {
    fn step(&self) -> u64 {
        match self {
            Self::Snapshot => u64::MAX,
            Self::Result { step, .. } | Self::Contribution { step, .. } => *step,
        }
    }
}

/// One other member.
#[derive(Debug, Default)]
pub(super) struct Peer {
    /// Where it stands; `None` until a state of this epoch has come.
    pub(super) standing: Option<Standing>,
    /// Whether its step is known from a state. If not, it is known from contributions, and those for the other parts
    /// are still on their way.
    stated: bool,
    /// Parts for which a contribution of its step has come.
    announced: IndexSet,
    /// What it has said of arriving.
    arrival: Arrival,
    /// The arrival of ours that it has heard of, without which it goes no further.
    awaits_us: Arrival,
    /// The latest of our steps that a state has told it.
    told_step: Option<u64>,
    /// The step of contributions that came before any state (rule R2).
    early: Option<(u64, Chain, IndexSet)>,
}

/// All other members. Cleared on entering a view.
#[derive(Debug, Default)]
pub(super) struct Peers {
    known: BTreeMap<NodeId, Peer>,
    asked: BTreeSet<(NodeId, Question)>,
    given: BTreeSet<(NodeId, u64, u32)>,
    told: BTreeSet<NodeId>,
}

impl Peers {
    /// Where `node` stands, if a state of this epoch has come.
    pub(super) fn standing(&self, node: NodeId) -> Option<&Standing> {
        self.known.get(&node)?.standing.as_ref()
    }

    /// Whether `node` is known to hold the state.
    pub(super) fn is_synced(&self, node: NodeId) -> bool {
        self.standing(node).is_some_and(|standing| standing.synced)
    }

    /// Takes a state of this epoch. Only growth counts: states arrive in any order.
    /// Returns whether the peer has become synced by it.
    pub(super) fn merge_state(&mut self, node: NodeId, standing: &Standing, awaits: Arrival) -> bool {
        let was_synced = self.is_synced(node);
        let peer = self.known.entry(node).or_default();
        peer.awaits_us = peer.awaits_us.max(awaits);
        peer.arrival = peer.arrival.max(standing.arrival);
        let step = standing.step;
        peer.merge(standing);
        if peer.standing.as_ref().is_some_and(|now| now.step == step && now.synced == standing.synced) {
            peer.stated = true;
        }
        if let Some((step, base, parts)) = peer.early.take() {
            peer.merge_contribution(step, base, &parts);
        }
        !was_synced && self.is_synced(node)
    }

    /// Takes notice that `node` sent a contribution of `step`. It says where the sender is, never what it holds, so it
    /// counts only once a state of this epoch has come (rule R2). Returns whether the sender has moved by it. `part` is the
    /// one for which all of its sums have come by now.
    pub(super) fn merge_contribution(
        &mut self,
        node: NodeId,
        step: u64,
        base: Chain,
        part: Option<u32>,
    ) -> bool {
        let peer = self.known.entry(node).or_default();
        let parts: IndexSet = part.into_iter().collect();
        if peer.standing.is_some() {
            let before = peer.standing.as_ref().map(|standing| (standing.synced, standing.step));
            peer.merge_contribution(step, base, &parts);
            return before != peer.standing.as_ref().map(|standing| (standing.synced, standing.step));
        }
        match &mut peer.early {
            Some((early, _, seen)) if *early == step => seen.extend_from(&parts),
            Some((early, ..)) if *early > step => {}
            slot => *slot = Some((step, base, parts)),
        }
        false
    }

    /// What `node` has said last of being about to be synced.
    pub(super) fn arrival(&self, node: NodeId) -> Arrival {
        self.known.get(&node).map(|peer| peer.arrival).unwrap_or_default()
    }

    /// Which arrival of ours `node` waits for.
    pub(super) fn awaited_by(&self, node: NodeId) -> Arrival {
        self.known.get(&node).map(|peer| peer.awaits_us).unwrap_or_default()
    }

    /// `node` is told that we are in this step.
    pub(super) fn tell_step(&mut self, node: NodeId, step: u64) {
        self.known.entry(node).or_default().told_step = Some(step);
    }

    /// The step of ours that `node` was told last.
    pub(super) fn told_step(&self, node: NodeId) -> Option<u64> {
        self.known.get(&node)?.told_step
    }

    /// Whether a contribution of `node` to `part` may be asked for: it told its step in a state, or its push for this
    /// part has come. Otherwise that push is on its way, and asking would send the same bytes twice.
    pub(super) fn may_ask(&self, node: NodeId, part: u32) -> bool {
        self.known.get(&node).is_some_and(|peer| peer.stated || peer.announced.contains(part))
    }

    /// Notes a question; `false` if it was asked before.
    pub(super) fn ask(&mut self, node: NodeId, question: Question) -> bool {
        self.asked.insert((node, question))
    }

    /// The sets of micro-batches that `node` was asked for.
    pub(super) fn asked_sets(&self, node: NodeId, step: u64, part: u32) -> impl Iterator<Item = &IndexSet> {
        let low = (node, Question::Contribution { step, part, microbatches: IndexSet::new() });
        self.asked.range(low..).map_while(move |(to, question)| match question {
            Question::Contribution { step: of, part: to_part, microbatches }
                if *to == node && *of == step && *to_part == part =>
            {
                Some(microbatches)
            }
            _ => None,
        })
    }

    /// Notes that a result was sent unasked; `false` if it was before.
    pub(super) fn give(&mut self, node: NodeId, step: u64, part: u32) -> bool {
        self.given.insert((node, step, part))
    }

    /// Notes that `node` was told of this epoch; `false` if it was before.
    pub(super) fn tell(&mut self, node: NodeId) -> bool {
        self.told.insert(node)
    }

    /// What was on its way to and from `node` may be lost.
    pub(super) fn forget_exchange(&mut self, node: NodeId) {
        self.asked.retain(|(to, _)| *to != node);
        self.given.retain(|(to, ..)| *to != node);
        self.told.remove(&node);
    }

    /// Offers are to be asked for again.
    pub(super) fn forget_snapshots(&mut self) {
        self.asked.retain(|(_, question)| *question != Question::Snapshot);
    }

    /// Results sent to `node` before it was synced did not count.
    pub(super) fn forget_given(&mut self, node: NodeId) {
        self.given.retain(|(to, ..)| *to != node);
    }

    /// Drops what concerns steps before `step`; results of the one before it may still be given.
    pub(super) fn forget_before(&mut self, step: u64) {
        self.asked.retain(|(_, question)| question.step() >= step);
        self.given.retain(|(_, of, _)| of.saturating_add(1) >= step);
    }
}

impl Peer {
    fn merge(&mut self, standing: &Standing) {
        let entry = self.standing.as_mut().and_then(|old| old.entry.take());
        let rank = |standing: &Standing| (standing.synced, standing.step);
        match &mut self.standing {
            Some(old) if rank(old) == rank(standing) => {
                old.held.extend_from(&standing.held);
            }
            Some(old) if rank(old) > rank(standing) => {}
            slot => {
                *slot = Some(standing.clone());
                self.stated = false;
                self.announced = IndexSet::new();
            }
        }
        if let Some(now) = &mut self.standing {
            now.entry = entry.or_else(|| standing.entry.clone());
        }
    }

    fn merge_contribution(&mut self, step: u64, base: Chain, parts: &IndexSet) {
        // It says nothing of the entry; what a state said of it stays.
        let (synced, arrival, chain, held, entry) = (true, Arrival::default(), base, IndexSet::new(), None);
        self.merge(&Standing { synced, arrival, step, chain, held, entry });
        if self.standing.as_ref().is_some_and(|standing| standing.step == step) {
            self.announced.extend_from(parts);
        }
    }
}
