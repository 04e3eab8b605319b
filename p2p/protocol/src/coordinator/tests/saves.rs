//! Checkpoints by time, and those that could not be written.

use super::cluster::{Cluster, applied, fresh_coordinator, written};
use crate::coordinator::CoordinatorInput;
use crate::coordinator::limits::{JOIN_BATCH_MS, PROGRESS_INTERVAL_MS, SAVE_AHEAD_STEPS_MIN};
use crate::ledger::testing::{job_id, plan, submit};
use crate::ledger::{JobPlan, KeepRules, LedgerCommand};
use crate::wire::control::ReportEvent;

const EVERY_MS: u64 = 10_000;

/// Job 1 on so many nodes, with a checkpoint every ten seconds.
fn timed(nodes: u8) -> Cluster {
    let mut cluster = Cluster::new(nodes);
    let plan = JobPlan { steps: 1000, checkpoint_every: 0, ..plan() };
    let command = match submit(1, plan) {
        LedgerCommand::SubmitJob { id, name, spec_toml, plan, data_digest, initial, by, .. } => {
            let rules = KeepRules { every_ms: EVERY_MS, ..KeepRules::default() };
            LedgerCommand::SubmitJob { id, name, spec_toml, plan, data_digest, initial, by, rules }
        }
        other => other,
    };
    cluster.apply(command);
    cluster
}

fn due(cluster: &Cluster) -> Vec<u64> {
    cluster.ledger.keeping_of(job_id(1)).due
}

#[test]
fn a_checkpoint_is_due_after_a_step_that_no_member_has_reached() {
    let mut cluster = timed(2);
    for step in 1..=20 {
        cluster.all_apply(step);
        cluster.pass_ms(450);
    }
    assert!(due(&cluster).is_empty(), "{:?}", due(&cluster));
    cluster.pass_ms(1000);
    // 20 steps in ten seconds: two in the second ahead, and some more.
    let first = due(&cluster)[0];
    assert!((20 + SAVE_AHEAD_STEPS_MIN..30).contains(&first), "{first}");
    cluster.pass_ms(EVERY_MS / 2);
    assert_eq!(due(&cluster), [first], "one at a time");
    for step in 21..=first {
        cluster.all_apply(step);
    }
    for number in [1, 2] {
        cluster.report(number, written(first));
    }
    cluster.pass_ms(1000);
    assert!(cluster.ledger.jobs[&job_id(1)].checkpoints.iter().any(|entry| entry.step == first));
    cluster.pass_ms(EVERY_MS);
    assert_eq!(due(&cluster).len(), 2, "the next one");
}

#[test]
fn a_new_coordinator_begins_the_time_anew_and_counts_on_what_is_due() {
    let mut cluster = timed(2);
    cluster.all_apply(1);
    cluster.pass_ms(EVERY_MS + 100);
    let before = due(&cluster);
    assert_eq!(before.len(), 1);
    cluster.coordinator = fresh_coordinator(1, 1);
    cluster.input(CoordinatorInput::Elected { term: 2 });
    cluster.input(CoordinatorInput::PeerJoined {
        node: crate::ledger::testing::node(2),
        boot: crate::ids::Boot(1),
    });
    cluster.pass_ms(EVERY_MS / 2);
    assert_eq!(due(&cluster), before);
    // Nobody got there: no other is made due before it is past.
    cluster.pass_ms(2 * EVERY_MS);
    let after = due(&cluster);
    assert!(after.windows(2).all(|pair| pair[0] < pair[1]), "{after:?}");
}

#[test]
fn while_a_joiner_fetches_a_checkpoint_is_due_ahead_of_the_others_and_one_that_lies_puts_none_off() {
    let mut cluster = timed(3);
    cluster.all_apply(1);
    cluster.join(4, 1);
    cluster.pass_ms(JOIN_BATCH_MS);
    assert_eq!(cluster.view().members.len(), 4);
    for step in 2..=200 {
        [1, 2].into_iter().for_each(|number| cluster.report(number, applied(step)));
        cluster.report(3, applied(990));
        cluster.pass_ms(60);
    }
    let first = due(&cluster)[0];
    // 10 s are 167 steps, and a second ahead of that are 17 more.
    assert!((170..200).contains(&first), "{first}");
}

#[test]
fn without_a_time_nothing_is_due() {
    let mut cluster = Cluster::running(2, plan());
    cluster.all_apply(1);
    cluster.pass_ms(100 * EVERY_MS);
    assert!(due(&cluster).is_empty());
}

/// By node number the latest checkpoint that was told to be on no disk of it.
fn unwritten(cluster: &mut Cluster) -> Vec<(u8, u64, String)> {
    cluster.pass_ms(PROGRESS_INTERVAL_MS);
    let progress = cluster.coordinator.progress(job_id(1)).unwrap();
    progress.unwritten.iter().map(|row| (row.node.0[0], row.step, row.reason.clone())).collect()
}

fn not_written(step: u64) -> ReportEvent {
    ReportEvent::CheckpointNotWritten { step, reason: "disk full".to_owned() }
}

#[test]
fn a_checkpoint_that_is_on_no_disk_is_told_until_a_later_one_is_or_its_node_is_gone() {
    let row = |number: u8, step: u64| (number, step, "disk full".to_owned());
    let mut cluster = Cluster::running(3, plan());
    cluster.report(1, not_written(5));
    cluster.report(2, not_written(10));
    // Told again in a new view, an older one is no news; neither is one that the job cannot have.
    cluster.report(2, not_written(5));
    cluster.report(3, not_written(plan().steps + 1));
    assert_eq!(unwritten(&mut cluster), [row(1, 5), row(2, 10)]);
    // What another wrote, or what lies before it, makes up for nothing.
    cluster.report(3, written(10));
    cluster.report(2, written(5));
    assert_eq!(unwritten(&mut cluster), [row(1, 5), row(2, 10)]);
    cluster.report(1, written(10));
    assert_eq!(unwritten(&mut cluster), [row(2, 10)]);
    cluster.lose(2, 1, true);
    assert!(unwritten(&mut cluster).is_empty(), "{:?}", cluster.members());
}
