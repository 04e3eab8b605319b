//! The state that members keep for joiners, and the results since: the others go on while it is fetched.
//!
//! All that have the state keep the same one in an epoch, so that most of them can offer it: that of the latest step in which
//! any was on entering, to which all others can come, as its results are there; or, where all kept one state in the view
//! before, that one still, as joiners have a part of it. Nobody leaves a step that may be it before it knows.

use std::collections::VecDeque;

use bytes::Bytes;

use super::io::SyncOutput;
use super::machine::{Membership, SyncMachine};
use super::message::{Entry, SnapshotHead};
use crate::ids::{Chain, NodeId};
use crate::numbers::Numbers;

/// A state that is kept, and what led on from it.
#[derive(Debug)]
pub(super) struct KeptState {
    /// What goes with it.
    pub(super) head: SnapshotHead,
    /// Whether the state itself is kept. If not, only the results since are, and the head tells since when.
    pub(super) is_whole: bool,
    /// Of each step since: the chain that its results apply to, and these.
    results: VecDeque<(Chain, Vec<Bytes>)>,
    /// Bytes of all results.
    bytes: u64,
}

impl KeptState {
    pub(super) fn new(head: SnapshotHead) -> Self {
        Self { head, is_whole: true, results: VecDeque::new(), bytes: 0 }
    }

    /// Joiners get the state of `step`, not this one: of it only what leads on from theirs is kept.
    fn keep_from(&mut self, step: u64) {
        self.is_whole = false;
        while self.head.step < step
            && let Some((_, results)) = self.results.pop_front()
        {
            self.head.step += 1;
            self.bytes -= bytes_of(&results);
        }
    }

    /// A step was applied to the state of `base`, the latest that is known here.
    pub(super) fn push(&mut self, base: Chain, results: &[Bytes]) {
        self.bytes += bytes_of(results);
        self.results.push_back((base, results.to_vec()));
    }

    /// The result of `part` in `step`, and the chain it applies to.
    pub(super) fn result(&self, step: u64, part: u32) -> Option<(Chain, &Bytes)> {
        let since = usize::try_from(step.checked_sub(self.head.step)?).ok()?;
        let (base, results) = self.results.get(since)?;
        Some((*base, results.get(part as usize)?))
    }
}

fn bytes_of(results: &[Bytes]) -> u64 {
    results.iter().map(|result| result.len() as u64).sum()
}

impl<N: Numbers> SyncMachine<N> {
    /// The step whose state joiners get in this view. `None` until all others have told in this epoch where they stand.
    pub(super) fn offer_step(&self, membership: &Membership) -> Option<u64> {
        let mut entries: Vec<&Entry> = self.entry.iter().collect();
        for &other in &membership.others {
            entries.extend(&self.peers.standing(other)?.entry);
        }
        let mut kept = entries.iter().filter(|entry| !entry.is_loaded).map(|entry| entry.kept_step);
        match kept.next() {
            Some(Some(step)) if kept.all(|other| other == Some(step)) => Some(step),
            _ => entries.iter().map(|entry| entry.step).max(),
        }
    }

    /// Keeps the state if it is the one that joiners get. Must be called wherever the step in progress is left.
    pub(super) fn keep_state(&mut self, membership: &Membership, out: &mut Vec<SyncOutput>) {
        if membership.joiners.is_empty() {
            return;
        }
        let Some(step) = self.offer_step(membership) else { return };
        if let Some(kept) = self.kept.as_mut().filter(|kept| kept.head.step != step) {
            // Who has just got an older state has the results since, and joiners may ask it for them.
            kept.keep_from(step);
        }
        let is_wanted = membership.joiners.iter().any(|joiner| !self.peers.is_synced(joiner.node));
        if is_wanted && self.step == step && self.kept.as_ref().is_none_or(|kept| !kept.is_whole) {
            let snapshot = self.head(membership);
            self.kept = Some(KeptState::new(snapshot.clone()));
            self.holds_chunks = true;
            out.push(SyncOutput::KeepState { snapshot });
        }
    }

    /// Whether the step in progress may be left: its state is none that may have to be kept.
    pub(super) fn may_leave_step(&self, membership: &Membership) -> bool {
        membership.joiners.is_empty()
            || self.entry.as_ref().is_none_or(|entry| self.step < entry.step)
            || self.offer_step(membership).is_some()
    }

    /// Whether the others go on without `other`, which has not got the state yet: nobody counts on its work, and what it will
    /// lack is kept.
    pub(super) fn goes_on_without(&self, other: NodeId, membership: &Membership) -> bool {
        let has_room = self.kept.as_ref().is_none_or(|kept| kept.bytes <= self.options.kept_bytes_max);
        let is_idle = membership.joiners.iter().any(|joiner| joiner.node == other && !joiner.has_work);
        is_idle && !self.peers.arrival(other).is_announced() && has_room
    }

    /// What goes with the present state.
    pub(super) fn head(&self, membership: &Membership) -> SnapshotHead {
        SnapshotHead {
            incarnation: membership.view.incarnation,
            epoch: membership.view.epoch,
            step: self.step,
            chain: self.chain,
            previous_chain: self.previous_chain,
            last: self.last.clone(),
        }
    }
}
