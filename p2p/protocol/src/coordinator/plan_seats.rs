//! Who votes in the council: a pure function of who is alive.

use std::collections::{BTreeMap, BTreeSet};

use super::limits::DEAD_VOTER_GRACE_MS;
use crate::council::VOTERS_MAX;
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
    /// Seats of nodes that drain.
    pub draining: BTreeSet<SeatId>,
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
    /// The coordinator drains and this voter can lead: nothing else is changed before it does.
    pub successor: Option<SeatId>,
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
///
/// A seat that drains gets no vote, and loses the one it has as soon as others can take over. A coordinator that drains
/// sees to it that another one votes and hands over to it. Where all live nodes drain, everything stays as it is.
#[must_use]
pub fn plan_seats(now: Millis, facts: &SeatFacts) -> SeatPlan {
    if let Some(plan) = plan_succession(facts) {
        return plan;
    }
    let is_live = |seat: &SeatId| *seat == facts.me || facts.live.contains(seat);
    let may_vote = |seat: &SeatId| is_live(seat) && *seat != facts.me && !facts.draining.contains(seat);
    let live_voters = facts.voters.iter().copied().filter(|seat| may_vote(seat));
    let fillers = facts
        .caught_up
        .iter()
        .copied()
        .filter(|seat| may_vote(seat) && facts.registered.contains(seat) && !facts.voters.contains(seat));
    let mut eligible = vec![facts.me];
    eligible.extend(live_voters.chain(fillers));

    let counts = |seat: &&SeatId| is_live(seat) && (**seat == facts.me || !facts.draining.contains(seat));
    let mut live_count = facts.registered.iter().filter(counts).count();
    let drained_voters: Vec<SeatId> = facts
        .voters
        .iter()
        .copied()
        .filter(|seat| is_live(seat) && *seat != facts.me && facts.draining.contains(seat))
        .collect();
    if facts.draining.contains(&facts.me) {
        // Nobody can take over: votes stay where they are.
        live_count += drained_voters.len();
    }
    if eligible.len() < council_size(live_count) {
        eligible.extend(&drained_voters);
    }
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
        let all = eligible.iter().chain(&drained_voters).chain(&in_grace);
        voters = BTreeSet::new();
        for seat in all {
            if voters.len() < kept {
                voters.insert(*seat);
            }
        }
        deadline = in_grace.iter().map(grace_end).min();
    }
    let mut learners = facts.registered.clone();
    learners.retain(|seat| !voters.contains(seat));
    SeatPlan { voters, learners, deadline, successor: None }
}

/// What a coordinator that drains does: `None` if it does not, or nobody could take over.
fn plan_succession(facts: &SeatFacts) -> Option<SeatPlan> {
    let can_lead = |seat: &&SeatId| {
        **seat != facts.me
            && facts.live.contains(seat)
            && facts.registered.contains(seat)
            && !facts.draining.contains(seat)
    };
    if !facts.draining.contains(&facts.me) {
        return None;
    }
    let heir = facts.caught_up.iter().find(|seat| can_lead(seat) && facts.voters.contains(seat)).copied();
    let mut voters = facts.voters.clone();
    if heir.is_none() {
        let filler = *facts.caught_up.iter().find(can_lead)?;
        // The council has a largest size: a vote that is of no use makes room.
        let useless = |seat: &&SeatId| **seat != facts.me && !can_lead(seat);
        if voters.len() >= VOTERS_MAX
            && let Some(useless) = facts.voters.iter().find(useless)
        {
            voters.remove(useless);
        }
        voters.insert(filler);
    }
    let mut learners = facts.registered.clone();
    learners.retain(|seat| !voters.contains(seat));
    Some(SeatPlan { voters, learners, deadline: None, successor: heir })
}
