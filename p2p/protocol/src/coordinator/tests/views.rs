//! Members that die, come back, join; registrations and seats.

use std::collections::BTreeSet;

use super::cluster::{Cluster, applied, failed, name};
use crate::coordinator::failures::FAILED_OF_ONE_MAX;
use crate::coordinator::limits::{
    FAILURE_BATCH_MS, JOIN_AT_ONCE_BYTES_MAX, JOIN_BATCH_MS, JOINER_SYNC_MS_MAX, PROPOSAL_RETRY_MS,
    REJECTION_RETRY_MS,
};
use crate::coordinator::{CoordinatorInput, CoordinatorOutput};
use crate::ids::{Boot, CouncilId, Epoch, SeatId};
use crate::ledger::testing::{DATA, commit, member, node, plan, submit, view};
use crate::ledger::{JobPlan, JobStatus, LedgerCommand};
use crate::wire::control::ControlMessage;

#[test]
fn a_dead_member_leaves_at_once_and_its_range_is_split() {
    let mut cluster = Cluster::running(3, plan());
    cluster.all_apply(1);
    cluster.lose(2, 1, true);
    assert_eq!(cluster.members(), [(1, 1, 1), (3, 1, 1)]);
    assert_eq!(cluster.lease(1), [0, 1, 2, 3, 4, 6]);
    assert_eq!(cluster.reason(), format!("{} died: connection refused", name(2)));
    assert_eq!(cluster.job().committed_to().0, 1, "stable steps are committed with a view change");
    assert_eq!(cluster.job().view_changes.last().unwrap().stable_step, 1);
}

#[test]
fn the_end_of_an_older_process_says_nothing_about_the_newer_one() {
    let mut cluster = Cluster::running(2, plan());
    cluster.lose(2, 77, true);
    assert_eq!(cluster.view().epoch, Epoch(1));
    cluster.lose(2, 1, true);
    cluster.join(2, 2);
    cluster.lose(2, 1, true);
    cluster.pass_ms(JOIN_BATCH_MS);
    assert_eq!(cluster.members(), [(1, 1, 1), (2, 2, 3)]);
}

#[test]
fn a_restarted_member_replaces_its_old_life_in_one_view() {
    let mut cluster = Cluster::running(3, plan());
    cluster.is_council_stuck = true;
    cluster.join(3, 2);
    cluster.unstick();
    assert_eq!(cluster.members()[..2], [(1, 1, 1), (2, 1, 1)]);
    cluster.pass_ms(JOIN_BATCH_MS);
    assert_eq!(cluster.members(), [(1, 1, 1), (2, 1, 1), (3, 2, 3)]);

    // Where the council is quick the registration is there before anything else.
    let mut cluster = Cluster::running(3, plan());
    cluster.apply(crate::ledger::testing::register(3, 2));
    assert_eq!(cluster.members(), [(1, 1, 1), (2, 1, 1)], "it is not connected with that process");
    let mut cluster = Cluster::running(3, plan());
    cluster.is_council_stuck = true;
    cluster.connect(3, 2);
    cluster.proposals.clear();
    cluster.is_council_stuck = false;
    cluster.apply(crate::ledger::testing::register(3, 2));
    cluster.pass_ms(PROPOSAL_RETRY_MS);
    assert_eq!((cluster.members(), cluster.view().epoch), (vec![(1, 1, 1), (2, 1, 1), (3, 2, 2)], Epoch(2)));
    assert!(cluster.reason().contains("its process was replaced") && cluster.reason().contains("came back"));
}

