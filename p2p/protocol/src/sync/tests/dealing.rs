//! Who computes what is left of a step that a view interrupted.

use super::cluster::{Cluster, MICROBATCHES, view};
use super::early_sums::after_two_steps;
use crate::ids::Epoch;
use crate::index_set::IndexSet;
use crate::sync::deal::Deal;
use crate::sync::{Entry, SyncInput};
use crate::view::View;

fn set(indices: &[u32]) -> IndexSet {
    indices.iter().copied().collect()
}

/// The view of so many members with these leases; each owns a part or two.
fn leased(members: u8, leases: &[u16]) -> View {
    let tenures: Vec<(u8, u64)> = (1..=members).map(|index| (index, 1)).collect();
    View { leases: leases.to_vec(), ..view(1, &tenures) }
}

fn dealt(view: &View, entries: &[(u16, Entry)]) -> Vec<Vec<u32>> {
    let entries: Vec<(u16, &Entry)> = entries.iter().map(|(position, entry)| (*position, entry)).collect();
    let deal = Deal::of(view, &entries).expect("somebody told");
    (0u16..).zip(&view.members).map(|(position, _)| deal.due(position).iter().collect()).collect()
}

#[test]
fn a_step_that_nobody_has_begun_is_computed_by_lease() {
    for leases in [vec![0, 1, 2, 0, 1, 2], vec![0, 0, 0, 0, 0, 1], vec![2, 2, 2, 1, 1, 1, 0], vec![1; 9]] {
        let view = leased(3, &leases);
        let of =
            |position| (0u32..).zip(&leases).filter(|(_, of)| **of == position).map(|(at, _)| at).collect();
        let expected: Vec<Vec<u32>> = [0, 1, 2].map(of).to_vec();
        assert_eq!(dealt(&view, &[(0, Entry::default()), (1, Entry::default())]), expected, "{leases:?}");
    }
    assert_eq!(Deal::of(&leased(3, &[0; 6]), &[]), None, "nobody had anything");
}

/// Two have done 8 of their 12 each and have the next in hand, and a third comes.
#[test]
fn whoever_comes_into_a_step_gets_a_share_of_what_is_left() {
    let leases: Vec<u16> = (0..24).map(|microbatch| microbatch / 8).collect();
    // Before, the two had halves.
    let first = Entry { computed: (0..8).collect(), computing: set(&[8]), ..Entry::default() };
    let second = Entry { computed: (12..20).collect(), computing: set(&[20]), ..Entry::default() };
    let shares = dealt(&leased(3, &leases), &[(0, first), (1, second), (2, Entry::default())]);
    // Left are 9, 10, 11, leased to the second, and 21, 22, 23, to the third: two for each, the first of its own lease.
    assert_eq!(shares[0], [(0..9).collect::<Vec<u32>>(), vec![11, 23]].concat());
    assert_eq!(shares[1], [vec![9, 10], (12..21).collect()].concat());
    assert_eq!(shares[2], [21, 22]);
}

#[test]
fn those_with_longer_leases_get_more_of_what_is_left_and_those_without_one_nothing() {
    let leases = [vec![0; 8], vec![1; 4]].concat();
    // Everybody has begun the first of its lease, and a third, who drains, one of the first's.
    let first = Entry { computing: set(&[0]), ..Entry::default() };
    let second = Entry { computing: set(&[8]), ..Entry::default() };
    let third = Entry { computing: set(&[1]), ..Entry::default() };
    let shares = dealt(&leased(3, &leases), &[(0, first), (1, second), (2, third)]);
    let counts: Vec<usize> = shares.iter().map(Vec::len).collect();
    assert_eq!(counts, [7, 4, 1], "{shares:?}");
    assert_eq!(shares[2], [1], "it ends what it has begun");
}

