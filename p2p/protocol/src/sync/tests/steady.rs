//! What steps cost when nothing, or one thing, goes wrong.

use super::cluster::{Cluster, MICROBATCHES, PARTS, life, view};
use crate::sync::{SyncBody, SyncWait};
use crate::view::View;
use crate::wire::step_wait::StepWait;

const FOUNDERS: [(u8, u64); 3] = [(1, 1), (2, 1), (3, 1)];

#[test]
fn a_sound_step_costs_two_hops_and_nothing_is_asked_or_sent_twice() {
    let steps = 5;
    let mut cluster = Cluster::new(&[1, 2, 3], steps);
    cluster.enter(&view(1, &FOUNDERS));
    cluster.settle();
    assert!(cluster.machines.values().all(|machine| machine.status().finished));
    assert!(cluster.machines.values().all(|machine| machine.numbers().applied == steps));

    // The first step follows a new view, so owners ask; each later one is pushed.
    let count = |is: fn(&SyncBody) -> Option<u64>, after: u64| {
        cluster.sent.iter().filter_map(|message| is(&message.body)).filter(|step| *step >= after).count()
    };
    let to_others = 2 * PARTS as usize;
    let contributions = |body: &SyncBody| match body {
        SyncBody::Contribution { step, .. } => Some(*step),
        _ => None,
    };
    let results = |body: &SyncBody| match body {
        SyncBody::Result { step, .. } => Some(*step),
        _ => None,
    };
    let needs = |body: &SyncBody| match body {
        SyncBody::NeedContribution { step, .. } | SyncBody::NeedResult { step, .. } => Some(*step),
        _ => None,
    };
    assert_eq!(count(contributions, 0), to_others * steps as usize);
    assert_eq!(count(results, 0), to_others * steps as usize);
    assert_eq!((count(needs, 0), count(needs, 1)), (to_others, 0));
    assert_eq!(cluster.computed, u64::from(MICROBATCHES) * steps);
}

#[test]
fn results_that_end_the_job_end_it_for_all_alike_and_for_whoever_comes_later() {
    let mut cluster = Cluster::new(&[1, 2, 3, 4], 9);
    let machines = cluster.machines.values_mut();
    machines.for_each(|machine| machine.numbers_mut().ends_at = Some(3));
    cluster.enter(&view(1, &FOUNDERS));
    cluster.settle();
    let has_finished = |cluster: &Cluster, member: u8| cluster.machines[&member].status().finished;
    assert!([1, 2, 3].iter().all(|member| has_finished(&cluster, *member) && cluster.step_of(*member) == 3));
    assert_eq!(cluster.computed, 3 * u64::from(MICROBATCHES), "nothing is computed beyond the end");
    cluster.enter(&view(2, &[(1, 1), (2, 1), (3, 1), (4, 2)]));
    cluster.settle();
    assert!(has_finished(&cluster, 4) && cluster.step_of(4) == 3);
    assert_eq!(cluster.computed, 3 * u64::from(MICROBATCHES));
}

#[test]
fn a_dead_member_costs_its_own_micro_batches_and_no_others() {
    let mut cluster = Cluster::new(&[1, 2, 3], 2);
    cluster.frozen = vec![3];
    cluster.enter(&view(1, &FOUNDERS));
    cluster.settle();
    assert_eq!(cluster.step_of(1), 0, "the step waits for the third");
    let waits = cluster.machines[&1].status().waits;
    assert!(waits.contains(&SyncWait::State(life(3).node)), "{waits:?}");

    let mut survivors = view(2, &FOUNDERS[..2]);
    survivors.leases = vec![0, 1, 0, 0, 1, 1];
    cluster.machines.remove(&3);
    cluster.enter(&survivors);
    cluster.settle();
    assert_eq!((cluster.step_of(1), cluster.step_of(2)), (2, 2));
    assert_eq!(cluster.computed, 2 * u64::from(MICROBATCHES));
}

