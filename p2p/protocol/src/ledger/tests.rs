mod any_order;
mod data_sets;
mod drains;
mod halts;
mod keeping;
mod replicas;

use std::collections::BTreeSet;

use super::testing::{
    DATA, chain, checkpoint, commit, commit_steps, digest, job_id, life, member, node, plan, register,
    registration, submit, view,
};
use super::*;
use crate::ids::{Epoch, Incarnation, SeatId};
use crate::view::{Origin, View};

/// Three registered nodes and job 1.
fn ledger() -> Ledger {
    let mut ledger = Ledger::default();
    for (index, command) in
        [register(1, 1), register(2, 1), register(3, 1), submit(1, plan())].into_iter().enumerate()
    {
        ledger.apply_command(index as u64, command).unwrap();
    }
    ledger
}

/// The same with a first view of nodes 1 and 2.
fn running() -> Ledger {
    let mut ledger = ledger();
    ledger.apply_command(9, commit(view(1, 1, vec![member(1, 1, 1), member(2, 1, 1)], 0))).unwrap();
    ledger
}

fn refused(ledger: &mut Ledger, command: LedgerCommand) -> Rejected {
    let before = ledger.clone();
    let rejected = ledger.apply_command(99, command).unwrap_err();
    assert_eq!(*ledger, before, "a rejected command changed something");
    rejected
}

#[test]
fn seats_are_given_once_and_survive_a_restart_and_a_forgotten_node() {
    let mut ledger = ledger();
    assert_eq!(ledger.seat_of(node(1)), Some(SeatId(1)));
    ledger.apply_command(5, register(2, 77)).unwrap();
    assert_eq!((ledger.nodes[&node(2)].seat, ledger.nodes[&node(2)].boot.0), (SeatId(2), 77));
    ledger.apply_command(6, LedgerCommand::ForgetNode { node: node(3) }).unwrap();
    ledger.apply_command(7, register(3, 2)).unwrap();
    assert_eq!(ledger.node_of_seat(SeatId(4)), Some(node(3)));
    assert_eq!(ledger.node_of_seat(SeatId(3)), None);
}

#[test]
fn nodes_have_a_limit() {
    let mut ledger = Ledger::default();
    for number in 0..64 {
        ledger.apply_command(0, register(number, 1)).unwrap();
    }
    assert_eq!(refused(&mut ledger, register(64, 1)), Rejected::LimitReached { what: "nodes", max: 64 });
    ledger.apply_command(0, register(5, 2)).unwrap();
}

#[test]
fn a_submission_twice_is_one_job_and_another_one_under_its_id_is_refused() {
    let mut ledger = ledger();
    ledger.apply_command(5, submit(1, plan())).unwrap();
    assert_eq!(ledger.jobs.len(), 1);
    let other = JobPlan { steps: 5, ..plan() };
    assert_eq!(refused(&mut ledger, submit(1, other)), Rejected::JobIdTaken { job: job_id(1) });
    let impossible = JobPlan { nodes_min: 13, nodes_max: 13, ..plan() };
    assert!(matches!(refused(&mut ledger, submit(2, impossible)), Rejected::PlanInvalid { .. }));
}

#[test]
fn epochs_are_compared_and_set() {
    let mut ledger = running();
    let members = || vec![member(1, 1, 1), member(2, 1, 1)];
    for epoch in [1, 3] {
        let rejected = refused(&mut ledger, commit(view(epoch, 1, members(), 0)));
        let founding = Rejected::EpochNotNext { expected: Epoch(2), found: Epoch(epoch) };
        assert_eq!(rejected, founding);
    }
    ledger.apply_command(10, commit(view(2, 1, members(), 0))).unwrap();
    let mut next_lineage = view(3, 1, members(), 0);
    next_lineage.incarnation = Incarnation(2);
    assert!(matches!(refused(&mut ledger, commit(next_lineage)), Rejected::ViewMalformed { .. }));
}

