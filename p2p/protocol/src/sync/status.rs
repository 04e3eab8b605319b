//! What a job waits for, for people.

use std::collections::BTreeSet;

use super::machine::SyncMachine;
use crate::ids::{Millis, NodeId};
use crate::index_set::IndexSet;
use crate::invariants::Place;
use crate::numbers::Numbers;
use crate::wire::step_wait::StepWait;

/// Where a life stands and what it waits for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncStatus {
    /// Lineage, epoch, step, chain, results held.
    pub place: Place,
    /// Whether all steps are applied.
    pub finished: bool,
    /// When step, epoch or membership changed last, on the driver's clock.
    pub since: Millis,
    /// What is missing; empty when finished.
    pub waits: Vec<SyncWait>,
}

/// One thing that is missing. Each ends by a message, a new connection or a new view, never by time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyncWait {
    /// No view with this life in it.
    Admission,
    /// The loading of the checkpoint this incarnation starts from.
    Origin,
    /// The words of these members on what the state is; none of them if no member is known to have it.
    Offers(Vec<NodeId>),
    /// A view: the members that have the state do not agree on it.
    Agreement,
    /// The chunks of the state, from these members.
    Chunks(Vec<NodeId>),
    /// The results that lead from the state that was fetched to the step of the others, and then a word of each of these.
    Following {
        /// Steps applied here.
        step: u64,
        /// Steps applied by the furthest, as far as it has told.
        latest: u64,
    },
    /// The first word of this member in this epoch.
    State(NodeId),
    /// This member to get the state, or to come to our step with it.
    Handover(NodeId),
    /// This member to come to our step: it computes or transmits.
    Arrival(NodeId),
    /// These micro-batches, of this member, for this part that we reduce.
    Contributions {
        /// The part.
        part: u32,
        /// Who is to send them.
        from: NodeId,
        /// Which ones.
        microbatches: IndexSet,
    },
    /// The results of these parts, of their owner.
    Results {
        /// The owner.
        owner: NodeId,
        /// Which ones.
        parts: IndexSet,
    },
    /// Own computations.
    Computing(IndexSet),
    /// Micro-batches that could not be computed here: they wait for a view that leases them to another.
    Failed(IndexSet),
    /// The job is halted, and all that was begun is applied: a view that does not halt.
    Halted {
        /// Steps applied.
        step: u64,
    },
}

impl<N: Numbers> SyncMachine<N> {
    /// What the invariants compare.
    #[must_use]
    pub fn place(&self) -> Place {
        let view = self.membership.as_ref().map(|membership| &membership.view);
        Place {
            view: view.map(|view| (view.incarnation, view.epoch)),
            tenure: self.tenure,
            synced: self.synced,
            step: self.step,
            chain: self.chain,
            previous_chain: self.previous_chain,
            held: self.held_parts(),
        }
    }

    /// What `trainctl why` shows.
    #[must_use]
    pub fn status(&self) -> SyncStatus {
        let finished = self.synced && self.step >= self.end();
        SyncStatus { place: self.place(), finished, since: self.since, waits: self.waits() }
    }

    /// What a member with the state lacks, as the coordinator is told it; `None` at who has no state yet.
    #[must_use]
    pub fn step_wait(&self) -> Option<StepWait> {
        let membership = self.membership.as_ref().filter(|_| self.synced && self.tenure.is_some())?;
        let mut told = StepWait { step: self.step, works: true, ..StepWait::default() };
        if self.step >= self.end() || self.halted {
            return Some(told);
        }
        told.works = !self.work.computing.is_empty();
        told.computed = self.work.computed.len();
        // Who reduces nothing hears of no sums: it does not know where the others stand.
        let me = self.options.me.node;
        let reduces = (0..self.options.parts)
            .any(|part| self.results[part as usize].is_none() && membership.view.owner(part) == Some(me));
        let (mut sums_of, mut results_of) = (BTreeSet::new(), BTreeSet::new());
        for wait in self.waits() {
            match wait {
                SyncWait::State(from) | SyncWait::Contributions { from, .. } => {
                    sums_of.insert(from);
                }
                SyncWait::Arrival(from) if reduces => {
                    sums_of.insert(from);
                }
                SyncWait::Results { owner, .. } => {
                    results_of.insert(owner);
                }
                _ => {}
            }
        }
        told.sums_of = sums_of.into_iter().collect();
        told.results_of = results_of.into_iter().collect();
        Some(told)
    }

    fn waits(&self) -> Vec<SyncWait> {
        let mut waits = Vec::new();
        let Some(membership) = self.membership.as_ref().filter(|_| self.tenure.is_some()) else {
            return vec![SyncWait::Admission];
        };
        if !self.synced {
            return vec![self.state_wait(membership)];
        }
        if self.step >= self.end() {
            return waits;
        }
        if self.halted {
            return vec![SyncWait::Halted { step: self.step }];
        }
        for &other in &membership.others {
            match self.peers.standing(other) {
                None => waits.push(SyncWait::State(other)),
                Some(standing) if !standing.synced => {
                    if !self.goes_on_without(other, membership) {
                        waits.push(SyncWait::Handover(other));
                    }
                }
                Some(standing) if standing.step < self.step => waits.push(SyncWait::Arrival(other)),
                Some(_) => {}
            }
        }
        let all_arrived = waits.is_empty();
        for &owner in &membership.others {
            let missing = |part: &u32| {
                self.results[*part as usize].is_none() && membership.view.owner(*part) == Some(owner)
            };
            let parts: IndexSet = (0..self.options.parts).filter(missing).collect();
            if !parts.is_empty() {
                waits.push(SyncWait::Results { owner, parts });
            }
        }
        if all_arrived {
            waits.extend(self.missing_contributions(membership));
        }
        if !self.work.computing.is_empty() {
            waits.push(SyncWait::Computing(self.work.computing.clone()));
        }
        if !self.work.failed.is_empty() {
            waits.push(SyncWait::Failed(self.work.failed.clone()));
        }
        waits
    }

    fn state_wait(&self, membership: &super::machine::Membership) -> SyncWait {
        let offers = &self.handover.offers;
        if self.loads_origin {
            return SyncWait::Origin;
        }
        if self.following.is_some() {
            return SyncWait::Following { step: self.step, latest: self.latest_step(membership) };
        }
        if offers.certified().is_some() {
            return SyncWait::Chunks(offers.sources());
        }
        let may_have = |node: &NodeId| self.peers.standing(*node).is_none_or(|standing| standing.synced);
        let mut missing = membership.others.clone();
        missing.retain(|node| may_have(node) && !offers.has_offered(*node));
        let nobody_offers = !membership.others.iter().any(|node| offers.has_offered(*node));
        if missing.is_empty() && !nobody_offers { SyncWait::Agreement } else { SyncWait::Offers(missing) }
    }

    fn missing_contributions(&self, membership: &super::machine::Membership) -> Vec<SyncWait> {
        let mut waits = Vec::new();
        let me = self.options.me.node;
        for part in 0..self.options.parts {
            if self.results[part as usize].is_some() || membership.view.owner(part) != Some(me) {
                continue;
            }
            let (_, covered) = self.received.cover(self.step, part, self.chain);
            let missing =
                IndexSet::full(self.options.microbatches).minus(&covered).minus(&self.work.computed);
            for &from in &membership.others {
                let microbatches: IndexSet =
                    missing.iter().filter(|&index| self.supplier(index, membership) == Some(from)).collect();
                if !microbatches.is_empty() {
                    waits.push(SyncWait::Contributions { part, from, microbatches });
                }
            }
        }
        waits
    }
}
