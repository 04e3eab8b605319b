//! The pure plans: seats as a table, leases and owners by their values.

use std::collections::{BTreeMap, BTreeSet};

use crate::coordinator::limits::DEAD_VOTER_GRACE_MS;
use crate::coordinator::{
    FoundingFacts, SeatFacts, SpeedLevels, ViewChangeFacts, council_size, plan_founding_view, plan_next_view,
    plan_seats,
};
use crate::ids::{Epoch, Incarnation, Life, Millis, SeatId};
use crate::ledger::JobPlan;
use crate::ledger::testing::{job_id, life, node, plan};
use crate::view::{Member, Origin, View};

fn seats(numbers: &[u64]) -> BTreeSet<SeatId> {
    numbers.iter().map(|number| SeatId(*number)).collect()
}

#[test]
fn seats_follow_the_living() {
    const NOW: u64 = 100_000;
    // (live, voters, caught up, dead since ms, wanted voters); seat 1 is the coordinator, 1..=7 are registered.
    type Row = (&'static [u64], &'static [u64], &'static [u64], &'static [(u64, u64)], &'static [u64]);
    let rows: [Row; 16] = [
        (&[1], &[1], &[], &[], &[1]),
        (&[1, 2], &[1], &[2], &[], &[1]),
        (&[1, 2, 3], &[1], &[2, 3], &[], &[1, 2, 3]),
        // One follower lags: two voters would be no better than one.
        (&[1, 2, 3], &[1], &[2], &[], &[1]),
        (&[1, 2, 3, 4], &[1, 2, 3], &[4], &[], &[1, 2, 3]),
        (&[1, 2, 3, 4, 5], &[1, 2, 3], &[4, 5], &[], &[1, 2, 3, 4, 5]),
        (&[1, 2, 3, 4, 5, 6, 7], &[1, 2, 3, 4, 5], &[6, 7], &[], &[1, 2, 3, 4, 5]),
        // A dead voter is replaced at once where somebody can take its seat.
        (&[1, 2, 4], &[1, 2, 3], &[4], &[(3, 0)], &[1, 2, 4]),
        (&[1, 2, 4], &[1, 2, 3], &[], &[(3, 0)], &[1, 2, 3]),
        // Nobody can: it keeps its seat for the grace, then the council shrinks.
        (&[1, 2], &[1, 2, 3], &[], &[(3, DEAD_VOTER_GRACE_MS - 1)], &[1, 2, 3]),
        (&[1, 2], &[1, 2, 3], &[], &[(3, DEAD_VOTER_GRACE_MS)], &[1]),
        (&[1, 2, 3, 4], &[1, 2, 3, 4, 5], &[], &[(5, 10)], &[1, 2, 3, 4, 5]),
        (&[1, 2, 3, 4], &[1, 2, 3, 4, 5], &[], &[(5, DEAD_VOTER_GRACE_MS)], &[1, 2, 3]),
        // Two dead, one follower: one is replaced, the one that died last keeps its seat for a while.
        (&[1, 2, 3, 6], &[1, 2, 3, 4, 5], &[6], &[(4, 900), (5, 10)], &[1, 2, 3, 5, 6]),
        // A seat without a node votes no more; the coordinator always does.
        (&[1, 2, 3], &[1, 2, 9], &[3], &[], &[1, 2, 3]),
        (&[2, 3, 4], &[1, 2, 3], &[4], &[], &[1, 2, 3]),
    ];
    for (live, voters, caught_up, dead, wanted) in rows {
        let facts = SeatFacts {
            me: SeatId(1),
            registered: seats(&[1, 2, 3, 4, 5, 6, 7]),
            live: seats(live),
            draining: BTreeSet::new(),
            lost_at: dead.iter().map(|(seat, ms)| (SeatId(*seat), Millis(NOW - ms))).collect(),
            voters: seats(voters),
            caught_up: seats(caught_up),
        };
        let plan = plan_seats(Millis(NOW), &facts);
        assert_eq!((plan.voters.clone(), plan.successor), (seats(wanted), None), "{facts:?}");
        let everyone: BTreeSet<SeatId> = plan.voters.union(&plan.learners).copied().collect();
        assert_eq!(everyone, seats(&[1, 2, 3, 4, 5, 6, 7]), "dead followers stay");
        assert!(plan.voters.is_disjoint(&plan.learners));
        let keeps_dead = plan.voters.iter().any(|seat| *seat != SeatId(1) && !facts.live.contains(seat));
        assert_eq!(plan.deadline.is_some(), keeps_dead, "{facts:?}");
    }
    assert_eq!([0, 1, 2, 3, 4, 5, 64].map(council_size), [1, 1, 1, 3, 3, 5, 5]);
}

#[test]
fn seats_leave_nodes_that_drain_and_the_coordinator_hands_over_first() {
    // (draining, live, voters, caught up, wanted voters, successor); seat 1 is the coordinator, 1..=5 are registered.
    type Row = (&'static [u64], &'static [u64], &'static [u64], &'static [u64], &'static [u64], Option<u64>);
    let rows: [Row; 15] = [
        // A follower that drains is not promoted.
        (&[3], &[1, 2, 3], &[1], &[1, 2, 3], &[1], None),
        (&[4], &[1, 2, 3, 4], &[1], &[1, 2, 3, 4], &[1, 2, 3], None),
        // A voter that drains is replaced, at once where somebody can, and keeps its vote until then.
        (&[3], &[1, 2, 3, 4], &[1, 2, 3], &[1, 2, 3, 4], &[1, 2, 4], None),
        (&[3], &[1, 2, 3, 4], &[1, 2, 3], &[1, 2, 3], &[1, 2, 3], None),
        (&[3], &[1, 2, 3], &[1, 2, 3], &[1, 2, 3], &[1], None),
        (&[2], &[1, 2], &[1, 2], &[1, 2], &[1], None),
        (&[2, 3], &[1, 2, 3, 4, 5], &[1, 2, 3], &[1, 2, 3, 4, 5], &[1, 4, 5], None),
        // The coordinator hands over to a voter, and makes one if there is none.
        (&[1], &[1, 2, 3], &[1, 2, 3], &[1, 2, 3], &[1, 2, 3], Some(2)),
        (&[1, 2], &[1, 2, 3], &[1, 2, 3], &[1, 2, 3], &[1, 2, 3], Some(3)),
        (&[1], &[1, 2], &[1], &[1, 2], &[1, 2], None),
        (&[1], &[1, 2], &[1, 2], &[1, 2], &[1, 2], Some(2)),
        // Nobody is far enough, or all drain: everything stays.
        (&[1], &[1, 2], &[1], &[1], &[1], None),
        (&[1, 2, 3], &[1, 2, 3], &[1, 2, 3], &[1, 2, 3], &[1, 2, 3], None),
        (&[1, 2, 3], &[1, 2, 3], &[1], &[1, 2, 3], &[1], None),
        // A dead voter's grace is not spent with less than a majority of the living.
        (&[3], &[1, 3], &[1, 2, 3], &[1, 3], &[1, 2, 3], None),
    ];
    for (draining, live, voters, caught_up, wanted, successor) in rows {
        let lost_at = BTreeMap::from([(SeatId(2), Millis(99_999)), (SeatId(4), Millis(0))]);
        let facts = SeatFacts {
            me: SeatId(1),
            registered: seats(&[1, 2, 3, 4, 5]),
            live: seats(live),
            draining: seats(draining),
            lost_at,
            voters: seats(voters),
            caught_up: seats(caught_up),
        };
        let plan = plan_seats(Millis(100_000), &facts);
        assert_eq!(
            (plan.voters.clone(), plan.successor),
            (seats(wanted), successor.map(SeatId)),
            "{facts:?}"
        );
        let everyone: BTreeSet<SeatId> = plan.voters.union(&plan.learners).copied().collect();
        assert_eq!(everyone, facts.registered);
    }
}

#[test]
fn a_member_that_drains_gets_no_work_and_a_halt_moves_none() {
    let plan = plan();
    let view = founding(&plan, vec![life(1, 1), life(2, 1), life(3, 1)]);
    let known = synced(&view.members);
    let changed = |idle: &[u8], halt, staying: &[Member]| ViewChangeFacts {
        idle: idle.iter().map(|number| node(*number)).collect(),
        halt,
        ..facts(&plan, &view, &known, staying)
    };
    let drained = plan_next_view(&changed(&[2], false, &view.members)).unwrap();
    assert_eq!(loads(&drained), [6, 0, 6]);
    assert!(!drained.owners.contains(&1) && !drained.halt);
    let halted = plan_next_view(&changed(&[], true, &view.members)).unwrap();
    assert_eq!((&halted.leases, &halted.owners, halted.halt), (&view.leases, &view.owners, true));
    // Halting on, the drained one stays without work, though it could do some.
    let halted_on = ViewChangeFacts {
        epoch: drained.epoch.next(),
        previous: &drained,
        ..changed(&[], true, &drained.members)
    };
    let halted = plan_next_view(&halted_on).unwrap();
    assert_eq!((&halted.leases, &halted.owners), (&drained.leases, &drained.owners));
}

fn founding(plan: &JobPlan, lives: Vec<Life>) -> View {
    let (epoch, incarnation) = (Epoch(1), Incarnation(1));
    let facts = FoundingFacts { job: job_id(1), plan, incarnation, epoch, origin: Origin::Seed, lives };
    plan_founding_view(&facts).expect("there are founders")
}

fn loads(view: &View) -> Vec<u32> {
    view.members.iter().map(|member| view.lease(member.node).len()).collect()
}

fn synced(members: &[Member]) -> BTreeSet<(Life, Epoch)> {
    members.iter().map(|member| (member.life(), member.tenure)).collect()
}

/// Facts about the view after `previous`, of which `staying` stay and nothing else happens.
fn facts<'a>(
    plan: &'a JobPlan,
    previous: &'a View,
    synced: &'a BTreeSet<(Life, Epoch)>,
    staying: &[Member],
) -> ViewChangeFacts<'a> {
    ViewChangeFacts {
        plan,
        epoch: previous.epoch.next(),
        previous,
        synced,
        staying: staying.to_vec(),
        joining: Vec::new(),
        idle: BTreeSet::new(),
        halt: false,
        levels: SpeedLevels::new(),
        may_rebalance: false,
        avoided: Vec::new(),
    }
}

