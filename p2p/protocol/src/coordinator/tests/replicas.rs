//! Copies of checkpoints: who is chosen to fetch one, when, and when another is.

use std::collections::BTreeSet;

use super::cluster::{Cluster, fresh_coordinator, written};
use crate::coordinator::CoordinatorInput;
use crate::coordinator::limits::{
    CHECKPOINT_BATCH_MS, HOLDER_GRACE_MS, REPAIR_MS_MAX, REPAIRS_AT_ONCE_MAX, REPLICA_GRACE_MS,
    REPLICAS_INTERVAL_MS,
};
use crate::ids::NodeId;
use crate::ledger::testing::{checkpoint, job_id, manifest, node, plan};
use crate::ledger::{CheckpointEntry, JobPlan, LedgerCommand};
use crate::replicas::choose_writers;

const LOOK_MS: u64 = 2 * REPLICAS_INTERVAL_MS;

fn two_copies() -> JobPlan {
    JobPlan { checkpoint_replicas: 2, ..plan() }
}

/// Job 1 on `nodes` nodes, with a checkpoint of step 10 on those two that were to write it, and they.
fn written_by_two(nodes: u8) -> (Cluster, Vec<u8>) {
    let mut cluster = Cluster::running(nodes, two_copies());
    (1..=10).for_each(|step| cluster.all_apply(step));
    let writers: Vec<u8> = choose_writers(cluster.view(), &[], 10, 2).iter().map(|node| node.0[0]).collect();
    writers.iter().for_each(|writer| cluster.report(*writer, written(10)));
    assert_eq!(cluster.job().checkpoints, [checkpoint(10, &writers)], "at once, all who write it have");
    (cluster, writers)
}

fn entry(cluster: &Cluster) -> &CheckpointEntry {
    &cluster.job().checkpoints[0]
}

fn assigned(cluster: &Cluster) -> Vec<u8> {
    entry(cluster).assigned.iter().map(|node| node.0[0]).collect()
}

/// Whoever was chosen has the copy.
fn record(cluster: &mut Cluster, holder: u8) {
    let entry = checkpoint(10, &[holder]);
    cluster.apply(LedgerCommand::RecordCheckpoint { job: job_id(1), entry });
}

/// A writer that is not node 1, the coordinator.
fn other(writers: &[u8]) -> u8 {
    *writers.iter().find(|writer| **writer != 1).unwrap()
}

#[test]
fn nobody_fetches_what_enough_nodes_hold() {
    let (mut cluster, _) = written_by_two(4);
    cluster.applied.clear();
    cluster.pass_ms(10 * HOLDER_GRACE_MS);
    assert!(cluster.applied.is_empty(), "{:?}", cluster.applied);
}

#[test]
fn a_holder_that_dies_is_made_up_for_after_a_while_and_one_that_comes_back_is_not() {
    let (mut cluster, writers) = written_by_two(4);
    let dead = other(&writers);
    cluster.lose(dead, 1, true);
    cluster.pass_ms(HOLDER_GRACE_MS - 1_000);
    assert!(assigned(&cluster).is_empty());
    cluster.join(dead, 2);
    cluster.pass_ms(2 * HOLDER_GRACE_MS);
    assert!(assigned(&cluster).is_empty(), "it is back, with its disk");

    cluster.lose(dead, 2, true);
    cluster.pass_ms(HOLDER_GRACE_MS + REPLICA_GRACE_MS + LOOK_MS);
    let [chosen] = assigned(&cluster)[..] else { panic!("{:?}", entry(&cluster)) };
    assert!(!writers.contains(&chosen));
    record(&mut cluster, chosen);
    assert!(assigned(&cluster).is_empty() && entry(&cluster).holders.contains(&node(chosen)));
    cluster.applied.clear();
    cluster.pass_ms(HOLDER_GRACE_MS);
    let assigns = |command: &LedgerCommand| matches!(command, LedgerCommand::AssignCheckpoint { .. });
    assert!(!cluster.applied.iter().any(assigns), "two hold it, and the dead one may still");
}

#[test]
fn a_damaged_copy_is_fetched_again_and_a_writer_that_never_wrote_is_made_up_for() {
    let (mut cluster, writers) = written_by_two(3);
    let holder = Some(node(writers[0]));
    cluster.apply(LedgerCommand::DropCheckpoint { job: job_id(1), step: 10, holder });
    cluster.pass_ms(REPLICA_GRACE_MS - 1_000);
    assert!(assigned(&cluster).is_empty(), "who writes it is waited for");
    cluster.pass_ms(1_000 + LOOK_MS);
    assert_eq!(assigned(&cluster).len(), 1);
}

#[test]
fn a_holder_that_drains_for_good_is_made_up_for_at_once() {
    let (mut cluster, writers) = written_by_two(4);
    cluster.drain(other(&writers));
    cluster.pass_ms(LOOK_MS);
    assert_eq!(assigned(&cluster).len(), 1);
    let (mut cluster, writers) = written_by_two(4);
    cluster.terminate(other(&writers));
    cluster.pass_ms(LOOK_MS);
    assert!(assigned(&cluster).is_empty(), "a process that ends comes back");
}

