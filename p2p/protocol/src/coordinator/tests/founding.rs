//! All members with the state are gone: the next lineage.

use super::cluster::{Cluster, fresh_coordinator, name};
use crate::coordinator::CoordinatorInput;
use crate::coordinator::limits::{
    FOUNDING_GRACE_MS, JOIN_BATCH_MS, ORIGIN_GRACE_MS, SILENCE_GRACE_MS, UNSEEN_GRACE_MS,
};
use crate::ids::{Epoch, Incarnation};
use crate::ledger::JobPlan;
use crate::ledger::testing::{chain, digest, plan};
use crate::view::Origin;

/// Job 1 on nodes 1 to 3 with checkpoints of step 10 on all of them and of step 20 on `newest_holders`; then all are
/// killed, and node 1 comes back as coordinator in process 2.
fn restarted(newest_holders: &[u8]) -> Cluster {
    let mut cluster = Cluster::running(3, plan());
    for step in 1..=25 {
        cluster.all_apply(step);
    }
    cluster.all_write(10);
    for number in newest_holders {
        cluster.report(*number, super::cluster::written(20));
    }
    cluster.pass_ms(1_000);
    assert_eq!(cluster.job().committed_to().0, 25);
    cluster.coordinator = fresh_coordinator(1, 2);
    cluster.applied.clear();
    cluster.input(CoordinatorInput::Elected { term: 2 });
    cluster
}

fn origin(step: u64) -> Origin {
    Origin::Checkpoint { step, chain: chain(step), digest: digest(step) }
}

#[test]
fn when_all_are_back_they_found_the_next_lineage_at_once() {
    let mut cluster = restarted(&[1, 2, 3]);
    cluster.join(2, 2);
    assert_eq!(cluster.view().epoch, Epoch(1));
    assert!(cluster.why().contains(&name(3)), "{}", cluster.why());
    cluster.join(3, 2);
    assert_eq!(cluster.members(), [(1, 2, 2), (2, 2, 2), (3, 2, 2)]);
    let view = cluster.view();
    assert_eq!((view.incarnation, view.founding_epoch, view.origin), (Incarnation(2), Epoch(2), origin(20)));
    assert!(cluster.reason().contains("steps 20 to 25 are done again"), "{}", cluster.reason());
    assert_eq!(cluster.job().committed_to(), (20, chain(20)));
    assert_eq!([1, 2, 3].map(|number| cluster.lease(number).len()), [4, 4, 4]);
    cluster.all_apply(21);
    cluster.pass_ms(1_000);
    assert_eq!(cluster.coordinator.progress(cluster.view().job).unwrap().stable_step, 21);
}

#[test]
fn one_that_does_not_come_back_is_not_waited_for_long() {
    let mut cluster = restarted(&[1, 2, 3]);
    cluster.join(2, 2);
    cluster.pass_ms(UNSEEN_GRACE_MS.max(FOUNDING_GRACE_MS));
    assert_eq!(cluster.members(), [(1, 2, 2), (2, 2, 2)]);
    cluster.join(3, 2);
    cluster.pass_ms(JOIN_BATCH_MS);
    assert_eq!(cluster.members(), [(1, 2, 2), (2, 2, 2), (3, 2, 3)]);
    assert_eq!(cluster.view().incarnation, Incarnation(2));
}

#[test]
fn founders_hold_the_checkpoint_and_the_others_join() {
    let mut cluster = restarted(&[2]);
    cluster.join(2, 2);
    cluster.join(3, 2);
    assert_eq!(cluster.members(), [(2, 2, 2)]);
    assert_eq!(cluster.view().origin, origin(20));
    cluster.pass_ms(JOIN_BATCH_MS);
    assert_eq!(cluster.members(), [(1, 2, 3), (2, 2, 2), (3, 2, 3)]);
    assert_eq!(cluster.lease(2).len(), 12);
}

