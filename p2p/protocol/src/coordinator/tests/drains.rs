//! Nodes that drain: their work goes elsewhere, nothing is redone, and they may go when nobody misses them.

use std::collections::BTreeSet;

use super::cluster::{Cluster, applied, fresh_coordinator, halted, name};
use crate::coordinator::limits::{JOIN_BATCH_MS, PROPOSAL_RETRY_MS};
use crate::coordinator::{CoordinatorInput, CoordinatorOutput, DrainFacts, DrainState, drain_state};
use crate::ids::{Epoch, NodeId, SeatId};
use crate::ledger::testing::{chain, checkpoint, node, plan, submit};
use crate::ledger::{JobPlan, JobStatus, LedgerCommand};
use crate::view::Origin;
use crate::wire::control::ReportEvent;

#[test]
fn a_member_that_drains_gives_its_work_away_and_leaves_two_steps_later() {
    let mut cluster = Cluster::running(3, plan());
    cluster.all_apply(1);
    cluster.drain(2);
    assert_eq!([1, 2, 3].map(|number| cluster.lease(number).len()), [6, 0, 6]);
    assert!(!cluster.view().owners.contains(&1));
    assert_eq!(cluster.reason(), format!("{} drains (maintenance): others take its work", name(2)));
    // Its earlier words, and those on other views, do not say that it has begun nothing more.
    cluster.report_in(Epoch(1), 2, applied(1));
    cluster.report(2, ReportEvent::Synced { step: 0, chain: chain(0) });
    cluster.apply_step(1, 2);
    cluster.apply_step(3, 2);
    assert_eq!(cluster.view().epoch, Epoch(2));
    cluster.apply_step(2, 2);
    cluster.apply_step(2, 3);
    cluster.apply_step(1, 3);
    assert_eq!(cluster.view().epoch, Epoch(2), "node 3 may still need what node 2 has of step 2");
    assert!(cluster.why().contains(&format!("{} drains", name(2))), "{}", cluster.why());
    cluster.apply_step(3, 3);
    assert_eq!(cluster.members(), [(1, 1, 1), (3, 1, 1)]);
    assert_eq!(cluster.reason(), format!("{} drained (maintenance)", name(2)));
    cluster.pass_ms(60_000);
    assert_eq!(cluster.view().epoch, Epoch(3), "it does not come back by itself");
    cluster.undrain(2);
    cluster.pass_ms(JOIN_BATCH_MS);
    assert_eq!(cluster.members(), [(1, 1, 1), (2, 1, 4), (3, 1, 1)]);
}

#[test]
fn a_new_coordinator_carries_a_drain_on_by_what_it_hears_itself() {
    let mut cluster = Cluster::running(3, plan());
    cluster.all_apply(1);
    cluster.drain(2);
    cluster.all_apply(2);
    cluster.coordinator = fresh_coordinator(3, 1);
    cluster.connect(1, 1);
    cluster.connect(2, 1);
    cluster.input(CoordinatorInput::Elected { term: 2 });
    cluster.apply_step(1, 3);
    cluster.apply_step(3, 3);
    assert_eq!(cluster.view().epoch, Epoch(2), "nothing heard of node 2 yet");
    cluster.apply_step(2, 3);
    assert_eq!(cluster.view().epoch, Epoch(2));
    cluster.apply_step(1, 4);
    cluster.apply_step(3, 4);
    assert_eq!(cluster.members().len(), 3, "node 2 has not told all that it did");
    cluster.apply_step(2, 4);
    assert_eq!(cluster.members(), [(1, 1, 1), (3, 1, 1)]);
}

#[test]
fn a_drain_taken_back_in_time_gives_the_work_back() {
    let mut cluster = Cluster::running(2, plan());
    cluster.all_apply(1);
    cluster.drain(2);
    cluster.all_apply(2);
    cluster.undrain(2);
    assert_eq!((cluster.lease(2).len(), cluster.members()[1]), (6, (2, 1, 1)));
    // A later drain does not count what it said while it was idle before.
    cluster.drain(2);
    cluster.apply_step(1, 3);
    cluster.apply_step(1, 4);
    assert_eq!(cluster.members().len(), 2);
    cluster.apply_step(2, 3);
    cluster.apply_step(2, 4);
    assert_eq!(cluster.members(), [(1, 1, 1)]);
}

#[test]
fn who_has_no_state_yet_leaves_at_once_and_who_drains_does_not_join() {
    let mut cluster = Cluster::running(1, plan());
    cluster.join(2, 1);
    cluster.join(3, 1);
    cluster.drain(3);
    cluster.pass_ms(JOIN_BATCH_MS);
    assert_eq!(cluster.members(), [(1, 1, 1), (2, 1, 2)]);
    cluster.drain(2);
    assert_eq!(cluster.members(), [(1, 1, 1)]);
    cluster.pass_ms(60_000);
    assert_eq!(cluster.view().epoch, Epoch(3));
}

