//! Pins, pruning, rules of retention, rollbacks, checkpoints by time.

use super::super::testing::*;
use super::super::*;
use super::{refused, running};
use crate::ids::{Epoch, Incarnation};
use crate::invariants;
use crate::view::{Origin, View};
use crate::wire::control::EvaluationTotals;

fn record(step: u64, holders: &[u8]) -> LedgerCommand {
    LedgerCommand::RecordCheckpoint { job: job_id(1), entry: checkpoint(step, holders) }
}

fn pin(step: u64, is_pinned: bool) -> LedgerCommand {
    LedgerCommand::PinCheckpoint { job: job_id(1), step, by: node(2), is_pinned }
}

fn prune(keep: u32) -> LedgerCommand {
    LedgerCommand::PruneCheckpoints { job: job_id(1), keep, by: node(2) }
}

fn roll_back(step: u64) -> LedgerCommand {
    LedgerCommand::RollBack { job: job_id(1), step, by: node(3) }
}

fn tested(step: u64, loss: f64, correct: u64) -> LedgerCommand {
    let totals = EvaluationTotals { correct, total: 100, loss };
    LedgerCommand::RecordEvaluation { job: job_id(1), step, totals }
}

fn steps(ledger: &Ledger) -> Vec<u64> {
    ledger.jobs[&job_id(1)].checkpoints.iter().map(|entry| entry.step).collect()
}

/// Job 1 runs by these rules, and 60 of its steps are committed.
fn running_by(rules: KeepRules) -> Ledger {
    let mut ledger = running();
    ledger.keeping.insert(job_id(1), Keeping { rules, ..Keeping::default() });
    ledger.apply_command(10, commit_steps(0, 60, 1)).unwrap();
    ledger
}

fn all(ledger: &mut Ledger, commands: impl IntoIterator<Item = LedgerCommand>) {
    for command in commands {
        ledger.apply_command(20, command).unwrap();
    }
}

#[test]
fn what_is_pinned_stays_until_it_is_unpinned_and_something_is_pruned() {
    let mut ledger = running_by(KeepRules::default());
    all(&mut ledger, [record(10, &[1]), pin(10, true), pin(10, true)]);
    all(&mut ledger, [20, 30, 40].map(|step| record(step, &[1, 2])));
    assert_eq!(steps(&ledger), [10, 30, 40], "the newest two, and the pinned one");
    let job = &ledger.jobs[&job_id(1)];
    let why = ledger.kept(job, None);
    assert!(why[&10].contains(&KeptBecause::Pinned) && !why[&10].contains(&KeptBecause::Newest));
    assert!(!ledger.would_keep(job, 20) && ledger.would_keep(job, 50) && ledger.would_keep(job, 10));
    // A member that repeats itself does not bring back what was forgotten.
    assert!(matches!(refused(&mut ledger, record(20, &[2])), Rejected::CheckpointRefused { step: 20, .. }));
    all(&mut ledger, [pin(10, false)]);
    assert_eq!(steps(&ledger), [10, 30, 40], "unpinning alone removes nothing");
    all(&mut ledger, [prune(0), prune(0)]);
    assert_eq!(steps(&ledger), [30, 40]);
    assert!(matches!(refused(&mut ledger, pin(10, true)), Rejected::CheckpointRefused { .. }));
    assert!(matches!(refused(&mut ledger, prune(1)), Rejected::CheckpointRefused { .. }), "it runs");
    assert_eq!(ledger.keeping_of(job_id(1)).pins.len(), 0);
}

#[test]
fn pins_have_a_limit_and_go_with_the_last_copy() {
    let mut ledger = running_by(KeepRules::default());
    for step in 1..=limits::PINS_MAX as u64 {
        all(&mut ledger, [record(step, &[1]), pin(step, true)]);
    }
    all(&mut ledger, [record(50, &[1])]);
    let limit = Rejected::LimitReached { what: "pinned checkpoints of a job", max: limits::PINS_MAX };
    assert_eq!(refused(&mut ledger, pin(50, true)), limit);
    let lost = LedgerCommand::DropCheckpoint { job: job_id(1), step: 3, holder: Some(node(1)) };
    all(&mut ledger, [lost, prune(0), pin(50, true)]);
    let pins = ledger.keeping_of(job_id(1)).pins;
    assert!(!pins.contains_key(&3) && pins.contains_key(&50));
}