fn next(
    plan: &JobPlan,
    previous: &View,
    staying: &[Member],
    synced: &BTreeSet<(Life, Epoch)>,
    joining: &[Life],
) -> View {
    let facts = ViewChangeFacts { joining: joining.to_vec(), ..facts(plan, previous, synced, staying) };
    plan_next_view(&facts).expect("somebody is synced")
}

#[test]
fn founders_get_contiguous_ranges_as_equal_as_possible_and_the_rest_are_spares() {
    let plan = JobPlan { microbatches: 10, ..plan() };
    let view = founding(&plan, vec![life(3, 1), life(1, 1), life(2, 1)]);
    assert!(view.is_well_formed());
    assert_eq!(view.leases, [0, 0, 0, 1, 1, 1, 2, 2, 2, 2]);
    let few = JobPlan { microbatches: 2, ..plan };
    let view = founding(&few, vec![life(3, 1), life(1, 1), life(2, 1)]);
    assert_eq!(view.members.iter().map(|member| member.node).collect::<Vec<_>>(), [node(1), node(3)]);
}

#[test]
fn a_dead_members_range_is_split_and_the_others_keep_theirs() {
    let plan = JobPlan { microbatches: 12, parts: 64, ..plan() };
    let view = founding(&plan, (1..=4).map(|number| life(number, 1)).collect());
    let staying: Vec<Member> = view.members.iter().copied().filter(|member| member.node != node(2)).collect();
    let after = next(&plan, &view, &staying, &synced(&view.members), &[]);
    assert_eq!(after.leases, [0, 0, 0, 0, 1, 2, 1, 1, 1, 2, 2, 2]);
    for part in 0..64 {
        let (before, now) = (view.owner(part), after.owner(part));
        assert!(before == now || before == Some(node(2)), "part {part} moved although its owner lives");
    }
}