#[test]
fn joiners_come_in_one_batch_wait_for_their_state_and_then_get_work() {
    let mut cluster = Cluster::running(2, plan());
    cluster.join(3, 1);
    cluster.pass_ms(JOIN_BATCH_MS / 2);
    cluster.join(4, 1);
    assert_eq!(cluster.view().epoch, Epoch(1));
    assert!(cluster.why().contains("is about to join"), "{}", cluster.why());
    cluster.pass_ms(JOIN_BATCH_MS / 2);
    assert_eq!(cluster.members(), [(1, 1, 1), (2, 1, 1), (3, 1, 2), (4, 1, 2)]);
    assert!(cluster.lease(3).is_empty() && cluster.lease(4).is_empty());
    // A third one waits until these have the state.
    cluster.join(5, 1);
    cluster.pass_ms(1_000);
    assert_eq!(cluster.view().epoch, Epoch(2));
    assert!(cluster.why().contains("fetches the state") && cluster.why().contains("may join when"));
    cluster.sync(3, 0);
    assert_eq!(cluster.lease(3).len(), 4, "work comes with the state, at once");
    assert_eq!(cluster.members()[4], (5, 1, 3), "and the view takes in who waits");
    cluster.sync(4, 0);
    cluster.sync(5, 0);
    assert_eq!([1, 2, 3, 4, 5].map(|number| cluster.lease(number).len()), [2, 2, 3, 2, 3]);
}

/// It is there before another could be; one that is about to say whether it may join is waited for all the same.
#[test]
fn a_joiner_of_a_short_state_waits_only_for_others_that_are_here() {
    let short = JobPlan { state_bytes: JOIN_AT_ONCE_BYTES_MAX, ..plan() };
    let mut cluster = Cluster::running(2, short);
    cluster.join(3, 1);
    assert_eq!(cluster.members(), [(1, 1, 1), (2, 1, 1), (3, 1, 2)]);
    cluster.sync(3, 0);
    cluster.data_is_there = false;
    cluster.join(4, 1);
    cluster.join(5, 1);
    cluster.check(4, 1, Ok(DATA));
    cluster.pass_ms(JOIN_BATCH_MS / 2);
    assert_eq!(cluster.members().len(), 3);
    cluster.check(5, 1, Ok(DATA));
    assert_eq!(cluster.members().len(), 5, "no more than it takes");
}

#[test]
fn a_joiner_that_never_gets_the_state_is_removed_and_left_out_for_a_while() {
    let mut cluster = Cluster::running(1, plan());
    cluster.join(2, 1);
    cluster.pass_ms(JOIN_BATCH_MS);
    assert_eq!(cluster.members().len(), 2);
    cluster.pass_ms(JOINER_SYNC_MS_MAX + 1_000);
    assert_eq!(cluster.members(), [(1, 1, 1)]);
    assert!(cluster.reason().contains("had no state"));
    cluster.pass_ms(58_000);
    assert_eq!(cluster.view().epoch, Epoch(3));
    cluster.pass_ms(3_000);
    assert_eq!(cluster.members(), [(1, 1, 1), (2, 1, 4)]);
}

#[test]
fn a_falsely_evicted_member_is_admitted_again_with_a_new_tenure() {
    let mut cluster = Cluster::running(2, plan());
    cluster.lose(2, 1, false);
    assert_eq!(cluster.reason(), format!("{} was lost: connection refused", name(2)));
    cluster.connect(2, 1);
    cluster.pass_ms(JOIN_BATCH_MS);
    assert_eq!(cluster.members(), [(1, 1, 1), (2, 1, 3)]);
    assert!(cluster.lease(2).is_empty());
    // Its word in the earlier tenure counts for nothing.
    cluster.report_in(
        Epoch(1),
        2,
        crate::wire::control::ReportEvent::Synced { step: 0, chain: plan().genesis },
    );
    assert_eq!(cluster.synced().len(), 1);
    cluster.sync(2, 0);
    assert_eq!(cluster.lease(2).len(), 6);
}

#[test]
fn nodes_beyond_the_microbatches_are_spares_and_step_in() {
    let mut cluster = Cluster::new(3);
    cluster.apply(submit(1, JobPlan { microbatches: 2, ..plan() }));
    assert_eq!(cluster.members(), [(1, 1, 1), (2, 1, 1)]);
    cluster.pass_ms(5_000);
    assert_eq!(cluster.view().epoch, Epoch(1));
    cluster.lose(2, 1, true);
    assert_eq!(cluster.members(), [(1, 1, 1), (3, 1, 2)]);
}

