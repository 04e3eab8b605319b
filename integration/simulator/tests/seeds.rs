//! The rules hold: ten thousand runs of each commit, more by
//! `cargo run -p traind-simulator --release -- --seeds A..B`.

use traind_simulator::{
    Coverage, FAULTS_MIN, Fault, Kind, NODES_MIN, STEPS_MIN, Schedule, impossible, run, sweep,
};

/// Seeds; a few in a hundred make a schedule that is too short to count, and the rarest cell is met once in 4,000.
const SEEDS: u64 = 14_000;

/// Schedules of at least 3 nodes, 20 steps and 5 faults among them.
const SCHEDULES_MIN: u64 = 10_000;

/// What a machine in small use has.
const THREADS: usize = 2;

#[test]
fn ten_thousand_schedules_break_nothing_and_meet_every_fault_with_every_message() {
    let all = sweep(0..SEEDS, THREADS, None, 1);
    if let Some(found) = all.found.first() {
        let violation = &found.violation;
        let command = Schedule::of(found.seed).command();
        panic!("{} ({}) is broken: {}\n{command}", violation.id, violation.sentence, violation.what);
    }
    let (report, coverage) = (all.report, all.coverage);
    println!("{report}\n{coverage}");
    assert!(report.qualified >= SCHEDULES_MIN, "{} schedules count", report.qualified);
    assert_eq!(coverage.empty(), [], "cells in which nothing happened");
    // A harness whose faults do not happen finds nothing.
    let happened = [
        ("faults", report.faults, FAULTS_MIN * SCHEDULES_MIN),
        ("stable steps", report.stable_steps, STEPS_MIN * SCHEDULES_MIN),
        ("crashes", report.crashes, 50_000),
        ("evictions of the living", report.evictions_of_the_living, 50_000),
        ("cascading views", report.views_cascading, 100_000),
        ("failed computations", report.computations_failed, 2_000),
        ("orderly leaves", report.drained, 5_000),
        ("members that halted", report.halted, 50_000),
        ("orderly runs", report.orderly_runs, 1_500),
        ("steps of orderly runs", report.orderly_steps, 30_000),
        ("refolds", report.refolds, 2_000),
        ("lineages continued", report.lineages_continued, 500),
        ("chunks of states", report.chunks_sent, 100_000),
        ("chunks kept over a view", report.chunks_resumed, 5_000),
        ("lies", report.lies, 1_000),
        ("lies of donors found out", report.liars_found, 250),
        ("accusations of liars", report.liars_accused, 500),
        ("liars put out", report.liars_put_out, 250),
    ];
    for (what, count, least) in happened {
        assert!(count >= least, "{count} {what}, at least {least} expected");
    }
}

#[test]
fn a_seed_is_one_run() {
    for seed in [3, 77] {
        let (one, two) = (run(seed, None, true), run(seed, None, true));
        assert!(!one.trace().is_empty());
        assert_eq!(one.trace(), two.trace());
        assert_eq!(one.report(), two.report());
        assert!(one.report().qualified == 0 || Schedule::of(seed).plan.nodes >= NODES_MIN);
    }
}

#[test]
fn an_empty_cell_is_named_unless_it_cannot_exist() {
    let empty = Coverage::default().empty();
    assert!(empty.contains(&(Fault::Crash, Kind::State)));
    assert!(
        !empty.contains(&(Fault::BulkDrop, Kind::State))
            && impossible(Fault::BulkDrop, Kind::State).is_some()
    );
    // What is left out has a reason, and is less than a sixth of the table.
    let cells = Fault::ALL.len() * Kind::ALL.len();
    assert!(empty.len() * 6 > cells * 5, "{} of {cells}", empty.len());
}