#[test]
fn what_has_failed_stays_with_whom_the_view_gives_it_to() {
    let view = leased(2, &[0, 0, 0, 1, 1, 1]);
    let busy = |failed: &[u32]| Entry { computing: set(&[0]), failed: set(failed), ..Entry::default() };
    let done = |computed: &[u32]| Entry { computed: set(computed), ..Entry::default() };
    let second = |failed: &[u32], computed: &[u32]| {
        dealt(&view, &[(0, busy(failed)), (1, done(computed))]).swap_remove(1)
    };
    assert_eq!(second(&[], &[3, 4, 5]), [2, 3, 4, 5], "it is done, and helps");
    assert_eq!(second(&[1, 2], &[3, 4, 5]), [3, 4, 5]);
    assert_eq!(second(&[1, 2], &[1, 3, 4, 5]), [1, 3, 4, 5], "it has computed one meanwhile");
}

#[test]
fn what_two_have_begun_is_of_the_one_who_is_further_and_has_the_lease() {
    let view = leased(3, &[0, 0, 1, 1, 2, 2]);
    let entry = |computed: &[u32], computing: &[u32]| Entry {
        computed: set(computed),
        computing: set(computing),
        ..Entry::default()
    };
    // 0: computed beats computing. 2: its lease holder's beats another's. 4: the first of two strangers.
    let entries = [(0, entry(&[2, 4], &[0])), (1, entry(&[0, 2, 4], &[])), (2, entry(&[], &[4]))];
    let shares = dealt(&view, &entries);
    assert!(shares[1].contains(&0) && shares[1].contains(&2) && shares[0].contains(&4), "{shares:?}");
}

#[test]
fn only_the_latest_step_counts_and_only_what_all_owners_have_is_left_out() {
    let view = leased(2, &[0, 0, 0, 1, 1, 1]);
    let at = |step: u64, computed: &[u32], summed: &[u32]| Entry {
        step,
        computed: set(computed),
        summed: set(summed),
        ..Entry::default()
    };
    let both = dealt(&view, &[(0, at(4, &[], &[0, 1, 5])), (1, at(4, &[], &[1, 2, 5]))]);
    assert_eq!(both.concat().len(), 4, "1 and 5 are there: {both:?}");
    let late = dealt(&view, &[(0, at(4, &[], &[0, 1, 5])), (1, at(3, &[0, 1, 2], &[1, 5]))]);
    assert_eq!(late, [[0, 1, 2], [3, 4, 5]], "the second is in the step before");
    // Who owns nothing need not have anything.
    let alone = View { owners: vec![0; view.owners.len()], ..view };
    assert_eq!(dealt(&alone, &[(0, at(4, &[], &[0, 1, 5])), (1, at(3, &[], &[]))]).concat().len(), 3);
}

/// Long micro-batches are asked of the trainer one by one, short ones two at a time.
#[test]
fn a_long_micro_batch_is_begun_alone() {
    for (took_ms, under_way) in [(15, 6), (40, 3)] {
        let cluster = after_two_steps(took_ms);
        assert_eq!((cluster.step_of(1), cluster.under_way.len()), (2, under_way), "{took_ms} ms");
    }
}

/// All find the same shares, though they hear of each other in any order, and nothing is computed twice.
#[test]
fn a_node_that_comes_back_takes_part_of_the_step_in_progress() {
    let steps = 3;
    let mut cluster = Cluster::new(&[1, 2], steps);
    cluster.slow = vec![1, 2];
    let mut alone = view(1, &[(1, 1), (2, 1)]);
    alone.leases.fill(0);
    cluster.enter(&alone);
    cluster.settle();
    let (_, done) = cluster.under_way.remove(0);
    cluster.feed(1, done);
    cluster.settle();
    // One is done and two are begun: of the three that are left the second has two.
    let both = View { epoch: Epoch(2), leases: vec![0, 0, 0, 1, 1, 1], ..alone };
    cluster.enter(&both);
    cluster.feed(2, SyncInput::PathOpened(super::cluster::life(1).node));
    cluster.settle();
    assert_eq!(cluster.under_way.iter().map(|(of, _)| *of).collect::<Vec<u8>>(), [1, 1, 2, 2]);
    while !cluster.under_way.is_empty() {
        cluster.finish();
        cluster.settle();
    }
    assert!(cluster.machines.values().all(|machine| machine.status().finished));
    assert_eq!(cluster.computed, u64::from(MICROBATCHES) * steps);
}
