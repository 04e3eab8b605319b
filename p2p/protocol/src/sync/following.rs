//! How a joiner comes from the state that was kept for it to the step that the others are in: first it follows, while they go
//! on, then it arrives, and they wait for it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::accusing::DifferingResults;
use super::io::{AlarmKind, SyncOutput};
use super::kept_state::KeptState;
use super::machine::{Membership, SyncMachine};
use super::message::SyncBody;
use crate::ids::{Chain, NodeId};
use crate::misdeed::Misdeed;
use crate::numbers::Numbers;

/// Steps whose results are asked for at a time, so that whoever follows on a long path is quicker than members that are near
/// each other.
const STEPS_ASKED_MAX: u64 = 32;

/// Bytes of results that are asked for at a time, if they are more than those of one step.
const ASKED_BYTES_MAX: u64 = 64 << 20;

/// Steps followed without coming nearer before the others have to wait: where a step takes them less than an answer takes,
/// nobody who follows comes near.
const STEPS_WITHOUT_GAIN_MAX: u64 = 8;

/// So often in a view a joiner starts over, as no member builds on the state that the results it was given led to. After that it
/// waits to be taken out, as one that never gets the state.
const STARTED_OVER_MAX: usize = 3;

/// A result that came before the step it is for.
#[derive(Debug)]
struct EarlyResult {
    from: NodeId,
    base: Chain,
    result: Bytes,
}

/// A joiner that has a state, and is not synced.
#[derive(Debug, Default)]
pub(super) struct Following {
    /// By step and part; of [`STEPS_ASKED_MAX`] steps at most.
    early: BTreeMap<(u64, u32), EarlyResult>,
    /// Who gave results of the step in progress that build on another chain.
    contradicting: BTreeSet<NodeId>,
    /// Who was asked for what has not come, by step and part.
    asked: BTreeMap<(u64, u32), NodeId>,
    /// Members with the state that have answered since we have one, in this epoch.
    pub(super) told: BTreeSet<NodeId>,
    /// Results that members gave us when we had a state before, and others did not get.
    pub(super) differing: Option<DifferingResults>,
    /// The fewest steps that the others were ahead in this epoch, and the step in which that was so first.
    nearest: Option<(u64, u64)>,
}

impl Following {
    /// What others said in an epoch that is over counts no more; the results that came do.
    pub(super) fn enter_view(&mut self) {
        self.asked.clear();
        self.contradicting.clear();
        self.nearest = None;
        self.told.clear();
    }

    /// Whether it is time for the others to wait for us, who are in `step` and so many behind.
    fn is_near_enough(&mut self, step: u64, ahead: u64) -> bool {
        if self.nearest.is_none_or(|(nearest, _)| ahead < nearest) {
            self.nearest = Some((ahead, step));
        }
        ahead <= 1 || self.nearest.is_some_and(|(_, since)| step - since >= STEPS_WITHOUT_GAIN_MAX)
    }

    /// What was on its way from `node` may be lost.
    pub(super) fn forget_asked(&mut self, node: NodeId) {
        self.asked.retain(|_, of| *of != node);
    }
}

impl<N: Numbers> SyncMachine<N> {
    /// A state is here that is not yet that of the others, who are asked where they stand.
    pub(super) fn begin_to_follow(&mut self, membership: &Membership, out: &mut Vec<SyncOutput>) {
        self.results.fill(None);
        let differing = self.differing_results();
        self.following = Some(Following { differing, ..Following::default() });
        self.take_back_arrival();
        // For joiners that are not as far yet.
        self.kept = Some(KeptState::new(self.head(membership)));
        for &other in &membership.others {
            self.send_state(other, true, out);
        }
    }