#[test]
fn another_is_chosen_for_one_that_dies_or_takes_too_long() {
    let (mut cluster, writers) = written_by_two(5);
    cluster.drain(other(&writers));
    cluster.pass_ms(LOOK_MS);
    let [first] = assigned(&cluster)[..] else { panic!("{:?}", entry(&cluster)) };
    cluster.pass_ms(REPAIR_MS_MAX + LOOK_MS);
    let [second] = assigned(&cluster)[..] else { panic!("{:?}", entry(&cluster)) };
    assert!(second != first, "node {first} did not get it in time");
    cluster.lose(second, 1, true);
    cluster.pass_ms(HOLDER_GRACE_MS + LOOK_MS);
    assert!(!assigned(&cluster).contains(&second) && !assigned(&cluster).contains(&first));
}

#[test]
fn who_waits_for_holders_that_are_gone_keeps_no_place_and_is_chosen_again_when_one_is_back() {
    let (mut cluster, writers) = written_by_two(3);
    // The other two hold it: the coordinator's own node is the only one that could fetch it.
    let third = (2..=3).find(|number| !writers.contains(number)).unwrap();
    record(&mut cluster, third);
    let holder = Some(node(1));
    cluster.apply(LedgerCommand::DropCheckpoint { job: job_id(1), step: 10, holder });
    let writers = [other(&writers), third];
    assert_eq!(entry(&cluster).holders, writers.map(node).into());
    cluster.lose(writers[0], 1, true);
    cluster.pass_ms(HOLDER_GRACE_MS + REPLICA_GRACE_MS + LOOK_MS);
    assert_eq!(assigned(&cluster), [1]);
    cluster.lose(writers[1], 1, true);
    cluster.pass_ms(REPAIR_MS_MAX / 2);
    assert_eq!(assigned(&cluster), [1], "a holder may be back soon");
    cluster.pass_ms(REPAIR_MS_MAX);
    assert!(assigned(&cluster).is_empty(), "others need the place");
    cluster.join(writers[1], 2);
    cluster.pass_ms(REPLICA_GRACE_MS + LOOK_MS);
    assert_eq!(assigned(&cluster), [1], "it can be fetched again, by whoever waited too");
}

#[test]
fn nothing_is_done_while_no_holder_is_here_or_nobody_could_fetch() {
    let mut cluster = Cluster::running(1, two_copies());
    (1..=10).for_each(|step| cluster.all_apply(step));
    cluster.report(1, written(10));
    cluster.pass_ms(CHECKPOINT_BATCH_MS + 2 * HOLDER_GRACE_MS);
    assert!(assigned(&cluster).is_empty() && entry(&cluster).holders == BTreeSet::from([node(1)]));
    cluster.join(2, 1);
    cluster.pass_ms(REPLICA_GRACE_MS + LOOK_MS);
    assert_eq!(assigned(&cluster), [2], "a node that comes gets one");
}

#[test]
fn only_so_many_are_fetched_at_a_time_and_a_new_coordinator_goes_on() {
    let mut cluster = Cluster::running(2, JobPlan { checkpoint_keep: 10, checkpoint_replicas: 3, ..plan() });
    for step in 1..=100 {
        cluster.all_apply(step);
        if step % 10 == 0 {
            cluster.all_write(step);
        }
    }
    cluster.join(3, 1);
    cluster.pass_ms(REPLICA_GRACE_MS + LOOK_MS);
    let assigned = |cluster: &Cluster| -> usize {
        cluster.job().checkpoints.iter().map(|entry| entry.assigned.len()).sum()
    };
    assert_eq!(assigned(&cluster), REPAIRS_AT_ONCE_MAX);

    cluster.coordinator = fresh_coordinator(1, 1);
    cluster.connect(2, 1);
    cluster.connect(3, 1);
    cluster.input(CoordinatorInput::Elected { term: 2 });
    for _ in 0..10 {
        let fetching: Vec<(u64, Vec<NodeId>)> = cluster
            .job()
            .checkpoints
            .iter()
            .map(|entry| (entry.step, entry.assigned.iter().copied().collect()))
            .collect();
        for (step, nodes) in fetching {
            for holder in nodes {
                let entry = checkpoint(step, &[holder.0[0]]);
                assert_eq!(entry.manifest, manifest(step));
                cluster.apply(LedgerCommand::RecordCheckpoint { job: job_id(1), entry });
            }
        }
        cluster.pass_ms(REPLICA_GRACE_MS + LOOK_MS);
        assert!(assigned(&cluster) <= REPAIRS_AT_ONCE_MAX);
    }
    let counts: Vec<usize> = cluster.job().checkpoints.iter().map(|entry| entry.holders.len()).collect();
    assert_eq!(counts, [3; 10]);
}
