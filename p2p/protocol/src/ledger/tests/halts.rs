//! Pauses, halts, refusals, evaluations, imported states.

use super::super::testing::*;
use super::super::*;
use super::{ledger, refused, running};
use crate::ids::{Epoch, Incarnation, JobId};
use crate::view::{Origin, View};
use crate::wire::control::EvaluationTotals;

fn pause(job: u8) -> LedgerCommand {
    LedgerCommand::PauseJob { job: job_id(job), by: node(2) }
}

fn resume(job: u8) -> LedgerCommand {
    LedgerCommand::ResumeJob { job: job_id(job), by: node(3) }
}

fn halting(epoch: u64) -> View {
    View { halt: true, ..view(epoch, 1, vec![member(1, 1, 1), member(2, 1, 1)], 0) }
}

fn commit_halt(epoch: u64, step: u64) -> LedgerCommand {
    LedgerCommand::CommitHalt { job: job_id(1), epoch: Epoch(epoch), step, chain: chain(step) }
}

fn record(step: u64, holders: &[u8]) -> LedgerCommand {
    LedgerCommand::RecordCheckpoint { job: job_id(1), entry: checkpoint(step, holders) }
}

fn halt_refused(ledger: &mut Ledger, command: LedgerCommand) {
    assert!(matches!(refused(ledger, command), Rejected::HaltRefused { .. }));
}

#[test]
fn a_job_loses_its_view_only_when_its_last_step_is_on_record() {
    let mut ledger = running();
    ledger.apply_command(10, pause(1)).unwrap();
    ledger.apply_command(11, pause(1)).unwrap();
    assert_eq!(ledger.jobs[&job_id(1)].pausing, Some(node(2)));
    halt_refused(&mut ledger, commit_halt(1, 0));
    ledger.apply_command(12, commit(halting(2))).unwrap();
    halt_refused(&mut ledger, commit_halt(1, 0));
    halt_refused(&mut ledger, commit_halt(2, 5));
    ledger.apply_command(13, commit_steps(0, 5, 2)).unwrap();
    halt_refused(&mut ledger, commit_halt(2, 5));
    ledger.apply_command(14, commit_steps(5, 6, 2)).unwrap();
    ledger.apply_command(15, record(5, &[1])).unwrap();
    halt_refused(&mut ledger, commit_halt(2, 6));
    ledger.apply_command(16, record(6, &[2])).unwrap();
    ledger.apply_command(17, commit_halt(2, 6)).unwrap();
    let job = &ledger.jobs[&job_id(1)];
    assert_eq!((&job.status, job.view.is_none()), (&JobStatus::Paused { by: node(2) }, true));
    assert_eq!((job.pausing, job.synced.len(), job.view_changes.len()), (None, 0, 2));
    assert!(!job.has_ended() && ledger.running_job().is_none());
    // Not before somebody resumes it.
    let again = || View {
        incarnation: Incarnation(2),
        origin: Origin::Checkpoint { step: 6, chain: chain(6), digest: digest(6) },
        ..view(3, 3, vec![member(2, 1, 3)], 0)
    };
    assert_eq!(refused(&mut ledger, commit(again())), Rejected::JobNotRunning { job: job_id(1) });
    ledger.apply_command(18, resume(1)).unwrap();
    for wrong in [
        View { epoch: Epoch(1), founding_epoch: Epoch(1), members: vec![member(2, 1, 1)], ..again() },
        View { incarnation: Incarnation(1), ..again() },
        View { origin: Origin::Seed, ..again() },
        View { halt: true, ..again() },
    ] {
        refused(&mut ledger, commit(wrong));
    }
    ledger.apply_command(19, commit(again())).unwrap();
    let job = &ledger.jobs[&job_id(1)];
    assert_eq!((job.epochs, job.committed_to(), job.order), (3, (6, chain(6)), 1));
}

#[test]
fn a_halt_that_nobody_asked_for_puts_the_job_back_into_the_queue() {
    let mut ledger = running();
    ledger.apply_command(10, commit(halting(2))).unwrap();
    ledger.apply_command(11, commit_halt(2, 0)).unwrap();
    assert_eq!(ledger.jobs[&job_id(1)].status, JobStatus::Queued);
    assert!(ledger.jobs[&job_id(1)].has_run());
    let refuse = LedgerCommand::RefuseJob { job: job_id(1), by: node(3), reason: "no data".to_owned() };
    assert_eq!(refused(&mut ledger, refuse), Rejected::JobHasRun { job: job_id(1) });
    let live = [node(1)].into();
    assert_eq!(ledger.startable_jobs(&live).next().map(|job| job.id), Some(job_id(1)));
}

