//! Members whose states differ although their results are the same.

use super::cluster::{Cluster, applied, written};
use crate::coordinator::limits::{CHECKPOINT_BATCH_MS, DIVERGED_RETRY_MS, JOIN_BATCH_MS};
use crate::ledger::testing::{node, plan};
use crate::wire::control::ReportEvent;
use crate::wire::state_sample::{SamplePiece, StateSample};

/// Two tensors, the second with this hash.
fn sample(step: u64, second: u8) -> StateSample {
    let piece = |tensor: &str, hash: u8| SamplePiece { tensor: tensor.to_owned(), hash: [hash; 8] };
    let pieces = vec![piece("fc1.bias", 1), piece("fc1.weight", second)];
    StateSample { step, round_steps: 4, pieces }
}

/// `number` applied a step, and its state looks like that.
fn sampled(cluster: &mut Cluster, number: u8, step: u64, second: u8) {
    let ReportEvent::Applied { step, chain, point, work, .. } = applied(step) else { return };
    let sample = Some(sample(step, second));
    cluster.report(number, ReportEvent::Applied { step, chain, point, sample, work });
}

#[test]
fn whoever_the_majority_contradicts_leaves_is_named_with_the_tensor_and_comes_back_without_a_state() {
    let mut cluster = Cluster::running(3, plan());
    for number in 1..=3 {
        sampled(&mut cluster, number, 6, 7);
    }
    assert_eq!(cluster.view().members.len(), 3, "they agree");
    sampled(&mut cluster, 1, 7, 7);
    sampled(&mut cluster, 2, 7, 9);
    assert_eq!(cluster.view().members.len(), 3, "one against one");
    let before = cluster.view().epoch;
    sampled(&mut cluster, 3, 7, 7);
    let reason = &cluster.job().view_changes.last().unwrap().reason;
    let name = node(2).friendly_name();
    let expected = format!(
        "{name}'s state differs after step 7, first in fc1.weight; its gradients of steps 4 to 7 may have been wrong; {name} came back"
    );
    assert_eq!(*reason, expected);
    let tenure = cluster.view().member_on(node(2)).expect("it comes back at once").tenure;
    assert!(tenure > before && tenure == cluster.view().epoch);
    assert!(cluster.lease(2).is_empty(), "it has to fetch the state");
    assert!(!cluster.synced().iter().any(|(life, _)| life.node == node(2)), "it has to fetch the state");
}

#[test]
fn a_node_that_diverges_again_stays_outside_for_longer_each_time() {
    let mut cluster = Cluster::running(3, plan());
    let mut step = 1;
    for times in 0..4 {
        for (number, hash) in [(1, 7), (2, 9), (3, 7)] {
            sampled(&mut cluster, number, step, hash);
        }
        if times > 0 {
            let outside_ms = DIVERGED_RETRY_MS << (times - 1);
            cluster.pass_ms(outside_ms - 1);
            assert!(cluster.view().member_on(node(2)).is_none(), "time {times}");
            assert!(
                cluster.why().contains("diverged more than once and may not join yet"),
                "{}",
                cluster.why()
            );
            cluster.pass_ms(JOIN_BATCH_MS + 1);
        }
        assert!(cluster.view().member_on(node(2)).is_some(), "time {times}");
        step += 1;
        let epoch = cluster.view().epoch;
        let (step, chain) = (step - 1, crate::ledger::testing::chain(step - 1));
        cluster.report_in(epoch, 2, ReportEvent::Synced { step, chain });
    }
}

#[test]
fn without_a_majority_both_are_named_and_nobody_leaves() {
    let mut cluster = Cluster::running(2, plan());
    sampled(&mut cluster, 1, 3, 7);
    sampled(&mut cluster, 2, 3, 9);
    assert_eq!(cluster.view().members.len(), 2);
    let why = cluster.why();
    for words in
        [&node(1).friendly_name(), &node(2).friendly_name(), "fc1.weight", "no majority says which is right"]
    {
        assert!(why.contains(words), "{words}: {why}");
    }
}

#[test]
fn what_a_diverged_node_wrote_is_no_checkpoint() {
    let mut cluster = Cluster::running(3, plan());
    for step in 1..=10 {
        cluster.all_apply(step);
    }
    let ReportEvent::CheckpointWritten { step, chain, manifest, .. } = written(10) else { return };
    let wrong = crate::ledger::testing::digest(99);
    cluster.report(2, ReportEvent::CheckpointWritten { step, chain, digest: wrong, bytes: 1000, manifest });
    for (number, hash) in [(1, 7), (2, 9), (3, 7)] {
        sampled(&mut cluster, number, 10, hash);
    }
    cluster.report(1, written(10));
    cluster.report(3, written(10));
    cluster.pass_ms(2 * CHECKPOINT_BATCH_MS);
    let checkpoints = &cluster.job().checkpoints;
    assert_eq!(checkpoints.len(), 1);
    assert_eq!(checkpoints[0].digest, crate::ledger::testing::digest(10));
    assert!(!cluster.why().contains("recorded is"), "{}", cluster.why());
}