#[test]
fn a_lost_proposal_is_made_again_later_and_only_one_view_is_in_flight() {
    let mut cluster = Cluster::running(4, plan());
    cluster.is_council_stuck = true;
    cluster.lose(2, 1, true);
    cluster.lose(3, 1, true);
    for _ in 0..10 {
        cluster.pass_ms(20);
        cluster.input(CoordinatorInput::Tick);
    }
    assert_eq!(cluster.proposals.len(), 1, "{:?}", cluster.proposals);
    cluster.pass_ms(PROPOSAL_RETRY_MS);
    assert_eq!(cluster.proposals.len(), 2);
    cluster.proposals.remove(0);
    cluster.unstick();
    assert_eq!(cluster.members(), [(1, 1, 1), (4, 1, 1)]);
}

#[test]
fn a_rejected_view_is_planned_anew_on_what_the_ledger_shows() {
    let mut cluster = Cluster::running(3, plan());
    cluster.is_council_stuck = true;
    cluster.lose(2, 1, true);
    let stale = cluster.proposals.remove(0);
    // An earlier coordinator's view came first.
    let other = commit(view(2, 1, vec![member(1, 1, 1), member(2, 1, 1), member(3, 1, 1)], 0));
    cluster.is_council_stuck = false;
    cluster.ledger.apply_command(50, other).unwrap();
    crate::replicated::Replicated::apply(&mut cluster.ledger, 51, &stale.encode());
    assert_eq!(cluster.ledger.rejections_total, 1);
    cluster.pass_ms(REJECTION_RETRY_MS);
    cluster.input(CoordinatorInput::LedgerChanged);
    assert_eq!((cluster.view().epoch, cluster.members().len()), (Epoch(3), 2));
}

#[test]
fn registrations_are_answered_when_they_are_committed_and_when_asked_again() {
    let mut cluster = Cluster::new(1);
    assert_eq!(cluster.ledger.seat_of(node(1)), Some(SeatId(1)));
    let answer = CoordinatorOutput::Send {
        to: node(2),
        message: ControlMessage::Registered {
            seat: SeatId(2),
            boot: Boot(1),
            council: CouncilId::default(),
            turn: 0,
        },
    };
    cluster.is_council_stuck = true;
    cluster.join(2, 1);
    cluster.join(2, 1);
    assert_eq!((cluster.proposals.len(), cluster.out.len()), (1, 0));
    cluster.unstick();
    assert!(cluster.out.len() == 1 && cluster.out[0] == answer);
    cluster.join(2, 1);
    assert_eq!(cluster.out, [answer.clone(), answer]);
}

#[test]
fn the_founder_gets_the_first_seat_even_if_others_ask_first() {
    let mut cluster = Cluster::new(0);
    cluster.ledger = crate::ledger::Ledger::default();
    cluster.coordinator = super::cluster::fresh_coordinator(1, 1);
    cluster.join(2, 1);
    cluster.input(CoordinatorInput::Elected { term: 1 });
    assert_eq!(cluster.ledger.seat_of(node(1)), Some(SeatId(1)));
    assert_eq!(cluster.ledger.seat_of(node(2)), Some(SeatId(2)));
}

#[test]
fn a_full_ledger_forgets_the_node_that_is_gone_for_a_newcomer() {
    let mut cluster = Cluster::new(64);
    cluster.lose(40, 1, true);
    cluster.join(65, 1);
    assert!(cluster.applied.contains(&LedgerCommand::ForgetNode { node: node(40) }));
    assert_eq!(cluster.ledger.seat_of(node(65)), Some(SeatId(65)));
    cluster.join(66, 1);
    assert_eq!(cluster.ledger.seat_of(node(66)), None, "all others are here");
}

#[test]
fn the_group_is_changed_until_it_is_as_planned() {
    let mut cluster = Cluster::new(3);
    let seats =
        |numbers: &[u64]| -> BTreeSet<SeatId> { numbers.iter().map(|number| SeatId(*number)).collect() };
    let group = |voters: &[u64], learners: &[u64], caught_up: &[u64]| CoordinatorInput::Seats {
        voters: seats(voters),
        learners: seats(learners),
        caught_up: seats(caught_up),
    };
    let change = |voters: &[u64], learners: &[u64]| CoordinatorOutput::ChangeSeats {
        voters: seats(voters),
        learners: seats(learners),
    };
    cluster.out.clear();
    cluster.input(group(&[1], &[], &[1]));
    assert_eq!(cluster.out, [change(&[1], &[2, 3])]);
    cluster.input(CoordinatorInput::Tick);
    assert_eq!(cluster.out.len(), 1);
    cluster.pass_ms(PROPOSAL_RETRY_MS);
    assert_eq!(cluster.out.len(), 2);
    cluster.out.clear();
    cluster.input(group(&[1], &[2, 3], &[1, 2]));
    assert!(cluster.out.is_empty());
    cluster.input(group(&[1], &[2, 3], &[1, 2, 3]));
    assert_eq!(cluster.out, [change(&[1, 2, 3], &[])]);
}