#[test]
fn a_view_that_halts_admits_nobody_and_a_pause_taken_back_leaves_no_mark() {
    let mut ledger = running();
    let admits = View { halt: true, ..view(2, 1, vec![member(1, 1, 1), member(3, 1, 2)], 0) };
    assert!(matches!(refused(&mut ledger, commit(admits)), Rejected::ViewMalformed { .. }));
    ledger.apply_command(10, pause(1)).unwrap();
    ledger.apply_command(11, commit(halting(2))).unwrap();
    ledger.apply_command(12, resume(1)).unwrap();
    assert_eq!(ledger.jobs[&job_id(1)].pausing, None);
    ledger.apply_command(13, pause(1)).unwrap();
    ledger.apply_command(14, LedgerCommand::CancelJob { job: job_id(1), by: node(1) }).unwrap();
    assert_eq!(ledger.jobs[&job_id(1)].pausing, None);
    for command in [pause(1), resume(1)] {
        assert_eq!(refused(&mut ledger, command), Rejected::JobEnded { job: job_id(1) });
    }
    assert_eq!(refused(&mut ledger, pause(9)), Rejected::JobUnknown { job: job_id(9) });
}

#[test]
fn a_paused_job_counts_as_open_and_a_refused_one_as_ended() {
    let mut ledger = ledger();
    ledger.apply_command(5, pause(1)).unwrap();
    let all = [node(1)].into();
    assert!(ledger.startable_jobs(&all).next().is_none() && !ledger.jobs[&job_id(1)].has_ended());
    assert_eq!(ledger.job_queue_reason(job_id(1), &all), None);
    ledger.apply_command(6, resume(1)).unwrap();
    assert_eq!(ledger.startable_jobs(&all).count(), 1);
    let reason = "r".repeat(9000);
    let refuse = LedgerCommand::RefuseJob { job: job_id(1), by: node(3), reason };
    ledger.apply_command(7, refuse.clone()).unwrap();
    let JobStatus::Refused { by, reason } = &ledger.jobs[&job_id(1)].status else { panic!() };
    assert_eq!((*by, reason.len()), (node(3), limits::REASON_BYTES_MAX));
    assert_eq!(refused(&mut ledger, refuse), Rejected::JobEnded { job: job_id(1) });
}

fn evaluate(step: u64) -> LedgerCommand {
    let totals = EvaluationTotals { correct: step, total: 1000, loss: 0.5 };
    LedgerCommand::RecordEvaluation { job: job_id(1), step, totals }
}

#[test]
fn evaluations_are_of_committed_steps_and_thinned_so_that_the_course_stays() {
    let mut ledger = running();
    assert_eq!(refused(&mut ledger, evaluate(1)), Rejected::EvaluationRefused { step: 1 });
    let job = ledger.jobs.get_mut(&job_id(1)).unwrap();
    job.plan.steps = 10_000;
    ledger.apply_command(10, commit_steps(0, 5_000, 1)).unwrap();
    for step in 1..=5_000 {
        ledger.apply_command(11, evaluate(step)).unwrap();
        let entries = &ledger.jobs[&job_id(1)].evaluations;
        assert!(entries.len() <= limits::EVALUATIONS_MAX);
        assert_eq!((entries[0].step, entries.last().unwrap().step), (1, step));
        assert!(entries.windows(2).all(|pair| pair[0].step < pair[1].step));
    }
    let entries = &ledger.jobs[&job_id(1)].evaluations;
    assert_eq!(entries.len(), limits::EVALUATIONS_MAX);
    let widest = entries.windows(2).map(|pair| pair[1].step - pair[0].step).max().unwrap();
    assert!(widest <= 3 * 5_000 / limits::EVALUATIONS_MAX as u64, "a gap of {widest} steps");
    assert_eq!(refused(&mut ledger, evaluate(4_999)), Rejected::EvaluationRefused { step: 4_999 });
    ledger.apply_command(12, evaluate(5_000)).unwrap();
    // A lineage from before takes them back.
    ledger.apply_command(13, record(2_000, &[1])).unwrap();
    let origin = Origin::Checkpoint { step: 2_000, chain: chain(2_000), digest: digest(2_000) };
    let view = View { incarnation: Incarnation(2), origin, ..view(2, 2, vec![member(1, 1, 2)], 0) };
    ledger.apply_command(14, commit(view)).unwrap();
    assert!(ledger.jobs[&job_id(1)].evaluations.last().unwrap().step <= 2_000);
}

