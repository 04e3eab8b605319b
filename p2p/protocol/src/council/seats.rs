//! From the seats that are to the seats that should be, in stages that never risk the majority.

use std::collections::{BTreeMap, BTreeSet};

use raft::eraftpb::{ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2, ConfState};
use raft::{INVALID_ID, ProgressState, SnapshotStatus, StateRole};

use super::Council;
use super::options::{SEATS_MAX, VOTERS_MAX};
use crate::ids::SeatId;
use crate::replicated::Replicated;

/// Entries that a seat may lack and still count as caught up: what a leader under load has on the way.
const CAUGHT_UP_LAG_ENTRIES: u64 = 16;

/// Who votes and who learns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seats {
    pub(super) voters: BTreeSet<u64>,
    pub(super) learners: BTreeSet<u64>,
}

impl Seats {
    /// Where `conf_state` is, or goes if it is joint.
    fn of(conf_state: &ConfState) -> Self {
        Self {
            voters: conf_state.voters.iter().copied().collect(),
            learners: conf_state.learners.iter().chain(&conf_state.learners_next).copied().collect(),
        }
    }

    /// The changes that lead from here to `target`.
    fn changes_to(&self, target: &Self) -> Vec<ConfChangeSingle> {
        let change = |seat: &u64, change_type| ConfChangeSingle {
            node_id: *seat,
            change_type,
            ..ConfChangeSingle::default()
        };
        let promoted = target.voters.difference(&self.voters);
        let learning = target.learners.difference(&self.learners);
        let present = self.voters.union(&self.learners);
        let gone = present.filter(|seat| !target.voters.contains(seat) && !target.learners.contains(seat));
        promoted
            .map(|seat| change(seat, ConfChangeType::AddNode))
            .chain(learning.map(|seat| change(seat, ConfChangeType::AddLearnerNode)))
            .chain(gone.map(|seat| change(seat, ConfChangeType::RemoveNode)))
            .collect()
    }
}

impl<R: Replicated> Council<R> {
    /// Takes a new target and goes for it as far as it can now.
    pub(super) fn aim_at(&mut self, voters: BTreeSet<SeatId>, learners: BTreeSet<SeatId>) {
        let voters: BTreeSet<u64> = voters.into_iter().map(|seat| seat.0).filter(|seat| *seat != 0).collect();
        let learners = learners.into_iter().map(|seat| seat.0).filter(|seat| *seat != 0);
        let learners: BTreeSet<u64> = learners.filter(|seat| !voters.contains(seat)).collect();
        if voters.is_empty() || voters.len() > VOTERS_MAX || voters.len() + learners.len() > SEATS_MAX {
            return;
        }
        self.target = Some(Seats { voters, learners });
        self.pursue_target();
    }

    /// One stage towards the target, if none is under way.
    pub(super) fn pursue_target(&mut self) {
        if self.node.raft.state != StateRole::Leader {
            self.target = None;
        }
        let Some(target) = self.target.clone() else { return };
        // A leader must know what its predecessors committed before it changes who decides.
        let settled = self.node.raft.commit_to_current_term();
        if self.is_changing_seats() || !settled || self.node.raft.lead_transferee.is_some() {
            return;
        }
        let current = Seats::of(&self.conf_state());
        if current == target {
            self.target = None;
            return;
        }
        let mut stage = target;
        if !stage.voters.contains(&self.seat.0) {
            if let Some(successor) = self.successor(&current, &stage) {
                self.node.transfer_leader(successor);
                return;
            }
            // Nobody to hand over to yet: stay until the new voters vote.
            stage.voters.insert(self.seat.0);
            stage.learners.remove(&self.seat.0);
        }
        let new: BTreeSet<u64> = stage.voters.difference(&current.voters).copied().collect();
        if !new.iter().all(|seat| self.is_caught_up(SeatId(*seat))) {
            stage.voters = current.voters.clone();
            stage.learners =
                stage.learners.union(&new).copied().filter(|seat| !stage.voters.contains(seat)).collect();
        }
        let changes = current.changes_to(&stage);
        if changes.is_empty() {
            return;
        }
        let mut change = ConfChangeV2::default();
        change.set_transition(ConfChangeTransition::Implicit);
        change.set_changes(changes.into());
        // Dropped only if this seat stopped leading meanwhile.
        let _ = self.node.propose_conf_change(Vec::new(), change);
    }

