//! The queue, reports, progress, checkpoints and the end of a job.

use super::cluster::{Cluster, applied, finished, fresh_coordinator, point, written};
use crate::coordinator::CoordinatorInput;
use crate::coordinator::limits::{
    CHECKPOINT_BATCH_MS, COMMIT_DELAY_MS, FINAL_CHECKPOINT_WAIT_MS, FINAL_COPIES_WAIT_MS, JOIN_BATCH_MS,
    PROGRESS_INTERVAL_MS,
};
use crate::ids::{Boot, Epoch};
use crate::ledger::testing::{chain, checkpoint, digest, job_id, manifest, node, plan, submit};
use crate::ledger::{JobPlan, JobStatus, LedgerCommand};
use crate::wire::control::{EvaluationTotals, ReportEvent, WorkCounters};

fn short() -> JobPlan {
    JobPlan { steps: 3, ..plan() }
}

fn commits(cluster: &Cluster) -> usize {
    cluster.applied.iter().filter(|command| matches!(command, LedgerCommand::CommitSteps { .. })).count()
}

#[test]
fn jobs_start_with_enough_nodes_one_after_the_other() {
    let mut cluster = Cluster::new(2);
    cluster.apply(submit(1, JobPlan { nodes_min: 3, ..short() }));
    assert_eq!(cluster.status(), &JobStatus::Queued);
    assert_eq!(cluster.why(), "waits for 3 nodes, 2 are here");
    cluster.join(3, 1);
    assert_eq!(cluster.members(), [(1, 1, 1), (2, 1, 1), (3, 1, 1)]);
    assert_eq!(cluster.reason(), "started on 3 of 3 nodes");
    cluster.apply(submit(2, short()));
    let why = cluster.coordinator.why(cluster.now, &cluster.ledger, job_id(2));
    assert!(why[0].what.starts_with("waits for job job-1"), "{why:?}");
    cluster.apply(LedgerCommand::CancelJob { job: job_id(1), by: node(2) });
    assert_eq!(cluster.ledger.jobs[&job_id(2)].status, JobStatus::Running);
    assert_eq!(cluster.why(), format!("was cancelled on {}", super::cluster::name(2)));
}

#[test]
fn stable_is_what_all_members_of_the_newest_view_applied_in_it() {
    let mut cluster = Cluster::running(3, plan());
    cluster.apply_step(1, 1);
    cluster.apply_step(2, 1);
    cluster.pass_ms(PROGRESS_INTERVAL_MS);
    assert_eq!(cluster.coordinator.progress(job_id(1)).unwrap().stable_step, 0);
    assert!(
        cluster.why().contains(&format!("step 1 waits for {}", super::cluster::name(3))),
        "{}",
        cluster.why()
    );
    cluster.apply_step(3, 1);
    cluster.pass_ms(PROGRESS_INTERVAL_MS);
    let progress = cluster.coordinator.progress(job_id(1)).unwrap();
    assert_eq!((progress.stable_step, progress.points.clone()), (1, vec![point(1)]));
    // Two say step 2 in this view, the third dies, the next view asks anew.
    cluster.apply_step(1, 2);
    cluster.lose(3, 1, true);
    cluster.report_in(Epoch(1), 2, applied(2));
    cluster.pass_ms(PROGRESS_INTERVAL_MS);
    assert_eq!(cluster.coordinator.progress(job_id(1)).unwrap().stable_step, 1);
    cluster.all_apply(3);
    cluster.pass_ms(PROGRESS_INTERVAL_MS);
    let progress = cluster.coordinator.progress(job_id(1)).unwrap();
    assert_eq!((progress.stable_step, progress.points.len(), progress.work.len()), (3, 3, 3));
    let dead = progress.work.iter().find(|(dead, _, _)| *dead == node(3)).unwrap();
    assert_eq!(dead.2.steps_applied, 1, "the dead keep their last word");
}