#[test]
fn an_imported_state_is_that_of_step_0_on_the_submitting_node_and_is_never_replaced_by_the_seed() {
    let mut ledger = ledger();
    let import = |entry: CheckpointEntry| {
        let mut command = submit(2, plan());
        if let LedgerCommand::SubmitJob { initial, by, .. } = &mut command {
            (*initial, *by) = (Some(entry), node(2));
        }
        command
    };
    for wrong in [
        checkpoint(1, &[2]),
        CheckpointEntry { chain: chain(3), ..checkpoint(0, &[2]) },
        checkpoint(0, &[1]),
        checkpoint(0, &[1, 2]),
        checkpoint(0, &[]),
    ] {
        assert!(matches!(refused(&mut ledger, import(wrong)), Rejected::InitialRefused { .. }));
    }
    ledger.apply_command(5, import(checkpoint(0, &[2]))).unwrap();
    ledger.apply_command(6, import(checkpoint(0, &[2]))).unwrap();
    assert_eq!(refused(&mut ledger, submit(2, plan())), Rejected::JobIdTaken { job: job_id(2) });
    let reason = ledger.job_queue_reason(job_id(2), &[node(1)].into()).unwrap();
    assert!(reason.contains(&format!("checkpoint of step 0 ({})", node(2).friendly_name())), "{reason}");
    ledger.apply_command(7, LedgerCommand::CancelJob { job: job_id(1), by: node(1) }).unwrap();
    let first = |origin, number| View { job: job_id(2), origin, ..view(1, 1, vec![member(number, 1, 1)], 0) };
    let imported = Origin::Checkpoint { step: 0, chain: chain(0), digest: digest(0) };
    for wrong in [first(Origin::Seed, 2), first(imported, 1)] {
        assert!(matches!(refused(&mut ledger, commit(wrong)), Rejected::ViewMalformed { .. }));
    }
    let hold =
        |holders: &[u8]| LedgerCommand::RecordCheckpoint { job: job_id(2), entry: checkpoint(0, holders) };
    // Also while the job waits: who holds it alone is not to be missed.
    ledger.apply_command(8, hold(&[3])).unwrap();
    ledger.apply_command(9, commit(first(imported, 2))).unwrap();
    assert_eq!(ledger.held_alone(node(2)), []);
    ledger.apply_command(10, LedgerCommand::ForgetNode { node: node(3) }).unwrap();
    assert_eq!(ledger.held_alone(node(2)), [(job_id(2), 0)]);
    let drop = LedgerCommand::DropCheckpoint { job: job_id(2), step: 0, holder: None };
    ledger.apply_command(11, drop).unwrap();
    let job = &ledger.jobs[&job_id(2)];
    assert!(job.initial.as_ref().unwrap().holders.is_empty() && job.checkpoints.is_empty());
    // The seed of a job that was not imported is on no disk.
    let seeded = LedgerCommand::RecordCheckpoint { job: job_id(1), entry: checkpoint(0, &[1]) };
    assert!(matches!(refused(&mut ledger, seeded), Rejected::CheckpointRefused { .. }));
}

#[test]
fn no_job_starts_beyond_the_limit_of_those_that_wait_to_go_on() {
    let mut ledger = ledger();
    for number in 1..=limits::STARTED_JOBS_MAX as u8 + 1 {
        let id = JobId([number; 8]);
        ledger.apply_command(5, submit(number, plan())).unwrap();
        let first = View { job: id, ..view(1, 1, vec![member(1, 1, 1)], 0) };
        if usize::from(number) > limits::STARTED_JOBS_MAX {
            assert!(matches!(refused(&mut ledger, commit(first)), Rejected::LimitReached { .. }));
            let reason = ledger.job_queue_reason(id, &[node(1)].into()).unwrap();
            assert!(reason.contains("64 jobs"), "{reason}");
            return;
        }
        ledger.apply_command(6, commit(first)).unwrap();
        ledger.apply_command(7, LedgerCommand::PauseJob { job: id, by: node(1) }).unwrap();
        let halt = View { job: id, halt: true, ..view(2, 1, vec![member(1, 1, 1)], 0) };
        ledger.apply_command(8, commit(halt)).unwrap();
        let (epoch, step, chain) = (Epoch(2), 0, chain(0));
        ledger.apply_command(9, LedgerCommand::CommitHalt { job: id, epoch, step, chain }).unwrap();
    }
    panic!("the limit was not reached");
}
