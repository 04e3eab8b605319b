//! Who campaigns when. The library draws its election timeout at random; here it follows from the seat order, so that
//! a run can be repeated and the successor is known.
//!
//! Ranks count the voters in seat order, leaving out the last leader and the seats known to be dead: whoever led, the
//! first of the others has rank 0 and campaigns first. Seats that know different things may take the same rank and split
//! the vote; with each campaign that fails, a number that follows from seat and campaign sets them further apart.

use std::collections::{BTreeMap, BTreeSet};

use raft::{INVALID_ID, StateRole};

use super::{Council, VOTERS_MAX};
use crate::ids::SeatId;
use crate::replicated::Replicated;

/// What this seat knows beside the library about who could lead.
#[derive(Default)]
pub(super) struct Evidence {
    /// Seats whose process is dead, by the driver's word.
    pub(super) dead: BTreeSet<u64>,
    /// The last leader this seat followed or was.
    pub(super) last_leader: u64,
    /// Campaigns of this seat since it last knew a leader.
    pub(super) campaigns: u64,
    /// Ticks since this machine started.
    ticks: u64,
    /// The tick of the last message, by seat of the group.
    heard: BTreeMap<u64, u64>,
}

impl<R: Replicated> Council<R> {
    /// The library's tick, with the timeout that this seat's rank gives.
    pub(super) fn tick_election(&mut self) {
        self.evidence.ticks += 1;
        self.set_patience();
        self.node.tick();
        let raft = &self.node.raft;
        if raft.election_elapsed == 0 && matches!(raft.state, StateRole::PreCandidate | StateRole::Candidate)
        {
            self.evidence.campaigns += 1;
        }
        // Raft's own restraint, the lease, guards against disturbers; against a leader that is known to be dead it
        // only costs time. Votes stay bound by term and log, so nothing else changes.
        if self.leader_is_known_dead() {
            let floor = self.options.election_ticks - self.options.evidence_retry_ticks;
            self.node.raft.election_elapsed = self.node.raft.election_elapsed.max(floor);
        }
    }

    /// A group of one elects itself at once, since nobody else could.
    pub(super) fn campaign_if_alone(&mut self) {
        let alone = {
            let conf_state = self.conf_state();
            conf_state.voters == [self.seat.0] && conf_state.voters_outgoing.is_empty()
        };
        if alone && self.node.raft.state != StateRole::Leader {
            // Refused only while a configuration change waits to be applied; the next step tries again.
            let _ = self.node.campaign();
        }
    }

    /// The driver has evidence that `seat` is dead.
    pub(super) fn note_death(&mut self, seat: SeatId) {
        if seat == self.seat || self.node.raft.prs().get(seat.0).is_none() {
            return;
        }
        self.evidence.dead.insert(seat.0);
        self.note_unreachable(seat);
        let raft = &mut self.node.raft;
        let led =
            raft.leader_id == seat.0 || (raft.leader_id == INVALID_ID && self.evidence.last_leader == seat.0);
        if led && raft.state == StateRole::Follower {
            raft.become_follower(raft.term, INVALID_ID);
            raft.election_elapsed = self.options.election_ticks;
        }
    }

    /// A message from `seat` shows that it lives.
    pub(super) fn note_life(&mut self, seat: SeatId) {
        self.evidence.dead.remove(&seat.0);
        if self.node.raft.prs().get(seat.0).is_some() {
            self.evidence.heard.insert(seat.0, self.evidence.ticks);
        }
    }

    /// Drops what is known of seats that left the group.
    pub(super) fn forget_strangers(&mut self) {
        let group = self.node.raft.prs();
        self.evidence.dead.retain(|seat| group.get(*seat).is_some());
        self.evidence.heard.retain(|seat, _| group.get(*seat).is_some());
    }

    /// Whether `seat` said anything within the time in which a leader is missed.
    pub(super) fn is_heard(&self, seat: SeatId) -> bool {
        let heard = self.evidence.heard.get(&seat.0);
        heard.is_some_and(|tick| tick + self.options.election_ticks as u64 >= self.evidence.ticks)
    }

    fn leader_is_known_dead(&self) -> bool {
        let raft = &self.node.raft;
        raft.leader_id == INVALID_ID && self.evidence.dead.contains(&self.evidence.last_leader)
    }

    fn set_patience(&mut self) {
        let spread = spread(self.seat, self.evidence.campaigns);
        let patience_ticks = self.options.patience_ticks(self.rank() + spread);
        self.node.raft.set_randomized_election_timeout(patience_ticks);
    }

    /// Voters that should campaign before this seat.
    fn rank(&self) -> usize {
        let conf_state = self.conf_state();
        let voters: BTreeSet<u64> =
            conf_state.voters.iter().chain(&conf_state.voters_outgoing).copied().collect();
        let order = |seat: u64| (self.evidence.dead.contains(&seat), seat == self.evidence.last_leader, seat);
        let own = order(self.seat.0);
        voters.into_iter().filter(|seat| order(*seat) < own).count()
    }
}

/// Ranks that `seat` stands back after so many failed campaigns: as good as random, and the same in every run.
fn spread(seat: SeatId, campaigns: u64) -> usize {
    if campaigns == 0 {
        return 0;
    }
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seat.0.to_le_bytes()).update(&campaigns.to_le_bytes());
    usize::from(hasher.finalize().as_bytes()[0]) % VOTERS_MAX
}
