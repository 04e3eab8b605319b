//! What a member sends before all of its lease is computed, so that its death costs less.

use super::cluster::{Cluster, MICROBATCHES, PARTS, life, view};
use crate::ids::Millis;
use crate::index_set::IndexSet;
use crate::rendezvous::heirs;
use crate::sync::pace::fits_memory;
use crate::sync::{SyncBody, SyncInput};
use crate::view::View;

/// A micro-batch takes so long, far longer than an exchange among machines that answer at once.
const LONG_MS: u64 = 10;

/// Three nodes in their third step, each with its lease begun and nothing done. What micro-batches took before decides how sums
/// are sent: in the first step nobody has a step behind it.
fn begun(took_ms: u64) -> Cluster {
    let mut cluster = after_two_steps(took_ms);
    assert_eq!(cluster.under_way.len(), MICROBATCHES as usize);
    cluster.sent.clear();
    cluster.computed = u64::from(MICROBATCHES);
    cluster
}

/// Three nodes after two steps of two micro-batches each, which took so long at the same time everywhere.
pub(super) fn after_two_steps(took_ms: u64) -> Cluster {
    let mut cluster = Cluster::new(&[1, 2, 3], 4);
    cluster.slow = vec![1, 2, 3];
    cluster.enter(&view(1, &[(1, 1), (2, 1), (3, 1)]));
    cluster.settle();
    for _ in 0..4 {
        cluster.now = Millis(cluster.now.0 + took_ms);
        for node in [1, 2, 3] {
            finish_one(&mut cluster, node, 0);
        }
    }
    assert!([1, 2, 3].iter().all(|node| cluster.step_of(*node) == 2));
    cluster
}

/// The first micro-batch of `node` is done after so many milliseconds.
fn finish_one(cluster: &mut Cluster, node: u8, took_ms: u64) {
    let position = cluster.under_way.iter().position(|(of, _)| *of == node).expect("it computes");
    let (_, done) = cluster.under_way.remove(position);
    cluster.now = Millis(cluster.now.0 + took_ms);
    cluster.feed(node, done);
    cluster.settle();
}

/// Sums of micro-batches in messages, of those that have more to come.
fn sent_early(cluster: &Cluster) -> Vec<(u32, IndexSet)> {
    let early = |body: &SyncBody| match body {
        SyncBody::Contribution { part, microbatches, more: true, .. } => Some((*part, microbatches.clone())),
        _ => None,
    };
    cluster.sent.iter().filter_map(|message| early(&message.body)).collect()
}

/// The view without the third: its parts are those of their heirs, its micro-batches those of the first two in turns.
fn without_third() -> View {
    let heirs = heirs(&view(1, &[(1, 1), (2, 1), (3, 1)]));
    let rest = view(2, &[(1, 1), (2, 1)]);
    let before = view(1, &[(1, 1), (2, 1), (3, 1)]);
    let position = |part: usize| {
        let owner = before.owner(part as u32).filter(|owner| *owner != life(3).node).or(heirs[part]);
        rest.members.iter().position(|member| Some(member.node) == owner).expect("a member") as u16
    };
    View { owners: (0..PARTS as usize).map(position).collect(), ..rest }
}

#[test]
fn what_was_computed_before_a_death_is_not_computed_again() {
    let all = MICROBATCHES;
    for (took_ms, done, expected) in
        [(LONG_MS, 1, all + 1), (LONG_MS, 2, all), (0, 1, all + 2), (0, 2, all + 2)]
    {
        let mut cluster = begun(took_ms);
        (0..done).for_each(|_| finish_one(&mut cluster, 3, took_ms));
        let early = sent_early(&cluster);
        assert_eq!(early.len(), if took_ms == 0 { 0 } else { done * PARTS as usize }, "{early:?}");
        cluster.machines.remove(&3);
        cluster.under_way.retain(|(of, _)| *of != 3);
        cluster.enter(&without_third());
        cluster.settle();
        while let Some(position) = cluster.under_way.iter().position(|(of, _)| cluster.step_of(*of) == 2) {
            let (node, done) = cluster.under_way.remove(position);
            cluster.feed(node, done);
            cluster.settle();
        }
        assert_eq!((cluster.step_of(1), cluster.step_of(2)), (3, 3));
        let of_next_step = cluster.under_way.len() as u64;
        assert_eq!(cluster.computed - of_next_step, u64::from(expected), "took {took_ms} ms, {done} done");
    }
}