#[test]
fn reports_of_another_life_lineage_or_a_stranger_change_nothing() {
    let mut cluster = Cluster::running(2, plan());
    cluster.apply_step(1, 1);
    let view = cluster.view().clone();
    let report = |boot, incarnation, from| {
        let (job, epoch, event) = (view.job, view.epoch, applied(1));
        let report = crate::wire::control::Report { job, incarnation, epoch, boot: Boot(boot), event };
        CoordinatorInput::Report { from: node(from), report }
    };
    cluster.input(report(9, view.incarnation, 2));
    cluster.input(report(1, crate::ids::Incarnation(0), 2));
    cluster.input(report(1, view.incarnation, 7));
    cluster.pass_ms(PROGRESS_INTERVAL_MS);
    assert_eq!(cluster.coordinator.progress(job_id(1)).unwrap().stable_step, 0);
    cluster.input(report(1, view.incarnation, 2));
    cluster.pass_ms(PROGRESS_INTERVAL_MS);
    assert_eq!(cluster.coordinator.progress(job_id(1)).unwrap().stable_step, 1);
}

#[test]
fn a_report_on_a_view_that_the_ledger_does_not_show_yet_is_held() {
    let mut cluster = Cluster::running(2, plan());
    cluster.is_council_stuck = true;
    cluster.join(3, 1);
    cluster.unstick();
    cluster.is_council_stuck = true;
    cluster.pass_ms(JOIN_BATCH_MS);
    cluster.report_in(Epoch(2), 3, ReportEvent::Synced { step: 0, chain: chain(0) });
    assert_eq!(cluster.synced().len(), 2);
    cluster.unstick();
    assert_eq!(cluster.synced().len(), 3);
    assert_eq!(cluster.lease(3).len(), 4);
}

#[test]
fn members_that_diverge_are_named_and_nothing_is_stable_any_more() {
    let mut cluster = Cluster::running(2, plan());
    cluster.apply_step(1, 1);
    let work = WorkCounters::default();
    cluster.report(
        2,
        ReportEvent::Applied { step: 1, chain: chain(77), point: Some(point(1)), sample: None, work },
    );
    cluster.report(2, applied(1));
    cluster.pass_ms(PROGRESS_INTERVAL_MS);
    assert_eq!(cluster.coordinator.progress(job_id(1)).unwrap().stable_step, 0);
    assert!(cluster.why().contains("members diverged after step 1"), "{}", cluster.why());
}

#[test]
fn progress_is_told_a_few_times_a_second_and_at_once_at_the_end() {
    let mut cluster = Cluster::running(1, plan());
    cluster.pass_ms(1_000);
    cluster.out.clear();
    for step in 1..=100 {
        cluster.all_apply(step);
        cluster.pass_ms(10);
    }
    assert!((5..=6).contains(&cluster.progress().len()), "{}", cluster.progress().len());
    cluster.report(1, written(100));
    cluster.out.clear();
    cluster.report(1, finished(100));
    assert_eq!(cluster.progress().len(), 1);
    assert_eq!(cluster.progress()[0].stable_step, 100);
    cluster.pass_ms(10_000);
    assert_eq!(cluster.progress().len(), 1, "an ended job is silent");
}

/// Where checkpoints are rare, a coordinator that dies would leave what is stable to whatever view comes next.
#[test]
fn stable_steps_get_into_the_ledger_in_time_with_the_view_that_did_them() {
    let mut cluster = Cluster::running(2, plan());
    let mut told = Vec::new();
    for step in 1..=9 {
        cluster.all_apply(step);
        cluster.pass_ms(COMMIT_DELAY_MS / 4);
        told.push(cluster.job().committed_to().0);
    }
    assert_eq!(told, [0, 0, 0, 4, 4, 4, 4, 8, 8], "not with each step");
    cluster.pass_ms(COMMIT_DELAY_MS);
    assert_eq!((cluster.job().committed_to().0, commits(&cluster)), (9, 3));
    cluster.pass_ms(3 * COMMIT_DELAY_MS);
    assert_eq!(commits(&cluster), 3, "nothing new");
}

