//! The rules hold: a thousand runs of each commit, more by `cargo run -p traind-simulator --release -- --seeds A..B`.

use traind_simulator::{Report, command_of, run};

fn sweep(seeds: std::ops::Range<u64>) -> Report {
    let mut report = Report::default();
    for seed in seeds {
        let world = run(seed, None, false);
        if let Some(violation) = world.violation() {
            panic!("{} is broken: {}\n{}", violation.id, violation.what, command_of(seed));
        }
        report.add(&world.report());
    }
    report
}

#[test]
fn a_thousand_seeds_break_nothing() {
    let report = sweep(0..1000);
    println!("{report}");
    // A harness whose faults do not happen finds nothing.
    let happened = [
        ("crashes", report.crashes, 1000),
        ("restarts", report.restarts, 1000),
        ("evictions of the living", report.evictions_of_the_living, 1000),
        ("cascading views", report.views_cascading, 5000),
        ("joins", report.joins, 5000),
        ("broken paths", report.paths_broken, 2000),
        ("partitions", report.partitions, 1000),
        ("failed computations", report.computations_failed, 100),
        ("orderly leaves", report.drained, 300),
        ("halts", report.halts, 1000),
        ("members that halted", report.halted, 2000),
        ("orderly runs", report.orderly_runs, 150),
        ("steps of orderly runs", report.orderly_steps, 1500),
        ("refolds", report.refolds, 50),
        ("lineages continued", report.lineages_continued, 10),
        ("stable steps", report.stable_steps, 5000),
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
    }
}
