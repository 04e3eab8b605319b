//! Leases that move, members that leave in order, views that halt: nothing is computed twice.

use super::cluster::{Cluster, MICROBATCHES, life, view};
use crate::index_set::IndexSet;
use crate::sync::{SyncInput, SyncWait};
use crate::view::View;

const BOTH: [(u8, u64); 2] = [(1, 1), (2, 1)];

/// A view of nodes 1 and 2 in which node 1 has all work.
fn all_to_first(epoch: u64) -> View {
    let mut view = view(epoch, &BOTH);
    view.leases.fill(0);
    view.owners.fill(0);
    view
}

fn halting(epoch: u64) -> View {
    View { halt: true, ..view(epoch, &BOTH) }
}

#[test]
fn a_lease_that_moves_is_finished_by_whoever_began_it() {
    let steps = 4;
    let mut cluster = Cluster::new(&[1, 2], steps);
    cluster.slow = vec![2];
    cluster.enter(&view(1, &BOTH));
    cluster.settle();
    assert_eq!((cluster.computed, cluster.under_way.len()), (5, 2));
    cluster.enter(&all_to_first(2));
    cluster.settle();
    assert_eq!(cluster.under_way.len(), 2, "what the second has not begun is not its any more");
    assert_eq!((cluster.step_of(1), cluster.computed), (0, 6), "the new holder leaves alone what is begun");
    let begun: IndexSet = [1, 3].into_iter().collect();
    let waits = cluster.machines[&1].status().waits;
    let from = life(2).node;
    let wait = SyncWait::Contributions { part: 0, from, microbatches: begun.clone() };
    assert!(waits.contains(&wait), "{waits:?}");
    let waits = cluster.machines[&2].status().waits;
    assert!(waits.contains(&SyncWait::Computing(begun)), "{waits:?}");

    // A new connection makes both say all again; it changes nothing.
    cluster.feed(1, SyncInput::PathOpened(life(2).node));
    cluster.feed(2, SyncInput::PathOpened(life(1).node));
    cluster.settle();
    cluster.finish();
    cluster.settle();
    assert!(cluster.machines.values().all(|machine| machine.status().finished));
    assert_eq!(cluster.computed, u64::from(MICROBATCHES) * steps);
    assert!(cluster.under_way.is_empty(), "the second has no work any more");
}

#[test]
fn a_member_without_work_can_be_taken_out_and_costs_nothing() {
    let steps = 6;
    let mut cluster = Cluster::new(&[1, 2], steps);
    cluster.enter(&view(1, &BOTH));
    while cluster.step_of(1) < 2 {
        assert!(cluster.deliver());
    }
    cluster.enter(&all_to_first(2));
    let stood_at = cluster.step_of(2);
    while cluster.step_of(1) < stood_at + 1 {
        assert!(cluster.deliver());
    }
    cluster.machines.remove(&2);
    cluster.enter(&view(3, &BOTH[..1]));
    cluster.settle();
    assert!(cluster.machines[&1].status().finished);
    assert_eq!(cluster.computed, u64::from(MICROBATCHES) * steps);
}

#[test]
fn a_failure_of_what_another_has_the_lease_of_waits_for_a_new_view() {
    let mut cluster = Cluster::new(&[1, 2], 1);
    cluster.slow = vec![2];
    cluster.enter(&view(1, &BOTH));
    cluster.settle();
    cluster.enter(&all_to_first(2));
    cluster.settle();
    for (index, done) in std::mem::take(&mut cluster.under_way) {
        let SyncInput::Computed { step, base, microbatch, .. } = done else { panic!("{done:?}") };
        cluster.feed(index, SyncInput::ComputeFailed { step, base, microbatch });
    }
    cluster.settle();
    assert_eq!(cluster.step_of(1), 0);
    cluster.enter(&all_to_first(3));
    cluster.settle();
    assert!(cluster.machines.values().all(|machine| machine.status().finished));
    assert_eq!(cluster.computed, u64::from(MICROBATCHES) + 2, "what failed is computed again, no more");
}

#[test]
fn a_halt_ends_what_was_begun_and_a_resume_goes_on_from_there() {
    let steps = 9;
    let mut cluster = Cluster::new(&[1, 2], steps);
    cluster.slow = vec![2];
    cluster.enter(&view(1, &BOTH));
    cluster.settle();
    cluster.enter(&halting(2));
    cluster.settle();
    assert!(cluster.halted.is_empty(), "a step is begun: {:?}", cluster.halted);
    cluster.finish();
    cluster.settle();
    assert_eq!(cluster.halted_in(2), [(1, 1), (2, 1)], "the step that was begun, and no more");
    let computed = cluster.computed;
    assert_eq!((computed, cluster.under_way.len()), (u64::from(MICROBATCHES), 0));
    for machine in cluster.machines.values() {
        assert_eq!(machine.status().waits, [SyncWait::Halted { step: 1 }]);
    }
    // Neither a new connection nor a second view that halts leads further.
    cluster.feed(1, SyncInput::PathOpened(life(2).node));
    cluster.settle();
    cluster.enter(&halting(3));
    cluster.settle();
    assert_eq!(cluster.halted_in(3), [(1, 1), (2, 1)]);
    assert_eq!(cluster.computed, computed);

    cluster.slow.clear();
    cluster.enter(&view(4, &BOTH));
    cluster.settle();
    assert!(cluster.machines.values().all(|machine| machine.status().finished));
    assert_eq!(cluster.computed, u64::from(MICROBATCHES) * steps);
    assert_eq!(cluster.halted.len(), 4);
}

#[test]
fn a_halt_at_the_start_and_at_the_end_computes_nothing() {
    let mut cluster = Cluster::new(&[1, 2], 3);
    cluster.enter(&halting(1));
    cluster.settle();
    assert_eq!((cluster.halted_in(1), cluster.computed), (vec![(1, 0), (2, 0)], 0));
    cluster.enter(&view(2, &BOTH));
    cluster.settle();
    cluster.enter(&halting(3));
    cluster.settle();
    assert_eq!(cluster.halted_in(3), [(1, 3), (2, 3)]);
    assert_eq!(cluster.computed, 3 * u64::from(MICROBATCHES));
}