#[test]
fn the_first_of_so_many_steps_and_the_best_by_their_tests_are_kept() {
    let rules = KeepRules { nth_steps: 25, best: 2, ..KeepRules::default() };
    let mut ledger = running_by(rules);
    for (step, loss, correct) in
        [(10, 0.2, 1), (20, 0.9, 9), (30, 0.1, 5), (40, 0.5, 7), (50, 0.8, 2), (60, 0.7, 3)]
    {
        all(&mut ledger, [record(step, &[1]), tested(step, loss, correct)]);
    }
    // 30 and 50 begin stretches of 25 steps, 10 and 30 have the least loss, 50 and 60 are the newest.
    assert_eq!(steps(&ledger), [10, 30, 50, 60]);
    let why = ledger.kept(&ledger.jobs[&job_id(1)], None);
    assert_eq!(why[&30].iter().copied().collect::<Vec<_>>(), [KeptBecause::Nth, KeptBecause::Best]);
    let mut ledger = running_by(KeepRules { best: 1, best_by: BestBy::Accuracy, ..KeepRules::default() });
    for (step, correct) in [(10, 1), (20, 9), (30, 9), (40, 7), (50, 2)] {
        // Its test may come before its checkpoint is on record.
        all(&mut ledger, [tested(step, 0.1, correct), record(step, &[1])]);
    }
    assert_eq!(steps(&ledger), [20, 40, 50], "of equal ones the earlier is the best");
    assert!(ledger.keeping_of(job_id(1)).tests.len() <= 3);
}

#[test]
fn rules_out_of_range_are_refused_and_go_with_their_job() {
    let mut ledger = running();
    let with = |rules: KeepRules| match submit(2, plan()) {
        LedgerCommand::SubmitJob { id, name, spec_toml, plan, data_digest, initial, by, .. } => {
            LedgerCommand::SubmitJob { id, name, spec_toml, plan, data_digest, initial, by, rules }
        }
        other => other,
    };
    for rules in [
        KeepRules { best: 17, ..KeepRules::default() },
        KeepRules { every_ms: limits::CHECKPOINT_EVERY_MS_MAX + 1, ..KeepRules::default() },
        KeepRules { nth_steps: u64::MAX, ..KeepRules::default() },
    ] {
        assert!(matches!(refused(&mut ledger, with(rules)), Rejected::PlanInvalid { .. }));
    }
    let rules = KeepRules { best: 3, ..KeepRules::default() };
    all(&mut ledger, [with(rules), with(rules)]);
    assert_eq!(ledger.keeping_of(job_id(2)).rules, rules);
    assert_eq!(refused(&mut ledger, with(KeepRules::default())), Rejected::JobIdTaken { job: job_id(2) });
}

/// Job 1, which has checkpoints of steps 20, 40 and 60 and was given up; 40 is pinned.
fn failed() -> Ledger {
    let mut ledger = running_by(KeepRules::default());
    all(&mut ledger, [record(20, &[1]), record(40, &[1, 2]), pin(20, true), pin(40, true), record(60, &[2])]);
    all(&mut ledger, [tested(20, 0.5, 1), tested(60, 0.4, 2)]);
    all(&mut ledger, [LedgerCommand::FailJob { job: job_id(1), reason: "a loss was not finite".to_owned() }]);
    ledger
}

fn founding(step: u64, epoch: u64, incarnation: u32) -> View {
    View {
        incarnation: Incarnation(incarnation),
        origin: Origin::Checkpoint { step, chain: chain(step), digest: digest(step) },
        ..view(epoch, epoch, vec![member(1, 1, epoch)], 0)
    }
}

#[test]
fn a_job_goes_on_from_where_it_was_taken_back_to_and_epochs_only_grow() {
    let mut ledger = failed();
    let before = ledger.jobs[&job_id(1)].newest_epoch();
    all(&mut ledger, [roll_back(20), roll_back(20)]);
    let job = &ledger.jobs[&job_id(1)];
    assert_eq!((&job.status, job.committed_to()), (&JobStatus::Paused { by: node(3) }, (20, chain(20))));
    assert_eq!((job.view.is_none(), job.synced.len(), job.evaluations.len()), (true, 0, 1));
    assert_eq!(steps(&ledger), [20]);
    let keeping = ledger.keeping_of(job_id(1));
    let told = Rollback { by: node(3), from_step: 60, to_step: 20, incarnation: before.1 };
    assert_eq!(keeping.rollbacks, [told], "told once, although it was asked for twice");
    assert_eq!(keeping.aside, [checkpoint(40, &[1, 2])], "pinned: kept, and no lineage starts from it");
    assert_eq!(ledger.steps_held(&ledger.jobs[&job_id(1)]), [20, 40]);
    assert_eq!(ledger.manifests_pinned(), [manifest(20), manifest(40)].into());
    // Only from there, in the next lineage and epoch, once somebody resumes it.
    all(&mut ledger, [LedgerCommand::ResumeJob { job: job_id(1), by: node(3) }]);
    for wrong in [founding(40, 2, 2), founding(60, 2, 2), founding(20, 2, 1), founding(20, 1, 2)] {
        refused(&mut ledger, commit(wrong));
    }
    all(&mut ledger, [commit(founding(20, 2, 2))]);
    let after = ledger.jobs[&job_id(1)].newest_epoch();
    let order = |(epoch, incarnation): (Epoch, Incarnation)| (incarnation, epoch);
    assert!(invariants::views_grow(order(before), order(after)), "{}", invariants::V1.sentence);
    // The new lineage comes to the same state: one record of it, pinned as before.
    all(&mut ledger, [commit_steps(20, 50, 2), record(40, &[1])]);
    assert_eq!(steps(&ledger), [20, 40]);
    let keeping = ledger.keeping_of(job_id(1));
    assert!(keeping.aside.is_empty() && keeping.pins.contains_key(&40), "{keeping:?}");
}