#[test]
fn views_cover_all_work_with_registered_members_and_none_of_it_is_a_joiners() {
    let mut ledger = running();
    let members = || vec![member(1, 1, 1), member(2, 1, 1), member(3, 1, 2)];
    let good = || view(2, 1, members(), 0);
    let mut short = good();
    short.leases.pop();
    let mut partless = good();
    partless.owners.pop();
    let mut joiner_works = good();
    joiner_works.leases[4] = 2;
    let mut joiner_owns = good();
    joiner_owns.owners[4] = 2;
    let old_tenure = view(2, 1, vec![member(1, 1, 1), member(3, 1, 1)], 0);
    for wrong in [short, partless, joiner_works, joiner_owns, old_tenure] {
        assert!(matches!(refused(&mut ledger, commit(wrong)), Rejected::ViewMalformed { .. }));
    }
    let dead_process = view(2, 1, vec![member(1, 1, 1), member(3, 9, 2)], 0);
    assert_eq!(refused(&mut ledger, commit(dead_process)), Rejected::NodeNotRegistered { node: node(3) });
    ledger.apply_command(10, commit(good())).unwrap();
    assert_eq!(ledger.jobs[&job_id(1)].view_changes.len(), 2);
}

#[test]
fn a_view_keeps_a_synced_member_of_the_one_before() {
    let mut ledger = running();
    ledger.apply_command(10, commit(view(2, 1, vec![member(1, 1, 1), member(3, 1, 2)], 0))).unwrap();
    let only_joiner = || commit(view(3, 1, vec![member(3, 1, 2)], 0));
    assert_eq!(refused(&mut ledger, only_joiner()), Rejected::ContinuityBroken);
    let synced =
        |tenure| LedgerCommand::RecordSynced { job: job_id(1), life: life(3, 1), tenure: Epoch(tenure) };
    assert_eq!(refused(&mut ledger, synced(1)), Rejected::MemberUnknown);
    ledger.apply_command(11, synced(2)).unwrap();
    ledger.apply_command(12, only_joiner()).unwrap();
    assert_eq!(ledger.jobs[&job_id(1)].synced.len(), 1);
}

#[test]
fn a_readmitted_member_is_not_synced_by_its_earlier_tenure() {
    let mut ledger = running();
    ledger.apply_command(10, commit(view(2, 1, vec![member(1, 1, 1)], 0))).unwrap();
    ledger.apply_command(11, commit(view(3, 1, vec![member(1, 1, 1), member(2, 1, 3)], 0))).unwrap();
    let alone = commit(view(4, 1, vec![member(2, 1, 3)], 0));
    assert_eq!(refused(&mut ledger, alone), Rejected::ContinuityBroken);
}

#[test]
fn committed_steps_are_contiguous_ranges_that_merge_within_an_epoch() {
    let mut ledger = running();
    ledger.apply_command(10, commit_steps(0, 5, 1)).unwrap();
    ledger.apply_command(11, commit_steps(5, 9, 1)).unwrap();
    assert!(matches!(
        refused(&mut ledger, commit_steps(8, 12, 1)),
        Rejected::StepsNotNext { committed: 9, .. }
    ));
    assert!(matches!(refused(&mut ledger, commit_steps(9, 12, 2)), Rejected::StepsNotNext { .. }));
    ledger.apply_command(12, commit(view(2, 1, vec![member(1, 1, 1)], 0))).unwrap();
    ledger.apply_command(13, commit_steps(9, 12, 2)).unwrap();
    let job = &ledger.jobs[&job_id(1)];
    let ranges: Vec<_> = job.committed.iter().map(|r| (r.from_step, r.to_step, r.epoch.0, r.chain)).collect();
    assert_eq!(ranges, [(0, 9, 1, chain(9)), (9, 12, 2, chain(12))]);
}

#[test]
fn ranges_beyond_the_limit_become_one_and_no_step_is_forgotten() {
    let mut ledger = running();
    let job = ledger.jobs.get_mut(&job_id(1)).unwrap();
    for step in 0..1030 {
        let range =
            CommittedRange { from_step: step, to_step: step + 1, epoch: Epoch(step), chain: chain(step + 1) };
        job.push_committed(range);
    }
    assert_eq!(job.committed.len(), 1024);
    assert_eq!((job.committed[0].from_step, job.committed[0].to_step), (0, 7));
    assert!(job.committed.windows(2).all(|pair| pair[0].to_step == pair[1].from_step));
}

