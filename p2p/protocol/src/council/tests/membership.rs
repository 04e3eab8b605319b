//! Learners, voters, and the way between them.

use super::world::World;
use crate::council::{CouncilInput, CouncilOptions};
use crate::ids::SeatId;

fn seats(numbers: impl IntoIterator<Item = u64>) -> std::collections::BTreeSet<SeatId> {
    numbers.into_iter().map(SeatId).collect()
}

#[test]
fn a_learner_follows_and_does_not_vote() {
    let mut world = World::with_group(11, CouncilOptions::default(), 1, 1);
    world.propose(1, "from the leader");
    world.propose(2, "from the learner");
    world.run(200);
    assert!(world.council(2).replicated().holds(b"from the leader"));
    assert!(world.council(1).replicated().holds(b"from the learner"), "proposals are forwarded");
    assert!(world.council(1).is_caught_up(SeatId(2)));
    assert!(!world.council(2).is_caught_up(SeatId(2)), "only the leader can tell");
    world.crash(1);
    world.run(10_000);
    assert_eq!(world.leader(), None);
    world.restart(1);
    let took_ms = world.run_until(2_000, |world| world.leader() == Some(1));
    assert!(took_ms <= 1, "a sole voter waits for nobody: {took_ms} ms");
}

#[test]
fn one_voter_becomes_three() {
    let mut world = World::with_group(12, CouncilOptions::default(), 1, 2);
    world.propose(1, "before");
    world.change_seats(1, 1..=3, []);
    world.run_until(1_000, |world| {
        !world.council(1).is_changing_seats() && world.council(1).voters().len() == 3
    });
    world.run(200);
    for seat in 1..=3 {
        assert_eq!(world.council(seat).voters(), seats(1..=3));
        assert_eq!(world.council(seat).learners(), seats([]));
        assert!(world.council(seat).replicated().holds(b"before"));
    }
}

#[test]
fn unknown_seats_learn_before_they_vote() {
    let mut world = World::with_group(13, CouncilOptions::default(), 1, 0);
    world.join(2);
    // Seat 3 never shows up: a vote for it would cost the group its majority with the next death.
    world.change_seats(1, 1..=3, []);
    world.run(2_000);
    assert_eq!(world.council(1).voters(), seats([1]));
    assert_eq!(world.council(1).learners(), seats([2, 3]));
    assert!(world.council(1).is_caught_up(SeatId(2)) && !world.council(1).is_caught_up(SeatId(3)));
    world.join(3);
    world.run_until(3_000, |world| world.council(1).voters() == seats(1..=3));
}

#[test]
fn three_voters_become_one_after_a_death() {
    let mut world = World::with_group(14, CouncilOptions::default(), 3, 0);
    world.crash(3);
    world.input(1, CouncilInput::PeerDied(SeatId(3)));
    world.change_seats(1, [1], [2]);
    world.run_until(1_000, |world| {
        !world.council(1).is_changing_seats() && world.council(1).voters() == seats([1])
    });
    assert_eq!(world.council(1).learners(), seats([2]));
    world.run(200);
    world.crash(2);
    world.propose(1, "alone");
    assert!(world.council(1).replicated().holds(b"alone"));
}

#[test]
fn a_lost_voter_is_replaced_by_a_learner() {
    let mut world = World::with_group(15, CouncilOptions::default(), 3, 2);
    world.crash(2);
    world.input(1, CouncilInput::PeerDied(SeatId(2)));
    world.change_seats(1, [1, 3, 4], [5]);
    world.run_until(1_000, |world| {
        world.council(4).voters() == seats([1, 3, 4]) && !world.council(1).is_changing_seats()
    });
    world.crash(1);
    world.run_until(2_000, |world| world.leader().is_some() && world.council(5).leader() != Some(SeatId(1)));
    world.propose(5, "goes on");
    world.run_until(1_000, |world| world.council(5).replicated().holds(b"goes on"));
}