#[test]
fn a_joiner_has_no_work_in_its_first_view_and_a_share_once_it_is_synced() {
    let plan = JobPlan { parts: 64, ..plan() };
    let first = founding(&plan, vec![life(1, 1), life(2, 1)]);
    let mut known = synced(&first.members);
    let joined = next(&plan, &first, &first.members, &known, &[life(3, 1)]);
    assert_eq!(loads(&joined), [6, 6, 0]);
    assert_eq!(joined.leases, first.leases, "nobody else's range changes");
    assert!(!joined.owners.contains(&2));
    // Another view before it is synced still gives it nothing.
    let waiting = next(&plan, &joined, &joined.members, &known, &[]);
    assert_eq!(loads(&waiting), [6, 6, 0]);
    known.insert((life(3, 1), Epoch(2)));
    let working = next(&plan, &waiting, &waiting.members, &known, &[]);
    assert_eq!(working.leases, [0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2]);
    let moved: BTreeMap<_, _> =
        (0..64u32).map(|p| (waiting.owner(p), working.owner(p))).filter(|(a, b)| a != b).collect();
    assert!(working.owners.contains(&2) && moved.values().all(|owner| *owner == Some(node(3))));
}

#[test]
fn a_microbatch_that_failed_goes_elsewhere_if_there_is_an_elsewhere() {
    let plan = plan();
    let view = founding(&plan, vec![life(1, 1), life(2, 1)]);
    let known = synced(&view.members);
    let failed = |staying: &[Member]| ViewChangeFacts {
        avoided: vec![(3, node(1)), (7, node(1))],
        ..facts(&plan, &view, &known, staying)
    };
    let moved = plan_next_view(&failed(&view.members)).unwrap();
    assert_eq!(moved.leases, [0, 0, 0, 1, 0, 0, 1, 1, 1, 1, 1, 1]);
    let alone = plan_next_view(&failed(&view.members[..1])).unwrap();
    assert_eq!(loads(&alone), [12]);
    assert_eq!(plan_next_view(&ViewChangeFacts { synced: &BTreeSet::new(), ..failed(&view.members) }), None);
}