#[test]
fn checkpoints_are_of_committed_states_unite_their_holders_and_the_newest_stay() {
    let mut ledger = running();
    let record = |entry| LedgerCommand::RecordCheckpoint { job: job_id(1), entry };
    assert!(matches!(refused(&mut ledger, record(checkpoint(10, &[1]))), Rejected::CheckpointRefused { .. }));
    ledger.apply_command(10, commit_steps(0, 30, 1)).unwrap();
    ledger.apply_command(11, record(checkpoint(10, &[1]))).unwrap();
    ledger.apply_command(12, record(checkpoint(10, &[2]))).unwrap();
    assert_eq!(ledger.jobs[&job_id(1)].checkpoints, [checkpoint(10, &[1, 2])]);
    let other_digest = CheckpointEntry { digest: digest(99), ..checkpoint(10, &[1]) };
    let other_chain = CheckpointEntry { chain: chain(99), ..checkpoint(30, &[1]) };
    for wrong in [other_digest, other_chain] {
        assert!(matches!(refused(&mut ledger, record(wrong)), Rejected::CheckpointRefused { .. }));
    }
    for step in [20, 30] {
        ledger.apply_command(13, record(checkpoint(step, &[1]))).unwrap();
    }
    let steps = |ledger: &Ledger| -> Vec<u64> {
        ledger.jobs[&job_id(1)].checkpoints.iter().map(|e| e.step).collect()
    };
    assert_eq!(steps(&ledger), [20, 30]);
    assert!(matches!(refused(&mut ledger, record(checkpoint(10, &[1]))), Rejected::CheckpointRefused { .. }));
    let drop = LedgerCommand::DropCheckpoint { job: job_id(1), step: 30, holder: Some(node(1)) };
    ledger.apply_command(14, drop).unwrap();
    assert_eq!(steps(&ledger), [20]);
}

#[test]
fn a_new_lineage_starts_from_a_checkpoint_that_its_founders_hold_and_takes_the_record_back_to_it() {
    let mut ledger = running();
    for (from, to, epoch) in [(0, 15, 1), (15, 25, 2), (25, 30, 3)] {
        ledger.apply_command(10, commit_steps(from, to, epoch)).unwrap();
        ledger
            .apply_command(10, commit(view(epoch + 1, 1, vec![member(1, 1, 1), member(2, 1, 1)], 0)))
            .unwrap();
    }
    for (step, holder) in [(10, 1), (20, 2)] {
        let entry = checkpoint(step, &[holder]);
        ledger.apply_command(11, LedgerCommand::RecordCheckpoint { job: job_id(1), entry }).unwrap();
    }
    ledger.apply_command(12, register(1, 2)).unwrap();
    let founding = |origin, members| {
        let mut view = view(5, 5, members, 0);
        (view.incarnation, view.origin) = (Incarnation(2), origin);
        commit(view)
    };
    let origin = |step| Origin::Checkpoint { step, chain: chain(step), digest: digest(step) };
    let founders = || vec![member(1, 2, 5)];
    for (wrong, members) in [
        (Origin::Seed, founders()),
        (origin(15), founders()),
        (origin(20), founders()),
        (origin(10), vec![member(1, 2, 5), member(3, 1, 5)]),
    ] {
        assert!(matches!(refused(&mut ledger, founding(wrong, members)), Rejected::ViewMalformed { .. }));
    }
    ledger.apply_command(13, founding(origin(10), founders())).unwrap();
    let job = &ledger.jobs[&job_id(1)];
    let clipped = CommittedRange { from_step: 0, to_step: 10, epoch: Epoch(1), chain: chain(10) };
    assert_eq!(job.committed, [clipped]);
    assert_eq!(job.checkpoints, [checkpoint(10, &[1])]);
    assert_eq!(job.synced, BTreeSet::from([(life(1, 2), Epoch(5))]));
}