#[test]
fn a_removed_seat_is_told_and_disturbs_nobody() {
    let mut world = World::with_group(16, CouncilOptions::default(), 3, 0);
    world.change_seats(1, 1..=2, []);
    world.run(500);
    assert!(world.seats[&3].removed);
    assert!(!world.council(3).is_member());
    let term = world.council(1).term();
    world.run(10_000);
    assert_eq!(world.leader(), Some(1));
    assert_eq!(world.council(1).term(), term);
}

#[test]
fn a_seat_removed_unheard_disturbs_nobody() {
    let mut world = World::with_group(17, CouncilOptions::default(), 4, 0);
    world.cut_off.insert(4);
    world.change_seats(1, 1..=3, []);
    world.run(3_000);
    assert_eq!(world.council(1).voters(), seats(1..=3));
    let term = world.council(1).term();
    world.cut_off.clear();
    world.run(10_000);
    assert!(!world.seats[&4].removed, "nobody tells it");
    assert_eq!(world.leader(), Some(1));
    assert_eq!(world.council(1).term(), term);
}

#[test]
fn a_leader_hands_over_before_it_leaves() {
    let mut world = World::with_group(18, CouncilOptions::default(), 3, 0);
    world.change_seats(1, 2..=3, []);
    let took_ms = world.run_until(1_000, |world| world.leader() == Some(2));
    println!("handover: {took_ms} ms");
    assert!(took_ms <= 100, "{took_ms} ms");
    world.run(200);
    assert!(world.council(1).is_member(), "the new leader has to be asked");
    world.change_seats(2, 2..=3, []);
    world.run(500);
    assert!(world.seats[&1].removed);
    assert_eq!(world.council(3).voters(), seats(2..=3));
}

#[test]
fn a_leader_hands_over_when_it_is_asked_to() {
    let mut world = World::with_group(22, CouncilOptions::default(), 3, 1);
    let hand_over = |world: &mut World, seat: u64, to: u64| {
        world.input(seat, CouncilInput::TransferLeadership { to: SeatId(to) });
    };
    let term = world.council(1).term();
    // Not to itself, a learner, a stranger or the dead, and not by one that does not lead.
    world.crash(3);
    world.run(1_000);
    for (seat, to) in [(1, 1), (1, 4), (1, 9), (1, 3), (2, 2), (2, 3)] {
        hand_over(&mut world, seat, to);
        world.propose(1, &format!("{seat} to {to}"));
        world.run(500);
        assert_eq!((world.leader(), world.council(1).term()), (Some(1), term), "{seat} to {to}");
        assert!(world.council(2).replicated().holds(format!("{seat} to {to}").as_bytes()));
    }
    world.restart(3);
    world.run(1_000);
    hand_over(&mut world, 1, 3);
    let took_ms = world.run_until(1_000, |world| world.leader() == Some(3));
    println!("handover: {took_ms} ms");
    assert!(took_ms <= 100, "{took_ms} ms");
    // The former leader lives and votes; now it can be demoted, and then leave for good.
    world.run_until(1_000, |world| world.council(3).is_settled_leader());
    world.change_seats(3, [2, 3, 4], [1]);
    world.run_until(1_000, |world| {
        world.council(3).voters() == seats([2, 3, 4]) && !world.council(3).is_changing_seats()
    });
    assert_eq!((world.leader(), world.council(3).learners()), (Some(3), seats([1])));
    let term = world.council(3).term();
    world.crash(1);
    world.input(3, CouncilInput::PeerDied(SeatId(1)));
    world.propose(2, "without the first");
    world.run(1_000);
    assert!(world.council(4).replicated().holds(b"without the first"));
    assert_eq!((world.leader(), world.council(3).term()), (Some(3), term), "nobody was missed");
}

