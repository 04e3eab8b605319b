//! A job that is paused stops at the border of a step, with its state on record, and goes on from there.

use super::cluster::{Cluster, failed, finished, fresh_coordinator, halted, name, written};
use crate::coordinator::CoordinatorInput;
use crate::coordinator::limits::{
    CHECKPOINT_BATCH_MS, FAILURE_BATCH_MS, HALT_HOLDERS_MS, JOIN_BATCH_MS, PROGRESS_INTERVAL_MS,
    RESUME_ORIGIN_GRACE_MS,
};
use crate::ids::{Epoch, Incarnation};
use crate::ledger::testing::{chain, checkpoint, digest, job_id, node, plan, submit};
use crate::ledger::{JobPlan, JobStatus, LedgerCommand};
use crate::view::Origin;
use crate::wire::control::ReportEvent;

fn origin(step: u64) -> Origin {
    Origin::Checkpoint { step, chain: chain(step), digest: digest(step) }
}

/// Job 1 on nodes 1 to `nodes`, paused after step 7.
fn paused(nodes: u8) -> Cluster {
    let mut cluster = Cluster::running(nodes, plan());
    for step in 1..=7 {
        cluster.all_apply(step);
    }
    cluster.pause();
    cluster.all_halt(7);
    assert_eq!(cluster.status(), &JobStatus::Paused { by: node(2) });
    cluster
}

#[test]
fn a_pause_halts_where_everyone_is_and_keeps_the_state() {
    let mut cluster = Cluster::running(3, plan());
    for step in 1..=7 {
        cluster.all_apply(step);
    }
    let (leases, owners) = (cluster.view().leases.clone(), cluster.view().owners.clone());
    cluster.pause();
    assert!(cluster.view().halt && cluster.reason() == format!("paused on {}", name(2)));
    assert_eq!((&cluster.view().leases, &cluster.view().owners), (&leases, &owners));
    cluster.all_apply(8);
    cluster.report(1, halted(8));
    cluster.report(2, halted(8));
    cluster.report(1, written(8));
    assert!(cluster.why().contains(&format!("waits for {} to halt", name(3))), "{}", cluster.why());
    cluster.report(3, halted(8));
    cluster.pass_ms(CHECKPOINT_BATCH_MS);
    assert_eq!(cluster.status(), &JobStatus::Running, "the others write it too");
    assert!(cluster.why().contains("to write the checkpoint of step 8"), "{}", cluster.why());
    cluster.report(2, written(8));
    cluster.report(3, written(8));
    cluster.pass_ms(CHECKPOINT_BATCH_MS);
    let job = cluster.job();
    assert_eq!(job.status, JobStatus::Paused { by: node(2) });
    assert_eq!((job.view.as_ref(), job.pausing, job.epochs, job.synced.len()), (None, None, 2, 0));
    assert_eq!((job.committed_to(), &job.checkpoints), ((8, chain(8)), &vec![checkpoint(8, &[1, 2, 3])]));
    assert_eq!(cluster.progress().last().unwrap().stable_step, 8);
    assert_eq!(cluster.why(), format!("was paused on {}", name(2)));
    // Nothing starts it but a person.
    cluster.join(4, 1);
    cluster.pass_ms(60_000);
    assert!(!cluster.job().has_ended() && cluster.job().view.is_none());
}

#[test]
fn a_resumed_job_goes_on_from_its_last_step_on_the_nodes_that_hold_it() {
    let mut cluster = paused(3);
    cluster.join(4, 1);
    cluster.resume();
    assert_eq!(cluster.members(), [(1, 1, 3), (2, 1, 3), (3, 1, 3)]);
    let view = cluster.view();
    assert_eq!((view.incarnation, view.epoch, view.halt), (Incarnation(2), Epoch(3), false));
    assert_eq!(view.origin, origin(7));
    assert_eq!(cluster.reason(), "goes on from the checkpoint of step 7 on 3 of 4 nodes");
    cluster.pass_ms(JOIN_BATCH_MS);
    assert_eq!(cluster.members()[3], (4, 1, 4));
    cluster.sync(4, 7);
    cluster.all_apply(8);
    cluster.pass_ms(PROGRESS_INTERVAL_MS);
    let progress = cluster.coordinator.progress(job_id(1)).unwrap();
    assert_eq!((progress.stable_step, progress.points.len()), (8, 8), "the past is not forgotten");
}