#[test]
fn one_job_runs_and_the_others_say_what_they_wait_for() {
    let mut ledger = ledger();
    let all = BTreeSet::from([node(1), node(2), node(3)]);
    ledger.apply_command(5, submit(2, JobPlan { nodes_min: 4, ..plan() })).unwrap();
    ledger.apply_command(6, submit(3, plan())).unwrap();
    let reason = |ledger: &Ledger, job, live: &BTreeSet<_>| ledger.job_queue_reason(job_id(job), live);
    assert_eq!(reason(&ledger, 1, &all), None);
    assert_eq!(reason(&ledger, 2, &all).unwrap(), "waits for 4 nodes, 3 are here");
    assert!(reason(&ledger, 3, &all).unwrap().ends_with("which is next"));
    ledger.apply_command(7, commit(view(1, 1, vec![member(1, 1, 1)], 0))).unwrap();
    let words = "waits for job job-1 (0101010101010101), which runs on all nodes";
    assert_eq!(reason(&ledger, 3, &all).unwrap(), words);
    let mut second = view(1, 1, vec![member(1, 1, 1)], 0);
    second.job = job_id(3);
    assert_eq!(refused(&mut ledger, commit(second)), Rejected::AnotherJobRuns { running: job_id(1) });
    ledger.apply_command(8, LedgerCommand::CancelJob { job: job_id(1), by: node(2) }).unwrap();
    assert_eq!(reason(&ledger, 1, &all), None);
    assert_eq!(ledger.startable_jobs(&all).next().unwrap().id, job_id(3));
}

#[test]
fn a_result_is_that_of_the_last_committed_step() {
    let mut ledger = running();
    let finish = |step| {
        let result = JobResult {
            step,
            chain: chain(step),
            digest: digest(step),
            loss: 0.25,
            test_correct: 290,
            test_total: 297,
        };
        LedgerCommand::FinishJob { job: job_id(1), result }
    };
    ledger.apply_command(10, commit_steps(0, 99, 1)).unwrap();
    assert_eq!(refused(&mut ledger, finish(99)), Rejected::ResultRefused);
    assert_eq!(refused(&mut ledger, finish(100)), Rejected::ResultRefused);
    ledger.apply_command(11, commit_steps(99, 100, 1)).unwrap();
    ledger.apply_command(12, finish(100)).unwrap();
    assert_eq!(ledger.jobs[&job_id(1)].status, JobStatus::Done);
    let cancel = LedgerCommand::CancelJob { job: job_id(1), by: node(1) };
    assert_eq!(refused(&mut ledger, cancel), Rejected::JobEnded { job: job_id(1) });
}

/// A ledger with 64 nodes whose texts are too long.
fn full_of_nodes() -> Ledger {
    let mut ledger = Ledger::default();
    for number in 0..64 {
        let registration = crate::wire::control::Registration {
            numeric_class: "c".repeat(1000),
            device: "d".repeat(1000),
            version: "v".repeat(1000),
            failure_label: "l".repeat(1000),
            threads: u32::MAX,
            ..registration(u64::MAX)
        };
        let command = LedgerCommand::RegisterNode { node: node(number), registration };
        ledger.apply_command(u64::MAX, command).unwrap();
        let (node, by, reason) = (node(number), node(1), "d".repeat(1000));
        let drain = LedgerCommand::DrainNode { node, by, reason, until: DrainUntil::Undrain };
        ledger.apply_command(0, drain).unwrap();
    }
    ledger
}

/// Runs a job that is as large as it may be but for its specification, through `epochs` views.
fn run_large_job(ledger: &mut Ledger, id: JobId, epochs: u64, spec_bytes: usize) -> View {
    let plan = JobPlan { microbatches: 4096, parts: 4096, nodes_max: 64, checkpoint_keep: 64, ..plan() };
    let (name, spec_toml, by) = ("n".repeat(128), "x".repeat(spec_bytes), node(1));
    let (data_digest, initial, rules) = (DATA, None, KeepRules::default());
    let submit = LedgerCommand::SubmitJob { id, name, spec_toml, plan, data_digest, initial, by, rules };
    ledger.apply_command(0, submit).unwrap();
    let mut view = view(1, 1, (0..64).map(|number| member(number, u64::MAX, 1)).collect(), 63);
    (view.job, view.leases, view.owners) = (id, vec![63; 4096], vec![63; 4096]);
    for epoch in 1..=epochs {
        view.epoch = Epoch(epoch);
        let reason = "r".repeat(9000);
        let command = LedgerCommand::CommitView { view: view.clone(), reason, stable_step: u64::MAX };
        assert!(command.encode().len() < limits::LEDGER_COMMAND_BYTES_MAX);
        ledger.apply_command(0, command).unwrap();
    }
    let all: Vec<u8> = (0..64).collect();
    for step in 1..90 {
        let (from, to, epoch) = (step - 1, step, Epoch(1));
        let command = LedgerCommand::CommitSteps { job: id, from, to, epoch, chain: chain(step) };
        ledger.apply_command(0, command).unwrap();
        let entry = checkpoint(step, &all);
        ledger.apply_command(0, LedgerCommand::RecordCheckpoint { job: id, entry }).unwrap();
    }
    let totals = crate::wire::control::EvaluationTotals { correct: u64::MAX, total: u64::MAX, loss: 0.5 };
    for step in 1..90 {
        ledger.apply_command(0, LedgerCommand::RecordEvaluation { job: id, step, totals }).unwrap();
    }
    view
}