    /// Goes as far as it can.
    pub(super) fn follow(&mut self, membership: &Membership, out: &mut Vec<SyncOutput>) {
        while self.following.is_some() {
            self.take_early(out);
            if self.step >= self.end() || !self.results.iter().all(Option::is_some) {
                break;
            }
            self.apply_results(out);
            let differing = self.differing_results();
            if let Some(following) = &mut self.following {
                following.contradicting.clear();
                following.differing = differing.or(following.differing.take());
            }
        }
        if self.is_contradicted(membership) || self.is_ahead_of_all(membership) {
            return self.start_over(membership, out);
        }
        let (step, latest) = (self.step, self.latest_step(membership));
        let is_arriving = self.handover.arrival.is_announced();
        let Some(following) = &mut self.following else { return };
        if is_arriving {
            if self.has_arrived(membership) {
                return self.become_synced(out);
            }
        } else if !following.told.is_empty()
            && step <= latest
            && following.is_near_enough(step, latest - step)
        {
            self.announce_arrival(membership, out);
        }
        self.ask_results(membership, out);
    }

    /// Whether all that are ahead build on another state than ours, or most that are where we are, or a step behind, have another: who
    /// gave us a result may have died before anybody else had it, and then another is made.
    fn is_contradicted(&self, membership: &Membership) -> bool {
        let Some(following) = &self.following else { return false };
        let told = |other: &NodeId| self.peers.standing(*other).filter(|told| told.synced);
        let mut ahead =
            membership.others.iter().filter(|other| told(other).is_some_and(|t| t.step > self.step));
        if !following.contradicting.is_empty() && ahead.all(|other| following.contradicting.contains(other)) {
            return true;
        }
        let ours = [(self.step, self.chain), (self.step.wrapping_sub(1), self.previous_chain)];
        let near = membership.others.iter().filter_map(told).filter_map(|told| {
            let (_, chain) = ours.iter().find(|(step, _)| *step == told.step)?;
            Some(*chain == told.chain)
        });
        let (same, differing): (Vec<bool>, Vec<bool>) = near.partition(|is_same| *is_same);
        differing.len() > same.len()
    }

    /// Whether nobody is as far as we are: who gave us what led here is gone, and the others may make another of it before they hear
    /// of ours.
    fn is_ahead_of_all(&self, membership: &Membership) -> bool {
        let Some(following) = &self.following else { return false };
        let is_behind = |other: &NodeId| {
            let told = self.peers.standing(*other);
            told.is_some_and(|told| !told.synced || told.step < self.step && following.told.contains(other))
        };
        let mut others = membership.others.iter();
        others.clone().all(is_behind) && others.any(|other| self.peers.is_synced(*other))
    }

    /// Some result that we were given was not that of the others: back to a state that most of them offer, and then results from
    /// other members than before.
    fn start_over(&mut self, membership: &Membership, out: &mut Vec<SyncOutput>) {
        // Nobody is to wait meanwhile.
        if self.take_back_arrival() {
            for &other in &membership.others {
                self.send_state(other, false, out);
            }
        }
        if self.handover.started_over >= STARTED_OVER_MAX {
            return;
        }
        self.following = None;
        self.kept = None;
        self.handover.start_over();
        self.peers.forget_snapshots();
        self.ask_snapshot(membership, out);
    }

    /// The latest step that a member is known to be in.
    pub(super) fn latest_step(&self, membership: &Membership) -> u64 {
        let standings = membership.others.iter().filter_map(|other| self.peers.standing(*other));
        standings.filter(|standing| standing.synced).map(|standing| standing.step).max().unwrap_or(0)
    }

    /// Tells all that we are about to be synced.
    fn announce_arrival(&mut self, membership: &Membership, out: &mut Vec<SyncOutput>) {
        self.handover.arrival = self.handover.arrival.next();
        for &other in &membership.others {
            self.send_state(other, true, out);
        }
    }

    /// We are not about to be synced any more. Returns whether the others think so.
    fn take_back_arrival(&mut self) -> bool {
        let was_announced = self.handover.arrival.is_announced();
        if was_announced {
            self.handover.arrival = self.handover.arrival.next();
        }
        was_announced
    }