#[test]
fn checkpoints_are_recorded_for_many_holders_at_once_and_only_of_stable_states() {
    let mut cluster = Cluster::running(3, plan());
    for step in 1..=9 {
        cluster.all_apply(step);
    }
    cluster.apply_step(1, 10);
    cluster.report(1, written(10));
    cluster.pass_ms(2 * CHECKPOINT_BATCH_MS);
    assert!(cluster.job().checkpoints.is_empty() && commits(&cluster) == 0);
    cluster.apply_step(2, 10);
    cluster.apply_step(3, 10);
    assert_eq!(cluster.job().checkpoints, [checkpoint(10, &[1])], "stable now, and the time is over");
    cluster.report(2, written(10));
    cluster.report(3, written(10));
    cluster.pass_ms(CHECKPOINT_BATCH_MS);
    assert_eq!(cluster.job().checkpoints, [checkpoint(10, &[1, 2, 3])]);
    assert_eq!(cluster.job().committed_to(), (10, chain(10)));
    // Written by all at about the same time: one command.
    for step in 11..=20 {
        cluster.all_apply(step);
    }
    cluster.applied.clear();
    cluster.all_write(20);
    let records = cluster.applied.iter().filter(|c| matches!(c, LedgerCommand::RecordCheckpoint { .. }));
    assert_eq!((records.count(), commits(&cluster)), (1, 1));
    // A checkpoint of a state that was never stable.
    let (wrong, bytes) = (digest(5), 1000);
    cluster.report(
        1,
        ReportEvent::CheckpointWritten {
            step: 20,
            chain: chain(5),
            digest: wrong,
            manifest: manifest(20),
            bytes,
        },
    );
    cluster.pass_ms(CHECKPOINT_BATCH_MS);
    assert_eq!(cluster.job().checkpoints, [checkpoint(10, &[1, 2, 3]), checkpoint(20, &[1, 2, 3])]);
}

#[test]
fn a_job_is_done_when_all_members_agree_on_its_end() {
    let mut cluster = Cluster::running(3, short());
    for step in 1..=3 {
        cluster.all_apply(step);
    }
    cluster.report(1, written(3));
    cluster.report(1, finished(3));
    cluster.report(2, finished(3));
    assert_eq!(cluster.status(), &JobStatus::Running);
    assert!(cluster.why().contains("waits for the final state of"), "{}", cluster.why());
    // Nobody joins now, and a member that dies here is not waited for.
    cluster.join(4, 1);
    cluster.pass_ms(1_000);
    assert_eq!(cluster.view().epoch, Epoch(1));
    cluster.lose(3, 1, true);
    assert!(cluster.why().contains("to write the final state too"), "{}", cluster.why());
    cluster.pass_ms(FINAL_COPIES_WAIT_MS);
    assert_eq!(cluster.status(), &JobStatus::Done);
    let result = cluster.job().result.clone().unwrap();
    assert_eq!((result.step, result.chain, result.digest), (3, chain(3), digest(3)));
    assert_eq!((result.loss, result.test_correct, result.test_total), (1.0 / 3.0, 290, 297));
    assert_eq!(cluster.job().committed_to(), (3, chain(3)));
    assert_eq!(cluster.progress().last().unwrap().stable_step, 3);
}