#[test]
fn the_only_one_with_the_state_works_on_until_another_has_it_and_nobody_joins_meanwhile() {
    let mut cluster = Cluster::running(1, plan());
    cluster.all_apply(1);
    cluster.drain(1);
    assert_eq!((cluster.view().epoch, cluster.lease(1).len()), (Epoch(1), 12));
    cluster.join(2, 1);
    cluster.pass_ms(JOIN_BATCH_MS);
    assert_eq!((cluster.members().len(), cluster.lease(1).len()), (2, 12));
    cluster.sync(2, 1);
    assert_eq!([1, 2].map(|number| cluster.lease(number).len()), [0, 12]);
    cluster.join(3, 1);
    cluster.pass_ms(2 * JOIN_BATCH_MS);
    assert_eq!(cluster.members().len(), 2, "a joiner would hold up the steps that the drain waits for");
    cluster.all_apply(2);
    cluster.all_apply(3);
    assert_eq!(cluster.members(), [(2, 1, 2), (3, 1, 4)]);
}

#[test]
fn a_successor_comes_beyond_the_jobs_limit_and_a_drain_taken_back_then_leaves_one_too_many() {
    let limited = JobPlan { nodes_max: 1, ..plan() };
    let mut cluster = Cluster::new(2);
    cluster.apply(submit(1, limited));
    assert_eq!(cluster.members(), [(1, 1, 1)]);
    cluster.all_apply(1);
    cluster.drain(1);
    cluster.pass_ms(JOIN_BATCH_MS);
    assert_eq!(cluster.members(), [(1, 1, 1), (2, 1, 2)]);
    cluster.undrain(1);
    assert_eq!(cluster.members(), [(1, 1, 1)]);
    assert!(cluster.reason().contains("one more than the job allows"), "{}", cluster.reason());
    cluster.drain(1);
    cluster.pass_ms(JOIN_BATCH_MS);
    cluster.sync(2, 1);
    cluster.all_apply(2);
    cluster.all_apply(3);
    assert_eq!(cluster.members(), [(2, 1, 4)]);
}

#[test]
fn a_process_that_ends_and_leaves_nobody_halts_the_job_which_goes_on_when_it_is_back() {
    let mut cluster = Cluster::running(2, plan());
    cluster.all_apply(1);
    cluster.terminate(1);
    assert!(!cluster.view().halt);
    cluster.terminate(2);
    assert!(cluster.view().halt);
    assert!(cluster.reason().contains("leave and nobody can go on"), "{}", cluster.reason());
    cluster.all_apply(2);
    assert!(matches!(state(&cluster, 1, &[]), DrainState::Waiting { .. }));
    cluster.all_halt(2);
    let job = cluster.job();
    assert_eq!((&job.status, &job.view), (&JobStatus::Queued, &None));
    assert_eq!(job.checkpoints, [checkpoint(2, &[1, 2])]);
    assert_eq!(cluster.why(), "waits for 1 node, 0 are here");
    assert_eq!([1, 2].map(|number| state(&cluster, number, &[])), [DrainState::Done, DrainState::Done]);
    cluster.pass_ms(60_000);
    assert!(cluster.job().view.is_none());
    cluster.join(2, 2);
    assert_eq!(cluster.members(), [(2, 2, 4)]);
    let step_2 = Origin::Checkpoint { step: 2, chain: chain(2), digest: crate::ledger::testing::digest(2) };
    assert_eq!(cluster.view().origin, step_2);
}

#[test]
fn a_node_that_comes_while_the_last_one_halts_makes_the_job_go_on() {
    let mut cluster = Cluster::running(1, plan());
    cluster.all_apply(1);
    cluster.terminate(1);
    assert!(cluster.view().halt);
    cluster.join(2, 1);
    assert!(!cluster.view().halt);
    assert_eq!(cluster.members(), [(1, 1, 1), (2, 1, 3)]);
    cluster.sync(2, 1);
    cluster.all_apply(2);
    cluster.all_apply(3);
    assert_eq!(cluster.members(), [(2, 1, 3)]);
    assert_eq!(cluster.job().committed_to().0, 3);
}

#[test]
fn a_draining_node_that_stays_works_rather_than_one_whose_process_ends() {
    let mut cluster = Cluster::running(2, plan());
    cluster.all_apply(1);
    cluster.drain(1);
    cluster.all_apply(2);
    cluster.terminate(2);
    assert_eq!([1, 2].map(|number| cluster.lease(number).len()), [12, 0]);
    assert!(!cluster.view().halt);
    cluster.all_apply(3);
    cluster.all_apply(4);
    assert_eq!(cluster.members(), [(1, 1, 1)]);
    assert!(!cluster.view().halt, "nobody asked node 1 to end");
    cluster.terminate(1);
    assert!(cluster.view().halt);
    cluster.undrain(1);
    assert!(!cluster.view().halt);
    assert_eq!(cluster.ledger.nodes[&node(1)].drain, None);
}

