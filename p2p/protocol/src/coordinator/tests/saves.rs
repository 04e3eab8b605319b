//! Checkpoints by time.

use super::cluster::{Cluster, fresh_coordinator, written};
use crate::coordinator::CoordinatorInput;
use crate::coordinator::limits::SAVE_AHEAD_STEPS_MIN;
use crate::ledger::testing::{job_id, plan, submit};
use crate::ledger::{JobPlan, KeepRules, LedgerCommand};

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
fn without_a_time_nothing_is_due() {
    let mut cluster = Cluster::running(2, plan());
    cluster.all_apply(1);
    cluster.pass_ms(100 * EVERY_MS);
    assert!(due(&cluster).is_empty());
}