#[test]
fn a_job_that_had_not_done_a_step_pauses_and_starts_over_and_an_imported_one_from_what_was_imported() {
    for imported in [None, Some(checkpoint(0, &[2]))] {
        let mut cluster = Cluster::new(3);
        let mut command = submit(1, plan());
        if let LedgerCommand::SubmitJob { initial, by, .. } = &mut command {
            (*initial, *by) = (imported.clone(), node(2));
        }
        cluster.apply(command);
        let (start, founders) = match imported {
            None => (Origin::Seed, vec![1, 2, 3]),
            Some(_) => (origin(0), vec![2]),
        };
        let founders_at = |epoch| founders.iter().map(|n| (*n, 1, epoch)).collect::<Vec<_>>();
        assert_eq!((cluster.view().origin, cluster.members()), (start, founders_at(1)));
        assert_eq!(imported.is_some(), cluster.reason().contains("from the imported state"));
        cluster.pause();
        for number in &founders {
            cluster.report(*number, halted(0));
        }
        assert_eq!(cluster.status(), &JobStatus::Paused { by: node(2) });
        cluster.resume();
        assert_eq!((cluster.view().origin, cluster.members()), (start, founders_at(3)));
        // Who fetched the imported state may keep it for others.
        cluster.report(founders[0], written(0));
        cluster.pass_ms(CHECKPOINT_BATCH_MS);
        assert!(cluster.job().checkpoints.is_empty());
        if imported.is_some() {
            cluster.pass_ms(JOIN_BATCH_MS);
            cluster.sync(1, 0);
            cluster.report(1, written(0));
            cluster.pass_ms(CHECKPOINT_BATCH_MS);
            assert_eq!(cluster.job().initial.as_ref().unwrap().holders, checkpoint(0, &[1, 2]).holders);
        }
    }
}

#[test]
fn a_job_in_the_queue_is_taken_out_and_put_back_at_its_place() {
    let mut cluster = Cluster::running(2, plan());
    for number in [2, 3] {
        cluster.apply(submit(number, plan()));
    }
    cluster.apply(LedgerCommand::PauseJob { job: job_id(2), by: node(1) });
    assert_eq!(cluster.ledger.jobs[&job_id(2)].status, JobStatus::Paused { by: node(1) });
    assert!(!cluster.view().halt);
    cluster.pause();
    cluster.all_apply(1);
    cluster.all_halt(1);
    let running = |cluster: &Cluster| cluster.ledger.running_job().map(|job| job.id);
    assert_eq!(running(&cluster), Some(job_id(3)), "the next one starts meanwhile");
    cluster.resume();
    cluster.apply(LedgerCommand::ResumeJob { job: job_id(2), by: node(1) });
    assert_eq!(running(&cluster), Some(job_id(3)));
    cluster.apply(LedgerCommand::CancelJob { job: job_id(3), by: node(1) });
    assert_eq!(running(&cluster), Some(job_id(1)), "the older one first");
    assert_eq!(cluster.view().origin, origin(1));
}

#[test]
fn a_pause_that_is_taken_back_leaves_no_trace_but_two_views() {
    let mut cluster = Cluster::running(2, plan());
    cluster.all_apply(1);
    cluster.pause();
    cluster.report(1, halted(1));
    cluster.resume();
    let view = cluster.view();
    assert_eq!((view.epoch, view.halt, view.incarnation), (Epoch(3), false, Incarnation(1)));
    assert!(cluster.reason().starts_with("goes on"), "{}", cluster.reason());
    // Words of the view that halted count for nothing in the next one.
    cluster.pause();
    cluster.report_in(Epoch(2), 1, halted(1));
    cluster.report(2, halted(1));
    cluster.all_write(1);
    cluster.pass_ms(HALT_HOLDERS_MS);
    assert_eq!((cluster.status(), cluster.view().epoch), (&JobStatus::Running, Epoch(4)));
    cluster.report(1, halted(1));
    assert_eq!(cluster.status(), &JobStatus::Paused { by: node(2) });
}

#[test]
fn who_dies_while_halting_is_left_out_and_nobody_joins() {
    let mut cluster = Cluster::running(3, plan());
    cluster.all_apply(1);
    cluster.pause();
    cluster.report(1, halted(1));
    cluster.join(4, 1);
    cluster.pass_ms(2 * JOIN_BATCH_MS);
    assert_eq!(cluster.view().epoch, Epoch(2));
    cluster.lose(3, 1, true);
    assert_eq!((cluster.members(), cluster.view().halt), (vec![(1, 1, 1), (2, 1, 1)], true));
    cluster.all_halt(1);
    assert_eq!(cluster.status(), &JobStatus::Paused { by: node(2) });
    assert_eq!(cluster.job().checkpoints, [checkpoint(1, &[1, 2])]);
}

#[test]
fn a_holder_that_never_writes_is_waited_for_a_while() {
    let mut cluster = Cluster::running(2, plan());
    cluster.all_apply(1);
    cluster.pause();
    cluster.report(1, halted(1));
    cluster.report(2, halted(1));
    cluster.pass_ms(60_000);
    assert_eq!(cluster.status(), &JobStatus::Running, "somebody has to hold it");
    assert!(cluster.why().contains("waits for a checkpoint of step 1"), "{}", cluster.why());
    cluster.report(2, written(1));
    cluster.pass_ms(CHECKPOINT_BATCH_MS + HALT_HOLDERS_MS - 1);
    assert_eq!(cluster.status(), &JobStatus::Running);
    cluster.pass_ms(1);
    assert_eq!(cluster.status(), &JobStatus::Paused { by: node(2) });
    // It is resumed where it is held.
    cluster.lose(2, 1, true);
    cluster.resume();
    assert_eq!(cluster.status(), &JobStatus::Queued);
    assert_eq!(cluster.why(), format!("waits for a holder of the checkpoint of step 1 ({})", name(2)));
    cluster.join(2, 2);
    assert_eq!(cluster.members(), [(2, 2, 3)]);
}