#[test]
fn a_handover_to_one_that_dies_is_given_up() {
    let mut world = World::with_group(23, CouncilOptions::default(), 3, 0);
    world.input(1, CouncilInput::TransferLeadership { to: SeatId(2) });
    world.crash(2);
    world.lose_what_flies();
    world.propose(1, "during");
    assert_eq!(world.seats[&1].dropped, [b"during"], "no proposal is taken meanwhile");
    let took_ms = world.run_until(3_000, |world| world.council(1).node.raft.lead_transferee.is_none());
    println!("given up after {took_ms} ms");
    assert_eq!(world.leader(), Some(1));
    world.propose(1, "after");
    world.run(500);
    assert!(world.council(3).replicated().holds(b"after"));
    world.input(1, CouncilInput::TransferLeadership { to: SeatId(3) });
    world.run_until(1_000, |world| world.leader() == Some(3));
}

#[test]
fn the_only_voter_of_two_nodes_can_leave_while_it_lives() {
    let mut world = World::with_group(24, CouncilOptions::default(), 1, 1);
    world.propose(1, "by the first");
    // The learner votes first: nobody else could take over.
    world.change_seats(1, 1..=2, []);
    world.run_until(1_000, |world| {
        world.council(1).voters() == seats(1..=2) && !world.council(1).is_changing_seats()
    });
    assert_eq!(world.leader(), Some(1));
    world.input(1, CouncilInput::TransferLeadership { to: SeatId(2) });
    world.run_until(1_000, |world| world.leader() == Some(2) && world.council(2).is_settled_leader());
    world.change_seats(2, [2], [1]);
    world.run_until(1_000, |world| {
        world.council(2).voters() == seats([2]) && !world.council(2).is_changing_seats()
    });
    assert!(world.is_alive(1) && world.leader() == Some(2));
    assert_eq!(world.council(2).learners(), seats([1]));
    let term = world.council(2).term();
    world.crash(1);
    world.lose_what_flies();
    world.propose(2, "alone");
    assert!(world.council(2).replicated().holds(b"by the first"));
    assert!(world.council(2).replicated().holds(b"alone"), "one vote is the majority of one");
    world.run(5_000);
    assert_eq!((world.leader(), world.council(2).term()), (Some(2), term));
}

#[test]
fn a_leader_that_inherits_its_own_removal_hands_over() {
    let mut world = World::with_group(21, CouncilOptions::default(), 3, 0);
    // Leader 1 removes seat 2 and dies when 2 has the change; 2 has to lead to finish it.
    world.change_seats(1, [1, 3], []);
    world.run_until(1_000, |world| {
        world.council(2).node.raft.raft_log.last_index() > world.council(2).applied_index()
    });
    world.crash(1);
    world.cut_off.insert(3);
    world.run(1_000);
    world.restart(1);
    world.cut_off.insert(1);
    world.cut_off.remove(&3);
    world.run_until(3_000, |world| world.leader() == Some(2));
    world.cut_off.clear();
    let took_ms = world.run_until(3_000, |world| world.seats[&2].removed);
    println!("the inherited change took {took_ms} ms");
    let gap_ms = world.run_until(3_000, |world| world.leader().is_some_and(|leader| leader != 2));
    println!("without a leader: {gap_ms} ms");
    assert!(gap_ms <= 50, "{gap_ms} ms");
    world.run(500);
    assert_eq!(world.council(3).voters(), seats([1, 3]));
}

#[test]
fn a_sole_voter_can_be_replaced() {
    let mut world = World::with_group(19, CouncilOptions::default(), 1, 1);
    world.change_seats(1, [2], []);
    world.run_until(2_000, |world| world.leader() == Some(2));
    world.run(300);
    world.change_seats(2, [2], []);
    world.run(500);
    assert!(world.seats[&1].removed);
    assert_eq!(world.council(2).voters(), seats([2]));
    world.crash(1);
    world.propose(2, "alone");
    assert!(world.council(2).replicated().holds(b"alone"));
}

#[test]
fn targets_that_name_no_group_change_nothing() {
    let mut world = World::with_group(20, CouncilOptions::default(), 1, 1);
    world.change_seats(1, [], [1]);
    world.change_seats(1, [0], [1, 2]);
    world.change_seats(1, 1..=8, []);
    world.change_seats(2, [2], []);
    world.run(500);
    assert_eq!(world.council(1).voters(), seats([1]));
    assert_eq!(world.council(1).learners(), seats([2]));
}