#[test]
fn an_older_checkpoint_is_taken_only_after_waiting_for_the_holders_of_the_newest() {
    let mut cluster = restarted(&[2]);
    cluster.join(3, 2);
    cluster.pass_ms(ORIGIN_GRACE_MS - 1);
    assert_eq!(cluster.view().epoch, Epoch(1));
    assert!(cluster.why().contains(&format!("checkpoint of step 20 ({})", name(2))), "{}", cluster.why());
    cluster.pass_ms(1);
    assert_eq!((cluster.view().origin, cluster.job().committed_to().0), (origin(10), 10));
    assert_eq!(cluster.members(), [(1, 2, 2), (3, 2, 2)]);
    assert_eq!(cluster.job().checkpoints.len(), 1, "the one that nobody here holds is of no use any more");
}

#[test]
fn without_any_checkpoint_it_starts_from_the_seed() {
    let mut cluster = Cluster::running(2, JobPlan { checkpoint_every: 0, ..plan() });
    cluster.all_apply(1);
    cluster.coordinator = fresh_coordinator(1, 2);
    cluster.input(CoordinatorInput::Elected { term: 2 });
    cluster.join(2, 2);
    assert_eq!((cluster.view().origin, cluster.view().incarnation), (Origin::Seed, Incarnation(2)));
    assert_eq!(cluster.job().committed_to().0, 0);
}

#[test]
fn with_a_checkpoint_that_nobody_here_holds_it_waits_and_says_for_whom() {
    let mut cluster = Cluster::running(2, plan());
    for step in 1..=10 {
        cluster.all_apply(step);
    }
    cluster.report(2, super::cluster::written(10));
    cluster.pass_ms(1_000);
    cluster.coordinator = fresh_coordinator(1, 2);
    cluster.input(CoordinatorInput::Elected { term: 2 });
    cluster.pass_ms(60_000);
    assert_eq!(cluster.view().epoch, Epoch(1));
    assert!(
        cluster.why().contains("no timer ends this") && cluster.why().contains(&name(2)),
        "{}",
        cluster.why()
    );
    cluster.join(2, 2);
    assert_eq!(cluster.members(), [(2, 2, 2)]);
}

#[test]
fn a_member_alive_through_the_coordinators_restart_carries_the_lineage_on() {
    let mut cluster = restarted(&[1, 2, 3]);
    cluster.pass_ms(UNSEEN_GRACE_MS / 2);
    assert_eq!(cluster.view().epoch, Epoch(1));
    cluster.connect(2, 1);
    assert_eq!(cluster.view().incarnation, Incarnation(1));
    assert!(cluster.members().contains(&(2, 1, 1)) && cluster.members().contains(&(1, 2, 2)));
    cluster.pass_ms(UNSEEN_GRACE_MS);
    assert_eq!(cluster.members(), [(1, 2, 2), (2, 1, 1)], "node 3 never came");
}

#[test]
fn the_last_member_with_the_state_is_waited_for_longer_if_it_is_only_silent() {
    let mut cluster = Cluster::new(2);
    cluster.lose(1, 1, true);
    // Node 2 alone runs the job, node 1 joins it; then node 2 falls silent before node 1 has the state.
    cluster.apply(crate::ledger::testing::submit(1, plan()));
    let members = vec![crate::ledger::testing::member(2, 1, 1)];
    assert_eq!(cluster.members().len(), 2);
    let job = cluster.ledger.jobs.get_mut(&crate::ledger::testing::job_id(1)).unwrap();
    job.view = Some(crate::ledger::testing::view(1, 1, members, 0));
    job.synced.retain(|(life, _)| life.node == crate::ledger::testing::node(2));
    cluster.pass_ms(2 * JOIN_BATCH_MS);
    cluster.input(CoordinatorInput::Tick);
    cluster.pass_ms(2 * JOIN_BATCH_MS);
    assert_eq!(cluster.members(), [(1, 1, 2), (2, 1, 1)]);
    cluster.lose(2, 1, false);
    cluster.pass_ms(SILENCE_GRACE_MS - 1);
    assert_eq!(cluster.view().epoch, Epoch(2), "removing it would break continuity");
    assert!(cluster.why().contains("no member with the state is left"), "{}", cluster.why());
    cluster.pass_ms(1);
    assert_eq!((cluster.members(), cluster.view().incarnation), (vec![(1, 1, 3)], Incarnation(2)));
}