#[test]
fn a_joiner_gets_the_state_once_and_takes_part() {
    let mut cluster = Cluster::new(&[1, 2, 3], 6);
    cluster.frozen = vec![3];
    cluster.enter(&view(1, &FOUNDERS[..2]));
    while cluster.step_of(1) < 3 {
        assert!(cluster.deliver());
    }
    cluster.frozen.clear();
    cluster.sent.clear();
    cluster.enter(&view(2, &[(1, 1), (2, 1), (3, 2)]));
    cluster.settle();
    assert!(cluster.machines.values().all(|machine| machine.status().finished));
    let asked = cluster.sent.iter().filter(|message| message.body == SyncBody::NeedSnapshot).count();
    assert_eq!(asked, 2, "both that have it are asked what it is");
    assert_eq!(cluster.fetched, [(3, 3, vec![1, 2])], "it is fetched once, from both");
    assert_eq!(cluster.released, [3, 1, 2], "and kept no longer than it is needed");
}

#[test]
fn members_tell_what_they_lack_and_of_whom() {
    let mut cluster = Cluster::new(&[1, 2, 3], 2);
    cluster.slow = vec![2];
    let node = |index: u8| life(index).node;
    assert_eq!(cluster.machines[&1].step_wait(), None, "without the state");
    cluster.enter(&view(1, &FOUNDERS));
    cluster.settle();
    let told = |cluster: &Cluster, index: u8| cluster.machines[&index].step_wait().unwrap();
    let wait =
        StepWait { step: 0, works: false, computed: 2, sums_of: vec![node(2)], results_of: Vec::new() };
    assert_eq!(told(&cluster, 1), StepWait { results_of: vec![node(2), node(3)], ..wait.clone() });
    assert_eq!(told(&cluster, 3), StepWait { results_of: vec![node(1), node(2)], ..wait.clone() });
    let works = StepWait { works: true, computed: 0, sums_of: Vec::new(), ..wait.clone() };
    assert_eq!(told(&cluster, 2), StepWait { results_of: vec![node(1), node(3)], ..works.clone() });

    // In later steps who reduces nothing hears of no sums, and knows only whose results are missing.
    let mut cluster = Cluster::new(&[1, 2, 3], 3);
    let owned = View { owners: vec![0; PARTS as usize], ..view(1, &FOUNDERS) };
    cluster.enter(&owned);
    while cluster.step_of(1) < 1 {
        cluster.deliver();
    }
    cluster.slow = vec![2];
    cluster.settle();
    let step = cluster.step_of(1);
    assert_eq!(told(&cluster, 1), StepWait { step, ..wait.clone() });
    let results_of = vec![node(1)];
    assert_eq!(told(&cluster, 3), StepWait { step, sums_of: Vec::new(), results_of, ..wait });
    cluster.slow.clear();
    cluster.finish();
    cluster.settle();
    assert_eq!(told(&cluster, 3), StepWait { step: 3, results_of: Vec::new(), ..works }, "the last state");
}

#[test]
fn a_failed_micro_batch_waits_for_another_lease() {
    let mut cluster = Cluster::new(&[1, 2], 1);
    cluster.broken = vec![2];
    cluster.enter(&view(1, &FOUNDERS[..2]));
    cluster.settle();
    assert_eq!((cluster.step_of(1), cluster.computed), (0, 3));
    let waits = cluster.machines[&2].status().waits;
    assert!(waits.iter().any(|wait| matches!(wait, SyncWait::Failed(set) if set.len() == 3)), "{waits:?}");

    let mut moved = view(2, &FOUNDERS[..2]);
    moved.leases = vec![0; MICROBATCHES as usize];
    cluster.enter(&moved);
    cluster.settle();
    assert!(cluster.machines.values().all(|machine| machine.status().finished));
    assert_eq!(cluster.computed, u64::from(MICROBATCHES));
}