#[test]
fn a_checkpoint_with_another_digest_names_its_writer_and_is_not_proposed_again_and_again() {
    let mut cluster = Cluster::running(2, plan());
    for step in 1..=10 {
        cluster.all_apply(step);
    }
    cluster.report(
        1,
        ReportEvent::CheckpointWritten {
            step: 0,
            chain: chain(0),
            digest: digest(0),
            manifest: manifest(0),
            bytes: 9,
        },
    );
    cluster.report(1, written(10));
    cluster.pass_ms(CHECKPOINT_BATCH_MS);
    let event = ReportEvent::CheckpointWritten {
        step: 10,
        chain: chain(10),
        digest: digest(9),
        manifest: manifest(9),
        bytes: 1000,
    };
    cluster.report(2, event);
    cluster.pass_ms(10 * CHECKPOINT_BATCH_MS);
    assert_eq!(cluster.job().checkpoints, [checkpoint(10, &[1])]);
    let alarm = cluster.coordinator.alarm().unwrap();
    assert!(alarm.contains(&super::cluster::name(2)) && alarm.contains(&digest(9).short()), "{alarm}");
}

#[test]
fn an_end_that_contradicts_the_stable_chain_fails_the_job() {
    let mut cluster = Cluster::running(1, short());
    for step in 1..=3 {
        cluster.all_apply(step);
    }
    cluster.report(
        1,
        ReportEvent::Finished { step: 3, chain: chain(9), digest: digest(9), test_correct: 1, test_total: 2 },
    );
    assert!(matches!(cluster.status(), JobStatus::Failed { .. }), "{:?}", cluster.status());
}

#[test]
fn a_job_that_may_end_early_is_done_where_its_members_find_its_end() {
    let mut cluster = Cluster::running(2, JobPlan { may_end_early: true, steps: 30, ..plan() });
    cluster.all_apply(1);
    cluster.all_apply(2);
    cluster.report(1, finished(2));
    assert_eq!(cluster.status(), &JobStatus::Running, "the other has not finished yet");
    cluster.report(1, written(2));
    cluster.report(2, finished(2));
    cluster.pass_ms(FINAL_CHECKPOINT_WAIT_MS);
    assert_eq!(cluster.status(), &JobStatus::Done);
    assert_eq!(cluster.job().result.as_ref().unwrap().step, 2);

    // Without that permission the word of such an end is no end.
    let mut cluster = Cluster::running(1, JobPlan { steps: 30, ..plan() });
    cluster.all_apply(1);
    cluster.report(1, finished(1));
    cluster.pass_ms(FINAL_CHECKPOINT_WAIT_MS);
    assert_eq!(cluster.status(), &JobStatus::Running);
}

#[test]
fn different_ends_fail_the_job_and_say_who_has_what() {
    let mut cluster = Cluster::running(2, short());
    cluster.report(1, finished(3));
    let event =
        ReportEvent::Finished { step: 3, chain: chain(3), digest: digest(9), test_correct: 1, test_total: 2 };
    cluster.report(2, event);
    let JobStatus::Failed { reason } = cluster.status() else { panic!("{:?}", cluster.status()) };
    for part in [super::cluster::name(1), super::cluster::name(2), digest(3).short(), digest(9).short()] {
        assert!(reason.contains(&part), "{part} is not in {reason}");
    }
}

#[test]
fn a_new_coordinator_goes_on_from_the_ledger_and_what_members_say_again() {
    let mut cluster = Cluster::running(3, short());
    cluster.all_apply(1);
    cluster.all_apply(2);
    cluster.pass_ms(PROGRESS_INTERVAL_MS);
    let heard = cluster.progress().last().cloned().cloned().unwrap();
    // Node 2 takes over and node 1 dies.
    cluster.coordinator = fresh_coordinator(2, 1);
    cluster.connect(1, 1);
    cluster.connect(3, 1);
    cluster.input(CoordinatorInput::ProgressHeard { progress: heard });
    cluster.lose(1, 1, true);
    cluster.report(3, applied(2));
    assert_eq!(cluster.view().epoch, Epoch(1), "only the leader decides");
    cluster.input(CoordinatorInput::Elected { term: 2 });
    assert_eq!(cluster.members(), [(2, 1, 1), (3, 1, 1)]);
    assert_eq!(cluster.progress().last().unwrap().stable_step, 2, "what was told is not taken back");
    cluster.all_apply(3);
    cluster.report(2, written(3));
    cluster.report(2, finished(3));
    cluster.report(3, finished(3));
    cluster.report(3, written(3));
    assert_eq!(cluster.status(), &JobStatus::Done, "at once: who writes it has");
    let last = cluster.progress().last().cloned().cloned().unwrap();
    assert_eq!(last.points.len(), 3, "the losses of the former coordinator are not forgotten");
    assert_eq!(last.work.len(), 3);
    cluster.input(CoordinatorInput::Deposed);
    assert_eq!(cluster.coordinator.deadline(), None);
}

