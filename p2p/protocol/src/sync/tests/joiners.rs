//! What a joiner with a long state costs the others, and how it comes to their step.

use super::cluster::{Cluster, PARTS, life, view};
use crate::sync::{SyncInput, SyncWait};
use crate::view::View;

/// Steps of the job: more than any of these tests makes.
const STEPS: u64 = 10_000;

/// Bytes of the results of a step: eight for each part.
const STEP_BYTES: u64 = 8 * PARTS as u64;

/// Nodes 1 and 2 have all the work, and 3 comes.
fn joining(epoch: u64) -> View {
    let workers = view(epoch, &[(1, 1), (2, 1)]);
    let with_joiner = view(epoch, &[(1, 1), (2, 1), (3, 2)]);
    View { leases: workers.leases, owners: workers.owners, ..with_joiner }
}

/// The third has asked for the state, and its chunks do not come.
fn cluster_with_joiner(kept_bytes_max: u64) -> Cluster {
    let mut cluster = Cluster::new(&[1, 2, 3], STEPS);
    for machine in cluster.machines.values_mut() {
        machine.options.kept_bytes_max = kept_bytes_max;
    }
    cluster.enter(&view(1, &[(1, 1), (2, 1)]));
    while cluster.step_of(1) < 3 {
        assert!(cluster.deliver());
    }
    cluster.starved = true;
    cluster.enter(&joining(2));
    while cluster.fetched.is_empty() {
        assert!(cluster.deliver());
    }
    cluster
}

/// All chunks of the state that node 3 fetches are there.
fn give_state(cluster: &mut Cluster) {
    cluster.starved = false;
    let (id, (state, last)) = cluster.states.last_key_value().expect("one was offered");
    let (id, state, last) = (*id, state.clone(), last.clone());
    cluster.feed(3, SyncInput::StateFetched { id, state, last });
}

fn is_synced(cluster: &Cluster) -> bool {
    cluster.machines[&3].place().synced
}

#[test]
fn members_go_on_while_a_joiner_fetches_and_wait_for_it_only_at_the_end() {
    let mut cluster = cluster_with_joiner(u64::MAX);
    let kept = cluster.kept[0].1;
    assert_eq!(cluster.kept, [(1, kept), (2, kept)], "both keep one state");
    while cluster.step_of(1) < kept + 100 {
        assert!(cluster.deliver(), "they go on");
    }
    assert!(!is_synced(&cluster) && cluster.released.is_empty());
    assert_eq!(cluster.machines[&3].status().waits, [SyncWait::Chunks(vec![life(1).node, life(2).node])]);
    give_state(&mut cluster);
    assert_eq!(cluster.step_of(3), kept);
    let mut arriving_at = None;
    while !is_synced(&cluster) {
        assert!(cluster.deliver());
        let waits = cluster.machines[&1].status().waits;
        if waits.contains(&SyncWait::Handover(life(3).node)) {
            arriving_at.get_or_insert(cluster.step_of(1));
        }
    }
    let arriving_at = arriving_at.expect("they wait at the end");
    let latest = cluster.step_of(1).max(cluster.step_of(2));
    assert!(latest <= arriving_at + 1, "nobody goes on once it arrives");
    assert!(cluster.step_of(3) <= latest && latest <= cluster.step_of(3) + 1, "one step apart at most");
    // It has followed, not fetched again, and is a member like others from here on.
    assert_eq!(cluster.fetched.iter().filter(|(index, ..)| *index == 3).count(), 1);
    while cluster.step_of(3) < latest + 10 {
        assert!(cluster.deliver());
    }
    cluster.released.sort_unstable();
    assert_eq!(cluster.released, [1, 2, 3]);
    assert!(cluster.machines.values().all(|machine| machine.kept.is_none()), "nothing is kept for nobody");
}

#[test]
fn results_are_kept_up_to_a_bound_and_then_the_others_wait() {
    let mut cluster = cluster_with_joiner(5 * STEP_BYTES - 1);
    let kept = cluster.kept[0].1;
    cluster.settle();
    assert_eq!((cluster.step_of(1), cluster.step_of(2)), (kept + 5, kept + 5));
    assert!(cluster.machines[&1].status().waits.contains(&SyncWait::Handover(life(3).node)));
    give_state(&mut cluster);
    while cluster.step_of(1) < kept + 20 {
        assert!(cluster.deliver(), "it goes on with the joiner");
    }
    assert!(is_synced(&cluster));
}

/// A donor dies: what the other kept counts in the next view, and so does what was fetched.
#[test]
fn the_state_that_is_kept_outlives_a_view() {
    let mut cluster = cluster_with_joiner(u64::MAX);
    let kept = cluster.kept[0].1;
    while cluster.step_of(1) < kept + 10 {
        assert!(cluster.deliver());
    }
    cluster.machines.remove(&2);
    cluster.fetched.clear();
    let alone = view(3, &[(1, 1)]);
    let with_joiner = view(3, &[(1, 1), (3, 2)]);
    cluster.enter(&View { leases: alone.leases, owners: alone.owners, ..with_joiner });
    while cluster.fetched.is_empty() {
        assert!(cluster.deliver());
    }
    assert_eq!(cluster.fetched, [(3, kept, vec![1])]);
    assert_eq!(cluster.kept.len(), 2, "nothing was kept anew");
    give_state(&mut cluster);
    // Again a view, while it follows.
    while cluster.step_of(3) < kept + 2 {
        assert!(cluster.deliver());
    }
    assert!(!is_synced(&cluster));
    let (alone, with_joiner) = (view(4, &[(1, 1)]), view(4, &[(1, 1), (3, 2)]));
    cluster.enter(&View { leases: alone.leases, owners: alone.owners, ..with_joiner });
    while !is_synced(&cluster) {
        assert!(cluster.deliver());
    }
    assert!(cluster.step_of(3) > kept + 5, "it went on from where it was");
    assert_eq!(cluster.fetched.len(), 1);
}