#[test]
fn what_was_set_aside_goes_when_it_is_unpinned_or_lost() {
    let mut ledger = failed();
    all(&mut ledger, [roll_back(0)]);
    assert_eq!(ledger.jobs[&job_id(1)].committed_to().0, 0);
    assert!(steps(&ledger).is_empty() && ledger.jobs[&job_id(1)].origins().next().is_none());
    assert_eq!(ledger.steps_held(&ledger.jobs[&job_id(1)]), [20, 40]);
    all(&mut ledger, [pin(20, false)]);
    for number in [1, 2] {
        let lost = LedgerCommand::DropCheckpoint { job: job_id(1), step: 40, holder: Some(node(number)) };
        // It is on record no more.
        let _ = ledger.apply_command(30, lost);
    }
    assert!(ledger.keeping_of(job_id(1)).aside.is_empty());
}

#[test]
fn a_job_that_runs_waits_or_never_ran_is_not_taken_back() {
    let refuses = |ledger: &mut Ledger, step| {
        matches!(refused(ledger, roll_back(step)), Rejected::RollbackRefused { .. })
    };
    let mut ledger = running_by(KeepRules::default());
    all(&mut ledger, [record(20, &[1])]);
    assert!(refuses(&mut ledger, 20), "it runs");
    let mut ledger = super::ledger();
    assert!(refuses(&mut ledger, 0), "it waits");
    all(&mut ledger, [LedgerCommand::PauseJob { job: job_id(1), by: node(1) }]);
    assert!(refuses(&mut ledger, 0), "it never ran");
    let mut ledger = failed();
    assert!(refuses(&mut ledger, 30), "no such checkpoint");
}

#[test]
fn a_checkpoint_that_time_makes_due_is_of_a_step_ahead_and_belongs_to_its_lineage() {
    let due = |step| LedgerCommand::ScheduleCheckpoint { job: job_id(1), step };
    let mut ledger = running_by(KeepRules { every_ms: 1000, ..KeepRules::default() });
    assert!(matches!(refused(&mut ledger, due(60)), Rejected::CheckpointRefused { .. }), "it is past");
    assert!(matches!(refused(&mut ledger, due(101)), Rejected::CheckpointRefused { .. }), "beyond the end");
    all(&mut ledger, [due(65), due(65)]);
    assert!(matches!(refused(&mut ledger, due(64)), Rejected::CheckpointRefused { .. }), "before the other");
    all(&mut ledger, [70, 75, 80, 85].map(due));
    assert_eq!(ledger.keeping_of(job_id(1)).due, [70, 75, 80, 85]);
    all(&mut ledger, [record(60, &[1]), commit(founding(60, 2, 2))]);
    assert!(ledger.keeping_of(job_id(1)).due.is_empty());
}

#[test]
fn an_imported_checkpoint_is_of_a_committed_step_and_stays() {
    let import = |step, holders: &[u8]| LedgerCommand::ImportCheckpoint {
        job: job_id(1),
        entry: checkpoint(step, holders),
        by: node(2),
    };
    let mut ledger = running_by(KeepRules::default());
    all(&mut ledger, [40, 50, 60].map(|step| record(step, &[1])));
    all(&mut ledger, [import(10, &[2]), import(10, &[2])]);
    assert_eq!(steps(&ledger), [10, 50, 60], "older than all that are kept, and pinned");
    for refused_step in [0, 61] {
        assert!(matches!(
            refused(&mut ledger, import(refused_step, &[2])),
            Rejected::CheckpointRefused { .. }
        ));
    }
    let mut other = checkpoint(50, &[2]);
    other.digest = digest(51);
    let command = LedgerCommand::ImportCheckpoint { job: job_id(1), entry: other, by: node(2) };
    assert!(matches!(refused(&mut ledger, command), Rejected::CheckpointRefused { .. }), "another state");
    let unknown = LedgerCommand::ImportCheckpoint { job: job_id(9), entry: checkpoint(5, &[2]), by: node(2) };
    assert!(matches!(refused(&mut ledger, unknown), Rejected::JobUnknown { .. }));
}