#[test]
fn long_gradients_go_as_one_sum_for_a_lease() {
    for (bytes, microbatches, fits) in
        [(64 << 20, 4, true), ((64 << 20) + 1, 4, false), (1, 1 << 28, true), (u64::MAX, 2, false)]
    {
        assert_eq!(fits_memory(bytes, microbatches), fits, "{bytes} bytes, {microbatches}");
    }
}

#[test]
fn where_bytes_cost_nothing_is_sent_early() {
    let mut cluster = begun(LONG_MS);
    cluster.machines.get_mut(&3).unwrap().options.sends_early = false;
    finish_one(&mut cluster, 3, LONG_MS);
    assert_eq!(sent_early(&cluster), []);
}

/// The same where all have computed all, and only the results of the one that dies are missing.
#[test]
fn whoever_dies_when_all_is_computed_costs_an_exchange() {
    let mut cluster = begun(LONG_MS);
    for _ in 0..2 {
        finish_one(&mut cluster, 3, LONG_MS);
    }
    cluster.frozen = vec![3];
    for node in [1, 2, 1, 2] {
        finish_one(&mut cluster, node, LONG_MS);
    }
    assert!(cluster.step_of(1) == 2 && cluster.under_way.is_empty());
    cluster.machines.remove(&3);
    cluster.enter(&without_third());
    cluster.settle();
    assert_eq!((cluster.step_of(1), cluster.step_of(2)), (3, 3));
    let of_next_step = cluster.under_way.len() as u64;
    assert_eq!(cluster.computed - of_next_step, u64::from(MICROBATCHES));
}

/// A lease that was sent piece by piece is not sent again as a whole, and an owner does not ask for what is to come.
#[test]
fn nothing_is_sent_twice() {
    let mut cluster = begun(LONG_MS);
    for node in [1, 2, 3, 1, 2, 3] {
        finish_one(&mut cluster, node, LONG_MS);
    }
    assert!([1, 2, 3].iter().all(|node| cluster.step_of(*node) == 3));
    let in_step = |body: &&SyncBody| match body {
        SyncBody::Contribution { step, microbatches, .. } => *step == 2 && !microbatches.is_empty(),
        SyncBody::NeedContribution { .. } => panic!("nobody asks: {body:?}"),
        _ => false,
    };
    let sums = cluster.sent.iter().map(|message| &message.body).filter(in_step).count();
    // Each micro-batch goes once for each part, to its owner or to the heir of whoever computed it and owns the part.
    assert_eq!(sums, (MICROBATCHES * PARTS) as usize);
}

/// A path breaks: what was sent early on it may be lost, and comes again.
#[test]
fn what_was_sent_early_on_a_path_that_broke_is_not_counted_on() {
    let mut cluster = begun(LONG_MS);
    cluster.frozen = vec![2];
    let position = cluster.under_way.iter().position(|(of, _)| *of == 3).expect("it computes");
    let (_, done) = cluster.under_way.remove(position);
    cluster.now = Millis(cluster.now.0 + LONG_MS);
    cluster.feed(3, done);
    cluster.lose(3, 2);
    cluster.frozen.clear();
    cluster.feed(3, SyncInput::PathOpened(life(2).node));
    cluster.feed(2, SyncInput::PathOpened(life(3).node));
    cluster.finish();
    cluster.settle();
    assert!([1, 2, 3].iter().all(|node| cluster.step_of(*node) > 2));
}
