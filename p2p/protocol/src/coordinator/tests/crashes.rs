//! Nodes whose processes die again and again.

use super::cluster::{Cluster, name};
use crate::coordinator::limits::{CRASHED_RETRY_MS, CRASHED_RETRY_MS_MAX, JOIN_BATCH_MS};
use crate::ids::{Epoch, NodeId};
use crate::ledger::testing::{node, plan};

/// The process `boot` of node 2 dies and the next one asks to be taken in.
fn crash(cluster: &mut Cluster, boot: u64) {
    cluster.lose(2, boot, true);
    assert!(cluster.view().member_on(node(2)).is_none(), "who is dead is no member");
    cluster.join(2, boot + 1);
}

fn is_member(cluster: &Cluster) -> bool {
    cluster.view().member_on(node(2)).is_some()
}

/// Passes the time after which a node that has not crashed much is a member again, then what is missing of the delay; whether it
/// was kept out until then and no longer.
fn is_taken_back_after(cluster: &mut Cluster, delay_ms: u64) -> bool {
    cluster.pass_ms(delay_ms.saturating_sub(1));
    let was_outside = !is_member(cluster);
    cluster.pass_ms(1 + JOIN_BATCH_MS);
    was_outside && is_member(cluster)
}

#[test]
fn from_the_third_crash_in_a_row_on_a_node_is_taken_back_later_each_time() {
    let mut cluster = Cluster::running(3, plan());
    for boot in 1..=2 {
        crash(&mut cluster, boot);
        cluster.pass_ms(JOIN_BATCH_MS);
        assert!(is_member(&cluster), "crash {boot} costs nothing");
    }
    for (boot, delay_ms) in (3..).zip([250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000])
    {
        crash(&mut cluster, boot);
        let words = format!("{} crashed {boot} times in a row and may not join yet", name(2));
        assert!(cluster.why().contains(&words), "{}", cluster.why());
        cluster.pass_ms(JOIN_BATCH_MS);
        let epoch = cluster.view().epoch;
        assert!(is_taken_back_after(&mut cluster, delay_ms - JOIN_BATCH_MS), "crash {boot}");
        assert_eq!(cluster.view().epoch, Epoch(epoch.0 + 1), "one view takes it back");
    }
    assert_eq!((CRASHED_RETRY_MS, CRASHED_RETRY_MS_MAX), (250, 60_000));
    assert_eq!(cluster.members().len(), 3, "the others have gone on");
}

#[test]
fn everyone_hears_who_is_kept_out_for_its_crashes() {
    let mut cluster = Cluster::running(3, plan());
    for boot in 1..=5 {
        cluster.lose(2, boot, true);
        cluster.join(2, boot + 1);
        cluster.pass_ms(if boot < 5 { 5_000 } else { 300 });
    }
    let told = &cluster.progress().last().unwrap().kept_out;
    let words: Vec<(NodeId, &str)> = told.iter().map(|row| (row.node, row.reason.as_str())).collect();
    assert_eq!(words, [(node(2), "it crashed 5 times in a row")]);
    let left_ms = told[0].ends_in_ms.unwrap();
    assert!((500..=1_000).contains(&left_ms), "and until when: {left_ms} ms");
    cluster.pass_ms(1_000);
    assert!(cluster.progress().last().unwrap().kept_out.is_empty() && is_member(&cluster));
}

#[test]
fn a_stable_step_that_the_node_worked_on_makes_its_crashes_forgotten() {
    let mut cluster = Cluster::running(3, plan());
    for boot in 1..=3 {
        crash(&mut cluster, boot);
        cluster.pass_ms(1_000);
    }
    // It has no work before it has the state, and the step in flight may be that of others.
    cluster.apply_step(1, 1);
    cluster.apply_step(3, 1);
    cluster.sync(2, 1);
    for step in 2..=4 {
        cluster.all_apply(step);
    }
    for boot in 4..=5 {
        crash(&mut cluster, boot);
        cluster.pass_ms(JOIN_BATCH_MS);
        assert!(is_member(&cluster), "it is counted anew");
    }
    crash(&mut cluster, 6);
    assert!(cluster.why().contains("crashed 3 times in a row"), "{}", cluster.why());
}

#[test]
fn who_is_only_silent_or_is_seen_dead_twice_has_not_crashed() {
    let mut cluster = Cluster::running(3, plan());
    for _ in 0..5 {
        cluster.lose(2, 1, false);
        cluster.connect(2, 1);
        cluster.pass_ms(JOIN_BATCH_MS);
        assert!(is_member(&cluster));
    }
    // Many passes see the same dead process before the council commits the view without it.
    cluster.is_council_stuck = true;
    cluster.lose(2, 1, true);
    (0..4).for_each(|_| cluster.pass_ms(100));
    cluster.join(2, 2);
    cluster.unstick();
    cluster.pass_ms(1_000);
    assert!(is_member(&cluster), "{}", cluster.why());
}

#[test]
fn the_last_node_that_could_go_on_is_never_kept_out() {
    let mut cluster = Cluster::running(2, plan());
    for boot in 1..=8 {
        crash(&mut cluster, boot);
        cluster.pass_ms(if boot < 8 { 20_000 } else { 0 });
    }
    assert!(!is_member(&cluster));
    // The other one is told to go: without the node the job would halt.
    cluster.terminate(1);
    cluster.pass_ms(JOIN_BATCH_MS);
    assert!(is_member(&cluster), "{} {}", cluster.reason(), cluster.why());
}
