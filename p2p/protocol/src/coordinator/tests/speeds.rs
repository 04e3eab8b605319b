//! Work that moves because a member is slow.

use super::cluster::{Cluster, applied};
use crate::coordinator::limits::{JOIN_BATCH_MS, REBALANCE_INTERVAL_MS, SPEED_WINDOW_MICROBATCHES};
use crate::ledger::testing::{node, plan};
use crate::wire::control::{ReportEvent, WorkCounters};

/// All apply a step, having spent so many µs on each micro-batch since the start.
fn all_apply(cluster: &mut Cluster, step: u64, microbatch_us: [u64; 3]) {
    for (number, us) in (1..=3).zip(microbatch_us) {
        let ReportEvent::Applied { step, chain, point, sample, .. } = applied(step) else { return };
        let microbatches_computed = step * SPEED_WINDOW_MICROBATCHES;
        let computing_us = us * microbatches_computed;
        let work = WorkCounters { microbatches_computed, computing_us, ..WorkCounters::default() };
        cluster.report(number, ReportEvent::Applied { step, chain, point, sample, work });
    }
}

fn loads(cluster: &Cluster) -> [usize; 3] {
    [1, 2, 3].map(|number| cluster.lease(number).len())
}

#[test]
fn a_slow_member_gets_less_after_a_while_and_more_again_when_it_has_recovered() {
    let mut cluster = Cluster::running(3, plan());
    all_apply(&mut cluster, 1, [100; 3]);
    all_apply(&mut cluster, 2, [100, 115, 100]);
    cluster.pass_ms(REBALANCE_INTERVAL_MS);
    assert_eq!(loads(&cluster), [4, 4, 4], "hardly slower");
    all_apply(&mut cluster, 3, [100, 400, 100]);
    assert_eq!(loads(&cluster), [6, 1, 5]);
    let reason = &cluster.job().view_changes.last().unwrap().reason;
    assert!(reason.starts_with(&format!("{} takes ", node(2).friendly_name())), "{reason}");
    assert!(reason.ends_with(" times as long as the quickest: work moves"), "{reason}");
    // Counters go on from the same start, so a quick window after it is what a fall of the mean by as much shows.
    all_apply(&mut cluster, 4, [100, 325, 100]);
    assert_eq!(loads(&cluster), [6, 1, 5], "not at once");
    cluster.pass_ms(REBALANCE_INTERVAL_MS);
    assert_eq!(loads(&cluster), [4, 4, 4]);
}

#[test]
fn nothing_moves_for_speed_right_after_a_view() {
    let mut cluster = Cluster::running(3, plan());
    all_apply(&mut cluster, 1, [100; 3]);
    all_apply(&mut cluster, 2, [100, 400, 100]);
    cluster.pass_ms(REBALANCE_INTERVAL_MS - JOIN_BATCH_MS);
    assert_eq!(loads(&cluster), [4, 4, 4]);
    cluster.pass_ms(JOIN_BATCH_MS);
    assert_eq!(loads(&cluster), [6, 1, 5]);
}