    /// Lets `seat` campaign once it has the whole log. One that cannot vote for itself or does not answer would only cost
    /// the time in which no proposal is taken.
    pub(super) fn hand_over_to(&mut self, seat: SeatId) {
        let is_voter = self.conf_state().voters.contains(&seat.0);
        if seat != self.seat && is_voter && self.is_caught_up(seat) {
            self.node.transfer_leader(seat.0);
        }
    }

    /// Whether a configuration change is in the log and not finished. May be said a little too long.
    #[must_use]
    pub fn is_changing_seats(&self) -> bool {
        self.node.raft.has_pending_conf() || !self.conf_state().voters_outgoing.is_empty()
    }

    /// Whether `seat` has nearly all committed entries and answers: the leader's view, `false` elsewhere.
    #[must_use]
    pub fn is_caught_up(&self, seat: SeatId) -> bool {
        let raft = &self.node.raft;
        if raft.state != StateRole::Leader || self.evidence.dead.contains(&seat.0) {
            return false;
        }
        // What matched is forgotten with each election: above zero, the seat has answered this leader.
        let fits = |matched: u64| matched > 0 && matched + CAUGHT_UP_LAG_ENTRIES >= raft.raft_log.committed;
        seat == self.seat
            || (raft.prs().get(seat.0).is_some_and(|progress| fits(progress.matched)) && self.is_heard(seat))
    }

    /// The voter that stays and has most of the log.
    fn successor(&self, current: &Seats, target: &Seats) -> Option<u64> {
        let staying = target.voters.intersection(&current.voters).copied();
        let able = staying.filter(|seat| *seat != self.seat.0 && self.is_caught_up(SeatId(*seat)));
        able.max_by_key(|seat| {
            let matched = self.node.raft.prs().get(*seat).map_or(0, |progress| progress.matched);
            (matched, std::cmp::Reverse(*seat))
        })
    }

    /// A leader that is no voter any more must not lead, which the library leaves to us. It inherited the change that
    /// removed it, or it would have handed over before.
    pub(super) fn step_down_if_demoted(&mut self) {
        if self.node.raft.state != StateRole::Leader || self.node.raft.promotable() {
            return;
        }
        let seats = Seats::of(&self.conf_state());
        if let Some(successor) = self.successor(&seats, &seats) {
            self.node.raft.send_timeout_now(successor);
        }
        let term = self.node.raft.term;
        self.node.raft.become_follower(term, INVALID_ID);
    }

    /// `seat` can hear this one: a heartbeat is due if this one leads. Others get one too.
    pub(super) fn greet(&mut self, seat: SeatId) {
        if self.node.raft.prs().get(seat.0).is_some() {
            self.node.ping();
        }
    }

    /// Messages to `seat` may be lost: probe instead of streaming, and send a snapshot again.
    pub(super) fn note_unreachable(&mut self, seat: SeatId) {
        self.node.report_unreachable(seat.0);
        self.node.report_snapshot(seat.0, SnapshotStatus::Failure);
    }

    /// The library waits for ever for the fate of a snapshot that it sent; here silence means lost.
    pub(super) fn resend_snapshots(&mut self) {
        let progress = self.node.raft.prs().iter();
        let waiting = progress.filter(|(_, progress)| progress.state == ProgressState::Snapshot);
        let waiting: BTreeSet<u64> = waiting.map(|(seat, _)| *seat).collect();
        let previous = std::mem::take(&mut self.snapshot_ticks);
        let mut ticks: BTreeMap<u64, usize> = BTreeMap::new();
        for seat in waiting {
            let waited = previous.get(&seat).copied().unwrap_or(0) + 1;
            if waited >= self.options.snapshot_retry_ticks {
                self.node.report_snapshot(seat, SnapshotStatus::Failure);
            } else {
                ticks.insert(seat, waited);
            }
        }
        self.snapshot_ticks = ticks;
    }
}
