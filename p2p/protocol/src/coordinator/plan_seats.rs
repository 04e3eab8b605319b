//! Who votes in the council: a pure function of who is alive.

use std::collections::{BTreeMap, BTreeSet};

use super::limits::DEAD_VOTER_GRACE_MS;
use crate::ids::{Millis, SeatId};

/// What decides about seats.
#[derive(Clone, Debug)]
pub struct SeatFacts {
    /// The seat of the coordinator.
    pub me: SeatId,
    /// Seats of all registered nodes.
    pub registered: BTreeSet<SeatId>,
    /// Those of live nodes.
    pub live: BTreeSet<SeatId>,
    /// Since when the others are gone; a missing one went before the coordinator was elected.
    pub lost_at: BTreeMap<SeatId, Millis>,
    /// Seats that vote.
    pub voters: BTreeSet<SeatId>,
    /// Seats whose log is close to the coordinator's.
    pub caught_up: BTreeSet<SeatId>,
}

/// The consensus group as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SeatPlan {
    /// Seats that vote, the coordinator's among them.
    pub voters: BTreeSet<SeatId>,
    /// All other seats, the dead ones too: they may return.
    pub learners: BTreeSet<SeatId>,
    /// When a dead voter's grace ends.
    pub deadline: Option<Millis>,
}

/// Voters for `live` live nodes: an even number tolerates no more losses than the odd one below it.
#[must_use]
pub fn council_size(live: usize) -> usize {
    match live {
        0..=2 => 1,
        3..=4 => 3,
        _ => 5,
    }
}

/// Live voters stay, caught-up followers fill up, and a dead voter is replaced at once where there is one to replace
/// it. Where there is none it keeps its vote for [`DEAD_VOTER_GRACE_MS`]; then the council shrinks to what the live
/// nodes support.
#[must_use]
pub fn plan_seats(now: Millis, facts: &SeatFacts) -> SeatPlan {
    let is_live = |seat: &SeatId| *seat == facts.me || facts.live.contains(seat);
    let live_voters = facts.voters.iter().copied().filter(|seat| is_live(seat) && *seat != facts.me);
    let fillers = facts
        .caught_up
        .iter()
        .copied()
        .filter(|seat| is_live(seat) && facts.registered.contains(seat) && !facts.voters.contains(seat));
    let mut eligible = vec![facts.me];
    eligible.extend(live_voters.chain(fillers.filter(|seat| *seat != facts.me)));

    let live_count = facts.registered.iter().filter(|seat| is_live(seat)).count();
    let odd = |count: usize| if count.is_multiple_of(2) { count.saturating_sub(1) } else { count };
    let size = council_size(live_count).min(odd(eligible.len())).max(1);
    let grace_end = |seat: &SeatId| {
        let lost_at = facts.lost_at.get(seat).copied().unwrap_or_default();
        lost_at.plus(DEAD_VOTER_GRACE_MS)
    };
    let mut in_grace: Vec<SeatId> = facts
        .voters
        .iter()
        .copied()
        .filter(|seat| !is_live(seat) && facts.registered.contains(seat) && now < grace_end(seat))
        .collect();
    in_grace.sort_by_key(|seat| (std::cmp::Reverse(grace_end(seat)), *seat));

    let mut voters: BTreeSet<SeatId> = eligible.iter().copied().take(size).collect();
    let mut deadline = None;
    if size < facts.voters.len() && !in_grace.is_empty() {
        let kept = facts.voters.len();
        voters = eligible.iter().copied().chain(in_grace.iter().copied()).take(kept).collect();
        deadline = in_grace.iter().map(grace_end).min();
    }
    let mut learners = facts.registered.clone();
    learners.retain(|seat| !voters.contains(seat));
    SeatPlan { voters, learners, deadline }
}