/// The slow one gets less, whether work moves for speed, for a death or for somebody new; where the gain is small nothing moves.
#[test]
fn leases_follow_speed() {
    let plan = plan();
    let view = founding(&plan, vec![life(1, 1), life(2, 1), life(3, 1)]);
    let known = synced(&view.members);
    let uneven = |slow: u32, may_rebalance, staying: &[Member]| ViewChangeFacts {
        levels: SpeedLevels::from([(node(1), 4), (node(2), slow), (node(3), 4)]),
        may_rebalance,
        ..facts(&plan, &view, &known, staying)
    };
    // (level of the second, loads): 12 micro-batches, of which everybody keeps one.
    for (slow, wanted) in [(4, [4, 4, 4]), (5, [4, 4, 4]), (8, [5, 2, 5]), (16, [6, 1, 5]), (128, [6, 1, 5])]
    {
        let moved = plan_next_view(&uneven(slow, true, &view.members)).unwrap();
        assert_eq!(loads(&moved), wanted, "{slow}");
        assert_eq!(loads(&plan_next_view(&uneven(slow, false, &view.members)).unwrap()), [4, 4, 4]);
    }
    // The first dies: the second, four times as slow, gets nothing of its work.
    let after = plan_next_view(&uneven(16, false, &view.members[1..])).unwrap();
    assert_eq!(loads(&after), [4, 8]);
}