    /// Whether nobody goes further without us, and nobody is further. Other joiners must have heard of us too, as they may be synced
    /// before they hear the next of us.
    fn has_arrived(&self, membership: &Membership) -> bool {
        let awaits = |other: &NodeId| {
            let told = self.peers.standing(*other);
            told.is_some_and(|told| !told.synced || told.step <= self.step)
                && self.peers.awaited_by(*other) == self.handover.arrival
        };
        let mut others = membership.others.iter();
        others.clone().all(awaits) && others.any(|other| self.peers.is_synced(*other))
    }

    /// Asks those that are known to be ahead for what led there, each for some of the parts.
    fn ask_results(&mut self, membership: &Membership, out: &mut Vec<SyncOutput>) {
        let contradicting =
            self.following.as_ref().map(|following| following.contradicting.clone()).unwrap_or_default();
        for step in self.step..self.step.saturating_add(self.steps_asked()) {
            let is_ahead = |other: &NodeId| {
                self.peers.standing(*other).is_some_and(|told| told.synced && told.step > step)
                    && !(step == self.step && contradicting.contains(other))
            };
            let ahead: Vec<NodeId> = membership.others.iter().copied().filter(is_ahead).collect();
            if ahead.is_empty() {
                break;
            }
            for part in 0..self.options.parts {
                let Some(following) = &mut self.following else { return };
                let is_here = step == self.step && self.results[part as usize].is_some()
                    || following.early.contains_key(&(step, part));
                if !is_here && !following.asked.contains_key(&(step, part)) {
                    let of = ahead[(part as usize + self.handover.started_over) % ahead.len()];
                    following.asked.insert((step, part), of);
                    self.send(of, SyncBody::NeedResult { step, part }, out);
                }
            }
        }
    }

    /// Steps whose results are asked for at a time: those of a step have always as many bytes, which the first state of an
    /// incarnation does not tell.
    fn steps_asked(&self) -> u64 {
        let bytes = self.last.iter().map(|result| result.len() as u64).sum::<u64>();
        ASKED_BYTES_MAX.checked_div(bytes).map_or(1, |steps| steps.clamp(1, STEPS_ASKED_MAX))
    }

    /// Takes a result of a step that we follow to.
    pub(super) fn take_followed(
        &mut self,
        from: NodeId,
        (step, base, part): (u64, Chain, u32),
        result: Bytes,
        out: &mut Vec<SyncOutput>,
    ) {
        let Some(following) = &mut self.following else { return };
        // Nobody sends what was not asked for.
        if following.asked.remove(&(step, part)) != Some(from) {
            return;
        }
        if !self.numbers.is_result(part, &result) {
            let evidence = *blake3::hash(&result).as_bytes();
            return self.accuse(from, Misdeed::Result { step, part }, evidence, out);
        }
        following.early.entry((step, part)).or_insert(EarlyResult { from, base, result });
    }

    /// The results of the step in progress that are here are used.
    fn take_early(&mut self, out: &mut Vec<SyncOutput>) {
        let (step, chain) = (self.step, self.chain);
        let Some(following) = &mut self.following else { return };
        let later = following.early.split_off(&(step.saturating_add(1), 0));
        let now = std::mem::replace(&mut following.early, later);
        following.asked.retain(|(of, _), _| *of >= step);
        for ((of, part), early) in now.into_iter().filter(|((of, _), _)| *of == step) {
            if early.base == chain {
                self.set_result(part, early.result, early.from, out);
            } else {
                if let Some(following) = &mut self.following {
                    following.contradicting.insert(early.from);
                }
                let (kind, with) = (AlarmKind::ResultOnOtherChain, early.from);
                out.push(SyncOutput::Alarm { kind, with, step: of });
            }
        }
    }

    /// A joiner that asks for a result is to know where we are by now.
    pub(super) fn tell_follower(&mut self, from: NodeId, out: &mut Vec<SyncOutput>) {
        let is_news = self.peers.told_step(from).is_none_or(|told| told < self.step);
        if self.synced && !self.peers.is_synced(from) && is_news {
            self.send_state(from, false, out);
        }
    }
}