#[test]
fn a_failed_microbatch_moves_and_failing_twice_ends_the_job_by_name() {
    let mut cluster = Cluster::running(2, plan());
    for step in 1..=10 {
        cluster.all_apply(step);
    }
    cluster.all_write(10);
    cluster.report(1, failed(10, 3));
    cluster.pass_ms(FAILURE_BATCH_MS);
    assert_eq!(cluster.view().epoch, Epoch(2));
    assert_eq!(cluster.view().lease_holder(3), Some(node(2)));
    cluster.report_in(Epoch(1), 1, failed(10, 3));
    assert_eq!(
        (cluster.view().epoch, cluster.status()),
        (Epoch(2), &JobStatus::Running),
        "the same failure again"
    );
    cluster.report(2, failed(10, 3));
    let JobStatus::Failed { reason } = cluster.status() else { panic!("{:?}", cluster.status()) };
    for part in [
        "step 10, micro-batch 3",
        "4, 5, 6",
        &name(1),
        &name(2),
        "loss is NaN",
        "checkpoint is that of step 10",
    ] {
        assert!(reason.contains(part), "{part:?} is not in {reason:?}");
    }
}

#[test]
fn a_failure_of_a_step_that_others_have_passed_is_not_proposed_again_and_again() {
    let mut cluster = Cluster::running(2, plan());
    cluster.report(1, applied(6));
    cluster.report(2, applied(5));
    cluster.report(1, failed(6, 3));
    cluster.report(2, failed(5, 8));
    cluster.pass_ms(5_000);
    assert_eq!((cluster.job().failed_microbatches.len(), cluster.view().epoch), (1, Epoch(2)));
}

#[test]
fn failures_of_all_members_at_once_move_together_and_one_alone_tries_itself_again() {
    let mut cluster = Cluster::running(2, plan());
    cluster.is_council_stuck = true;
    cluster.report(1, failed(0, 2));
    cluster.report(2, failed(0, 8));
    cluster.unstick();
    assert_eq!(cluster.view().epoch, Epoch(1), "more may fail");
    cluster.pass_ms(FAILURE_BATCH_MS / 2);
    cluster.report(1, failed(0, 3));
    cluster.pass_ms(FAILURE_BATCH_MS / 2);
    assert_eq!(cluster.view().epoch, Epoch(2), "all in one view");
    assert_eq!(cluster.view().lease_holder(3), Some(node(2)));
    let holders = [2, 8].map(|microbatch| cluster.view().lease_holder(microbatch));
    assert_eq!(holders, [Some(node(2)), Some(node(1))]);
    cluster.all_apply(1);
    assert_eq!(cluster.status(), &JobStatus::Running);

    let mut alone = Cluster::running(1, plan());
    alone.report(1, failed(0, 2));
    alone.pass_ms(FAILURE_BATCH_MS);
    assert_eq!((alone.view().epoch, alone.status()), (Epoch(2), &JobStatus::Running));
    alone.report(1, failed(0, 2));
    assert!(matches!(alone.status(), JobStatus::Failed { .. }));
}

