//! Council, ledger, coordinator and sync machine together, on disks that lose what was not synced.

use traind_simulator::{JointFault, JointReport, run_joint};

/// Joint runs of each commit.
const SEEDS: u64 = 60;

#[test]
fn joint_runs_end_with_the_job_done_and_nothing_broken() {
    let mut report = JointReport::default();
    for seed in 0..SEEDS {
        let world = run_joint(seed, None, false);
        if let Some(violation) = world.violation() {
            let command = format!("cargo run -p traind-simulator --release -- --joint --seed {seed} --trace");
            panic!("{} ({}) is broken: {}\n{command}", violation.id, violation.sentence, violation.what);
        }
        report.add(world.report());
    }
    println!("{:#?}", report.counts);
    for (name, least) in [
        ("jobs done", SEEDS * 3 / 4),
        ("processes killed", 2 * SEEDS),
        ("coordinators killed", SEEDS / 2),
        ("processes started again", 2 * SEEDS),
        ("nodes cut off", SEEDS / 4),
        ("views", 3 * SEEDS),
        ("commands applied", 20 * SEEDS),
        ("steps applied", 50 * SEEDS),
        ("councils founded", SEEDS / 4),
        ("councils that gave way", SEEDS / 12),
        ("nodes that went over to another council", SEEDS / 2),
        ("messages of another council", SEEDS),
    ] {
        assert!(report.count(name) >= least, "{} {name}, at least {least} expected", report.count(name));
    }
}

/// Runs seeds until one finds `fault` as `id`.
fn is_found(fault: JointFault, seeds: u64, ids: &[&str]) {
    for seed in 0..seeds {
        let world = run_joint(seed, Some(fault), false);
        if let Some(violation) = world.violation() {
            println!("{fault:?} found by seed {seed}: {} {:.100}", violation.id, violation.what);
            assert!(ids.contains(&violation.id), "found as {}: {}", violation.id, violation.what);
            return;
        }
    }
    panic!("{fault:?} is not found by {seeds} seeds");
}

#[test]
fn a_vote_sent_before_it_is_on_disk_is_found() {
    is_found(JointFault::VoteNotPersisted, 5, &["S2"]);
}

#[test]
fn entries_acknowledged_before_they_are_on_disk_are_found() {
    is_found(JointFault::EntriesNotPersisted, 5, &["S2"]);
}

#[test]
fn messages_of_another_council_that_are_taken_are_found() {
    is_found(JointFault::CouncilIdIgnored, 400, &["S2", "C1", "C2", "V1", "P1"]);
}

#[test]
fn a_council_that_does_not_give_way_is_found() {
    is_found(JointFault::YieldIgnored, 60, &["C2", "P1"]);
}

#[test]
fn the_log_of_an_old_council_left_on_disk_is_found() {
    is_found(JointFault::OldLogKept, 1000, &["S2"]);
}

#[test]
fn a_joint_seed_is_one_run() {
    let (one, two) = (run_joint(7, None, true), run_joint(7, None, true));
    assert!(!one.trace().is_empty());
    assert_eq!(one.trace(), two.trace());
    assert_eq!(one.report(), two.report());
}