fn fail_large_job(ledger: &mut Ledger, job: JobId, epochs: u64) {
    run_large_job(ledger, job, epochs, limits::SPEC_BYTES_MAX);
    ledger.apply_command(0, LedgerCommand::FailJob { job, reason: "r".repeat(9000) }).unwrap();
}

fn halt_large_job(ledger: &mut Ledger, job: JobId) {
    let mut view = run_large_job(ledger, job, 70, 1024);
    ledger.apply_command(0, LedgerCommand::PauseJob { job, by: node(1) }).unwrap();
    (view.epoch, view.halt) = (view.epoch.next(), true);
    let epoch = view.epoch;
    ledger.apply_command(0, commit(view)).unwrap();
    let halt = LedgerCommand::CommitHalt { job, epoch, step: 89, chain: chain(89) };
    ledger.apply_command(0, halt).unwrap();
    assert_eq!(ledger.jobs[&job].origins().next().unwrap().step, 89, "what is needed to go on");
}

#[test]
fn a_full_ledger_still_fits_into_a_control_message() {
    let mut ledger = full_of_nodes();
    for number in 0..60u8 {
        fail_large_job(&mut ledger, JobId([number; 8]), if number < 5 { 80 } else { 3 });
    }
    assert!(ledger.jobs.len() < 60, "the oldest are forgotten");
    assert!(!ledger.jobs.contains_key(&JobId([0; 8])) && ledger.jobs.contains_key(&JobId([59; 8])));
    for number in 60..60 + limits::STARTED_JOBS_MAX as u8 - 1 {
        halt_large_job(&mut ledger, JobId([number; 8]));
    }
    run_large_job(&mut ledger, JobId([250; 8]), 70, 1024);
    let mut refusals = 0;
    for number in 130..230u8 {
        let (name, spec_toml, by) = (String::new(), "x".repeat(limits::SPEC_BYTES_MAX), node(1));
        let id = JobId([number; 8]);
        let (data_digest, initial, rules) = (DATA, None, KeepRules::default());
        let command =
            LedgerCommand::SubmitJob { id, name, spec_toml, plan: plan(), data_digest, initial, by, rules };
        refusals += u32::from(ledger.apply_command(0, command).is_err());
    }
    assert_eq!(refusals, 70, "30 specifications of 64 KiB wait at most beside the others");
    let bytes = ledger.snapshot();
    assert!(bytes.len() < limits::LEDGER_SNAPSHOT_BYTES_MAX, "{} bytes", bytes.len());
    assert!(bytes.len() > 4 << 20, "the test is meant to fill the ledger, {} bytes", bytes.len());
    let mut copy = Ledger::default();
    copy.restore(&bytes).unwrap();
    assert_eq!(copy, ledger);
}

#[test]
fn bytes_that_are_no_command_change_nothing_but_are_counted() {
    let mut ledger = running();
    let jobs = ledger.jobs.clone();
    let mut with_tail = submit(2, plan()).encode();
    with_tail.push(0);
    let too_long = vec![0; limits::LEDGER_COMMAND_BYTES_MAX + 1];
    for (index, bytes) in [vec![], vec![255; 40], with_tail, too_long].into_iter().enumerate() {
        ledger.apply(index as u64, &bytes);
    }
    assert_eq!((ledger.rejections_total, ledger.rejections.len()), (4, 4));
    ledger.apply(9, &submit(1, JobPlan { steps: 7, ..plan() }).encode());
    assert_eq!(ledger.rejections.back().unwrap().job, Some(job_id(1)));
    assert_eq!(ledger.jobs, jobs);
    assert!(ledger.restore(&[1, 2, 3]).is_err());
    assert_eq!(ledger.jobs, jobs);
}