#[test]
fn a_pause_wins_over_a_drain_and_lets_the_node_go_too() {
    let mut cluster = Cluster::running(2, plan());
    cluster.all_apply(1);
    cluster.pause();
    cluster.terminate(2);
    assert_eq!((cluster.view().epoch, cluster.view().halt), (Epoch(2), true));
    cluster.report(1, halted(1));
    cluster.report(2, halted(1));
    cluster.all_write(1);
    assert_eq!(cluster.status(), &JobStatus::Paused { by: node(2) });
    cluster.resume();
    assert_eq!(cluster.members(), [(1, 1, 3)], "node 2 gets nothing new");
}

#[test]
fn a_drained_node_that_is_forgotten_comes_back_on_another_seat() {
    let mut cluster = Cluster::running(2, plan());
    cluster.all_apply(1);
    cluster.terminate(2);
    cluster.all_apply(2);
    cluster.all_apply(3);
    assert_eq!(cluster.members(), [(1, 1, 1)]);
    cluster.apply(LedgerCommand::ForgetNode { node: node(2) });
    cluster.join(2, 2);
    assert_eq!(cluster.ledger.seat_of(node(2)), Some(SeatId(3)));
    cluster.pass_ms(JOIN_BATCH_MS);
    assert_eq!(cluster.members().len(), 2);
}

#[test]
fn a_coordinator_that_drains_hands_over_until_it_leads_no_more() {
    let mut cluster = Cluster::new(2);
    let seats = |numbers: &[u64]| -> BTreeSet<SeatId> { numbers.iter().copied().map(SeatId).collect() };
    cluster.drain(1);
    cluster.out.clear();
    let group = |voters: &[u64], learners: &[u64]| CoordinatorInput::Seats {
        voters: seats(voters),
        learners: seats(learners),
        caught_up: seats(&[1, 2]),
    };
    cluster.input(group(&[1], &[2]));
    let promote = CoordinatorOutput::ChangeSeats { voters: seats(&[1, 2]), learners: seats(&[]) };
    assert_eq!(cluster.out, [promote]);
    cluster.out.clear();
    cluster.input(group(&[1, 2], &[]));
    let hand_over = CoordinatorOutput::TransferLeadership { to: SeatId(2) };
    assert!(cluster.out.len() == 1 && cluster.out[0] == hand_over, "{:?}", cluster.out);
    cluster.pass_ms(PROPOSAL_RETRY_MS);
    assert_eq!(cluster.out, [hand_over.clone(), hand_over]);
    cluster.coordinator = fresh_coordinator(2, 1);
    cluster.connect(1, 1);
    cluster.out.clear();
    cluster.input(CoordinatorInput::Elected { term: 2 });
    cluster.input(group(&[1, 2], &[]));
    assert_eq!(cluster.out, [CoordinatorOutput::ChangeSeats { voters: seats(&[2]), learners: seats(&[1]) }]);
}

/// The state of the drain of node `number` while these seats vote and the first of these nodes leads; nodes 1 to 3 live.
fn state(cluster: &Cluster, number: u8, voters: &[u8]) -> DrainState {
    let facts = DrainFacts {
        live: [1, 2, 3].map(node).into(),
        leader: voters.first().map(|number| node(*number)),
        voters: voters.iter().filter_map(|number| cluster.ledger.seat_of(node(*number))).collect(),
    };
    drain_state(&cluster.ledger, node(number), &facts)
}

#[test]
fn a_drain_is_done_when_nobody_misses_the_node() {
    let mut cluster = Cluster::running(3, plan());
    cluster.all_apply(1);
    let waits = |cluster: &Cluster, voters: &[u8], words: &str| match state(cluster, 2, voters) {
        DrainState::Waiting { for_what } => assert!(for_what.contains(words), "{for_what}"),
        DrainState::Done => panic!("done instead of waiting for {words}"),
    };
    waits(&cluster, &[1], "take note");
    cluster.is_council_stuck = true;
    cluster.drain(2);
    waits(&cluster, &[1], "take over its work");
    cluster.unstick();
    waits(&cluster, &[1], "pass the last step");
    cluster.all_apply(2);
    cluster.all_apply(3);
    waits(&cluster, &[], "coordinator to be elected");
    waits(&cluster, &[2, 1], "become coordinator");
    waits(&cluster, &[1, 2, 3], "take over its vote");
    assert_eq!(state(&cluster, 2, &[1]), DrainState::Done);
    // Votes and lead of those who all leave stay where they are.
    for number in [1, 3] {
        cluster.drain(number);
    }
    assert_eq!(state(&cluster, 2, &[2, 1]), DrainState::Done);
    assert!(matches!(state(&cluster, 1, &[2, 1]), DrainState::Waiting { .. }), "it runs the job");
    cluster.apply(LedgerCommand::ForgetNode { node: node(2) });
    assert_eq!(state(&cluster, 2, &[1]), DrainState::Done);
}

#[test]
fn names_in_words_are_those_of_the_nodes() {
    let mut cluster = Cluster::running(2, plan());
    cluster.drain(2);
    assert!(cluster.reason().contains(&NodeId::friendly_name(&node(2))));
}