#[test]
fn a_microbatch_that_fails_again_on_its_node_says_more_of_the_node_and_the_job_goes_on_without_it() {
    let mut cluster = Cluster::running(3, plan());
    cluster.report(2, failed(0, 5));
    cluster.pass_ms(FAILURE_BATCH_MS);
    assert_ne!(cluster.view().lease_holder(5), Some(node(2)));
    cluster.report(2, failed(0, 5));
    assert_eq!(cluster.status(), &JobStatus::Running);
    assert_eq!(cluster.view().member_on(node(2)), None, "it is taken out");
    let reason = &cluster.job().view_changes.last().unwrap().reason;
    assert!(reason.contains(&format!("{}: micro-batch 5 of step 0 failed there again", name(2))), "{reason}");
    let words = cluster.coordinator.kept_out.iter().map(|(_, why, _)| why.as_str()).collect::<Vec<_>>();
    assert!(words.iter().any(|why| why.contains("failed there again")), "{words:?}");
    // It is of the node's word alone: that of another one ends the job.
    let holder = cluster.view().lease_holder(5).unwrap();
    cluster.report(holder.0[0], failed(0, 5));
    let JobStatus::Failed { reason } = cluster.status() else { panic!("{:?}", cluster.status()) };
    assert!(reason.contains(&name(2)) && reason.contains(&name(holder.0[0])), "{reason}");
}

#[test]
fn a_failure_of_a_step_that_nobody_else_is_at_shuts_out_no_other() {
    let mut cluster = Cluster::running(3, plan());
    // Before anybody else has said where it is.
    cluster.report(3, failed(plan().steps - 1, 1));
    cluster.all_apply(1);
    for step in [2, 3, plan().steps - 1, plan().steps, u64::MAX] {
        cluster.report(3, applied(step));
        cluster.report(3, failed(step, 1));
    }
    cluster.report(2, failed(1, 5));
    cluster.pass_ms(FAILURE_BATCH_MS);
    let known = &cluster.job().failed_microbatches;
    assert_eq!(known.iter().map(|failure| (failure.step, failure.node)).collect::<Vec<_>>(), [(1, node(2))]);
    // Once another is there, the word counts.
    cluster.report(2, applied(2));
    cluster.report(3, failed(2, 1));
    assert_eq!(cluster.job().failed_microbatches.last().unwrap().step, 2);
}

#[test]
fn a_second_failure_counts_from_the_holder_of_the_lease_and_else_against_who_says_it() {
    let mut cluster = Cluster::running(3, plan());
    cluster.report(2, failed(0, 5));
    cluster.pass_ms(FAILURE_BATCH_MS);
    let holder = cluster.view().lease_holder(5).unwrap().0[0];
    let other = if holder == 1 { 3 } else { 1 };
    cluster.report(other, failed(0, 5));
    assert_eq!(cluster.status(), &JobStatus::Running);
    assert_eq!(cluster.view().member_on(node(other)), None, "it had no lease of it");
    assert_eq!(cluster.view().lease_holder(5), Some(node(holder)));
    cluster.report(holder, failed(0, 5));
    assert!(matches!(cluster.status(), JobStatus::Failed { .. }));
}

#[test]
fn a_node_on_which_much_fails_in_a_step_is_put_out_and_one_that_is_alone_is_not() {
    let mut cluster = Cluster::running(2, plan());
    for microbatch in (0u32..).take(FAILED_OF_ONE_MAX) {
        assert!(cluster.view().member_on(node(2)).is_some(), "before {microbatch}");
        cluster.report(2, failed(0, microbatch));
    }
    assert_eq!((cluster.view().member_on(node(2)), cluster.status()), (None, &JobStatus::Running));
    let reason = &cluster.job().view_changes.last().unwrap().reason;
    assert!(reason.contains("8 micro-batches of step 0 failed there"), "{reason}");

    let mut alone = Cluster::running(1, plan());
    (0u32..).take(FAILED_OF_ONE_MAX).for_each(|microbatch| alone.report(1, failed(0, microbatch)));
    assert!(alone.view().member_on(node(1)).is_some());
    assert_eq!(alone.status(), &JobStatus::Running);
}

#[test]
fn one_that_reports_many_failures_leaves_room_for_those_of_others() {
    let mut cluster = Cluster::running(2, plan());
    cluster.is_council_stuck = true;
    (0..1_000).for_each(|microbatch| cluster.report(1, failed(0, 7 + microbatch)));
    cluster.report(2, failed(0, 6));
    let pending = &cluster.coordinator.reports.as_ref().unwrap().failures;
    let of = |number: u8| pending.keys().filter(|(_, _, of)| *of == node(number)).count();
    assert_eq!((of(1), of(2)), (super::super::limits::FAILURES_PENDING_OF_ONE_MAX, 1));
}