#[test]
fn a_failed_microbatch_is_known_once_and_forgotten_with_its_step() {
    let mut ledger = running();
    let fail = |step, microbatch| LedgerCommand::FailMicrobatch {
        job: job_id(1),
        step,
        microbatch,
        samples: vec![7; 1000],
        node: node(2),
        reason: "é".repeat(3000),
    };
    ledger.apply_command(10, fail(5, 3)).unwrap();
    assert!(matches!(refused(&mut ledger, fail(5, 3)), Rejected::FailureNotNew { .. }));
    assert!(matches!(refused(&mut ledger, fail(5, 12)), Rejected::FailureNotNew { .. }));
    let failure = ledger.jobs[&job_id(1)].failure_of(5, 3).unwrap().clone();
    assert_eq!((failure.samples.len(), failure.reason.len(), failure.epoch), (256, 2048, Epoch(1)));
    let members = || vec![member(1, 1, 1), member(2, 1, 1)];
    ledger.apply_command(11, commit(view(2, 1, members(), 1))).unwrap();
    assert_eq!(ledger.jobs[&job_id(1)].failure_of(5, 3).unwrap().epoch, Epoch(2), "it was not moved");
    ledger.apply_command(12, commit(view(3, 1, members(), 0))).unwrap();
    assert_eq!(ledger.jobs[&job_id(1)].failure_of(5, 3).unwrap().epoch, Epoch(2), "it was moved");
    ledger.apply_command(13, commit_steps(0, 6, 3)).unwrap();
    assert!(ledger.jobs[&job_id(1)].failed_microbatches.is_empty());
}

#[test]
fn a_step_is_of_the_view_whose_range_it_is_in_and_leases_are_remembered() {
    let mut ledger = ledger();
    let mut first = view(1, 1, vec![member(1, 1, 1), member(2, 1, 1)], 0);
    first.leases = [vec![0; 5], vec![1; 4], vec![0; 3]].concat();
    let second = LedgerCommand::CommitView {
        view: view(2, 1, vec![member(2, 1, 1)], 0),
        reason: String::new(),
        // More than what the ledger knows to be stable by then: the rest is committed in this view.
        stable_step: 7,
    };
    for command in [commit(first), commit_steps(0, 5, 1), second, commit_steps(5, 9, 2)] {
        ledger.apply_command(9, command).unwrap();
    }
    let job = &ledger.jobs[&job_id(1)];
    let epoch = |job: &JobRecord, step| job.view_of_step(step).map(|view| view.epoch.0);
    let epochs = [0, 1, 5, 6, 9, 10].map(|step| epoch(job, step));
    assert_eq!(epochs, [None, Some(1), Some(1), Some(2), Some(2), None]);
    let under_way = |step, epoch| job.view_of_stable_step(step, (12, Epoch(epoch))).map(|view| view.epoch.0);
    let epochs = [3, 9, 10, 12, 13].map(|step| under_way(step, 2));
    assert_eq!(epochs, [Some(1), Some(2), Some(2), Some(2), None], "stable, and not committed yet");
    assert_eq!([9, 10].map(|step| under_way(step, 3)), [Some(2), None], "of a view that is not known here");
    let change = job.view_of_step(3).unwrap();
    assert_eq!(change.leases, [(0, 5), (1, 4), (0, 3)]);
    let holders = [4, 5, 8, 9, 11].map(|index| change.lease_holder(index).unwrap());
    assert_eq!(holders, [node(1), node(2), node(2), node(1), node(1)]);
    assert_eq!(change.lease_holder(12), None);

    let mut merged = job.clone();
    merged.shrink_history();
    assert_eq!([3, 9].map(|step| epoch(&merged, step)), [None, None], "one range of two views");
}