#[test]
fn a_former_deposed_coordinator_proposes_nothing() {
    let mut cluster = Cluster::running(3, short());
    cluster.input(CoordinatorInput::Deposed);
    cluster.lose(2, 1, true);
    cluster.pass_ms(10_000);
    assert_eq!(cluster.view().epoch, Epoch(1));
    cluster.input(CoordinatorInput::Elected { term: 3 });
    assert_eq!(cluster.view().epoch, Epoch(2));
}

fn evaluated(step: u64, correct: u64) -> ReportEvent {
    let totals = EvaluationTotals { correct, total: 100, loss: 0.5 };
    ReportEvent::Evaluated { step, chain: chain(step), totals }
}

#[test]
fn evaluations_are_recorded_once_their_step_is_stable_the_last_one_too() {
    let mut cluster = Cluster::running(2, short());
    let course = |cluster: &Cluster| -> Vec<(u64, u64)> {
        cluster.job().evaluations.iter().map(|entry| (entry.step, entry.totals.correct)).collect()
    };
    cluster.report(1, applied(1));
    cluster.report(1, evaluated(1, 60));
    cluster.pass_ms(1_000);
    assert!(course(&cluster).is_empty() && commits(&cluster) == 0);
    cluster.report(2, applied(1));
    assert_eq!((course(&cluster), commits(&cluster)), (vec![(1, 60)], 1));
    cluster.report(2, evaluated(1, 60));
    cluster.all_apply(2);
    cluster.report(1, evaluated(2, 61));
    assert_eq!(course(&cluster), [(1, 60), (2, 61)], "said after it was stable");
    cluster.report(1, applied(3));
    cluster.report(1, evaluated(3, 70));
    cluster.report(1, written(3));
    cluster.report(1, finished(3));
    cluster.is_council_stuck = true;
    cluster.report(2, applied(3));
    cluster.report(2, finished(3));
    cluster.unstick();
    cluster.report(2, written(3));
    assert_eq!((course(&cluster), cluster.status()), (vec![(1, 60), (2, 61), (3, 70)], &JobStatus::Done));
    assert_eq!(cluster.job().result.as_ref().unwrap().loss, 1.0 / 3.0);
    let records = cluster.applied.iter().filter(|c| matches!(c, LedgerCommand::RecordEvaluation { .. }));
    assert_eq!(records.count(), 3, "each once");
}

#[test]
fn a_job_ends_once_its_final_state_is_on_a_disk_or_nobody_could_write_it() {
    for is_written in [true, false] {
        let mut cluster = Cluster::running(2, short());
        (1..=3).for_each(|step| cluster.all_apply(step));
        cluster.report(1, finished(3));
        cluster.report(2, finished(3));
        cluster.pass_ms(FINAL_CHECKPOINT_WAIT_MS - 1);
        assert_eq!(cluster.status(), &JobStatus::Running);
        assert!(cluster.why().contains("final state to be written"), "{}", cluster.why());
        if is_written {
            cluster.report(2, written(3));
            assert_eq!(cluster.job().checkpoints.last(), Some(&checkpoint(3, &[2])));
        } else {
            cluster.pass_ms(1);
            assert!(cluster.job().checkpoints.is_empty());
        }
        assert_eq!(cluster.status(), &JobStatus::Done);
    }
}