#[test]
fn an_older_checkpoint_is_taken_for_a_resumed_job_only_after_a_long_wait() {
    let mut cluster = paused(2);
    let older = checkpoint(5, &[1]);
    cluster.ledger.jobs.get_mut(&job_id(1)).unwrap().checkpoints.insert(0, older);
    cluster.apply(LedgerCommand::DropCheckpoint { job: job_id(1), step: 7, holder: Some(node(1)) });
    cluster.lose(2, 1, true);
    cluster.resume();
    cluster.pass_ms(RESUME_ORIGIN_GRACE_MS - 1);
    assert_eq!(cluster.status(), &JobStatus::Queued);
    assert!(cluster.why().contains("checkpoint of step 7") && cluster.why().contains("at most"));
    cluster.pass_ms(1);
    assert_eq!((cluster.view().origin, cluster.members()), (origin(5), vec![(1, 1, 3)]));
    assert!(cluster.reason().contains("steps 5 to 7 are done again"), "{}", cluster.reason());
}

#[test]
fn a_job_whose_last_step_is_in_progress_finishes_instead() {
    let mut cluster = Cluster::running(2, JobPlan { steps: 3, ..plan() });
    for step in 1..=2 {
        cluster.all_apply(step);
    }
    cluster.pause();
    cluster.all_apply(3);
    cluster.all_halt(3);
    cluster.pass_ms(HALT_HOLDERS_MS);
    assert_eq!(cluster.status(), &JobStatus::Running);
    cluster.report(1, finished(3));
    cluster.report(2, finished(3));
    assert_eq!((cluster.status(), cluster.job().pausing), (&JobStatus::Done, None));
}

#[test]
fn members_that_halt_in_different_states_fail_the_job_and_are_named() {
    let mut cluster = Cluster::running(2, plan());
    cluster.all_apply(1);
    cluster.pause();
    cluster.report(1, halted(1));
    cluster.report(2, ReportEvent::Halted { step: 1, chain: chain(1), digest: digest(9) });
    let JobStatus::Failed { reason } = cluster.status() else { panic!("{:?}", cluster.status()) };
    for part in [name(1), name(2), digest(1).short(), digest(9).short()] {
        assert!(reason.contains(&part), "{part} is not in {reason}");
    }
}

#[test]
fn a_microbatch_that_fails_while_halting_goes_to_another_in_another_view_that_halts() {
    let mut cluster = Cluster::running(2, plan());
    cluster.all_apply(1);
    cluster.pause();
    cluster.report(1, failed(1, 3));
    cluster.pass_ms(FAILURE_BATCH_MS);
    assert!(cluster.view().halt);
    assert_eq!((cluster.view().lease_holder(3), cluster.view().epoch), (Some(node(2)), Epoch(3)));
}

#[test]
fn when_all_die_while_halting_the_job_comes_back_to_be_paused() {
    let mut cluster = paused(2);
    cluster.resume();
    cluster.all_apply(8);
    cluster.pause();
    cluster.coordinator = fresh_coordinator(1, 2);
    cluster.input(CoordinatorInput::Elected { term: 2 });
    cluster.join(2, 2);
    assert_eq!((cluster.view().incarnation, cluster.view().origin), (Incarnation(3), origin(7)));
    assert!(cluster.view().halt, "founded, and halted at once");
    cluster.all_halt(7);
    assert_eq!(cluster.status(), &JobStatus::Paused { by: node(2) });
}

#[test]
fn a_job_can_be_cancelled_wherever_it_stands() {
    for stage in 0..4 {
        let mut cluster = if stage < 2 { Cluster::running(2, plan()) } else { paused(2) };
        if stage == 1 {
            cluster.pause();
        }
        if stage == 3 {
            cluster.lose(2, 1, true);
            cluster.apply(LedgerCommand::DrainNode {
                node: node(1),
                by: node(1),
                reason: String::new(),
                until: crate::ledger::DrainUntil::Undrain,
            });
            cluster.resume();
            assert_eq!(cluster.status(), &JobStatus::Queued);
        }
        cluster.apply(LedgerCommand::CancelJob { job: job_id(1), by: node(1) });
        assert_eq!(cluster.status(), &JobStatus::Cancelled { by: node(1) });
        assert_eq!(cluster.job().pausing, None);
        let proposals = cluster.applied.len();
        cluster.pass_ms(10_000);
        assert_eq!(cluster.applied.len(), proposals, "{stage}");
    }
}
