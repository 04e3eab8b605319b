//! What a joiner with a long state costs the others, and how it comes to their step.

use bytes::Bytes;

use super::certifying::{head, joiner};
use super::cluster::{Bits, Cluster, JOB, MICROBATCHES, PARTS, life, offer_of, view};
use crate::ids::{Chain, Epoch, Incarnation};
use crate::index_set::IndexSet;
use crate::sync::{
    Arrival, Entry, Standing, SyncBody, SyncInput, SyncMachine, SyncMessage, SyncOutput, SyncWait, next_chain,
};
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

/// The joiner was about to be synced and starts over: that it arrived is no word any more, whenever it is heard.
#[test]
fn nobody_waits_for_a_joiner_that_takes_back_that_it_arrives() {
    let mut cluster = cluster_with_joiner(u64::MAX);
    let announced = Arrival::default().next();
    let say = |cluster: &mut Cluster, arrival: Arrival| {
        let (step, chain, held) = (0, Chain([0; 32]), IndexSet::new());
        let standing = Standing { synced: false, arrival, step, chain, held, entry: None };
        for to in [1, 2] {
            let (standing, awaits) = (standing.clone(), Arrival::default());
            cluster.feed(to, said(2, 3, SyncBody::State { standing, fresh: false, awaits }));
        }
    };
    say(&mut cluster, announced);
    cluster.settle();
    let (stood_at, waits) = (cluster.step_of(1), cluster.machines[&1].status().waits);
    assert!(waits.contains(&SyncWait::Handover(life(3).node)), "{waits:?}");
    say(&mut cluster, announced.next());
    // What it said first comes once more, and late.
    say(&mut cluster, announced);
    while cluster.step_of(1) < stood_at + 20 {
        assert!(cluster.deliver(), "they go on");
    }
    say(&mut cluster, announced.next().next());
    cluster.settle();
    assert!(cluster.machines[&2].status().waits.contains(&SyncWait::Handover(life(3).node)));
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

fn said(epoch: u64, from: u8, body: SyncBody) -> SyncInput {
    let (incarnation, epoch, boot) = (Incarnation(1), Epoch(epoch), life(from).boot);
    SyncInput::Message {
        from: life(from).node,
        message: SyncMessage { job: JOB, incarnation, epoch, boot, body },
    }
}

fn stands(epoch: u64, from: u8, at: (u64, Chain)) -> SyncInput {
    stands_since(epoch, from, at, Some(7))
}

/// In which step it entered the view, if it has the state.
fn stands_since(epoch: u64, from: u8, (step, chain): (u64, Chain), entered: Option<u64>) -> SyncInput {
    let entry = entered.map(|step| Entry { step, halt_step: step, ..Entry::default() });
    let (synced, arrival, held) = (entered.is_some(), Arrival::default(), IndexSet::new());
    let standing = Standing { synced, arrival, step, chain, held, entry };
    said(epoch, from, SyncBody::State { standing, fresh: false, awaits: Arrival::default().next() })
}

fn feed(machine: &mut SyncMachine<Bits>, input: SyncInput) -> Vec<SyncOutput> {
    let mut out = Vec::new();
    machine.step(Default::default(), input, &mut out);
    out
}

fn results() -> Vec<Bytes> {
    vec![Bytes::copy_from_slice(&(u64::from((1u32 << MICROBATCHES) - 1)).to_le_bytes()); PARTS as usize]
}

/// Node 4 got the state of step 7, and of member 1, which was alone in step 8 and died, these results of step 7. Members 2 and 3
/// are left, in step 7.
fn left_by_the_first(parts: u32) -> SyncMachine<Bits> {
    let mut machine = joiner();
    let state = Bytes::copy_from_slice(&7u64.to_le_bytes());
    let offer = offer_of(&head(7), &state);
    for from in 1..4 {
        feed(&mut machine, said(2, from, SyncBody::Offer { offer: offer.clone() }));
    }
    feed(&mut machine, SyncInput::StateFetched { id: offer.id(), state, last: Vec::new() });
    let chain = head(7).chain;
    feed(&mut machine, stands(2, 1, (8, next_chain(chain, &results()))));
    for (part, result) in (0..parts).zip(results()) {
        feed(&mut machine, said(2, 1, SyncBody::Result { step: 7, base: chain, part, result }));
    }
    let workers = view(3, &[(2, 1), (3, 1)]);
    let with_joiner = view(3, &[(2, 1), (3, 1), (4, 2)]);
    let next = View { leases: workers.leases, owners: workers.owners, ..with_joiner };
    feed(&mut machine, SyncInput::EnterView(next));
    machine
}

/// On other processors the others may make another result of what the dead one had folded, before they hear of the joiner's.
#[test]
fn a_joiner_that_is_ahead_of_all_starts_over_once_all_have_said_so() {
    let mut machine = left_by_the_first(PARTS);
    assert_eq!(machine.place().step, 8);
    let at_seven = (7, head(7).chain);
    feed(&mut machine, stands(3, 2, at_seven));
    let is_arriving = machine.standing().arrival.is_announced();
    assert!(
        machine.following.is_some() && !is_arriving,
        "the other may be further, and nobody is to wait yet"
    );
    let out = feed(&mut machine, stands(3, 3, at_seven));
    assert!(machine.following.is_none() && !machine.place().synced, "it starts over");
    let asks = |output: &&SyncOutput| matches!(output, SyncOutput::Send { to, message } if message.body == SyncBody::NeedSnapshot && *to == life(2).node);
    assert_eq!(out.iter().filter(asks).count(), 1, "it asks again who was asked before");

    // One of them has it too: it stays.
    let mut machine = left_by_the_first(PARTS);
    feed(&mut machine, stands(3, 2, (8, next_chain(head(7).chain, &results()))));
    feed(&mut machine, stands(3, 3, at_seven));
    assert!(machine.place().synced && machine.place().step == 8);
}

#[test]
fn a_joiner_brings_no_result_along_of_one_that_is_gone() {
    let mut machine = left_by_the_first(PARTS - 1);
    assert_eq!(machine.place().step, 7);
    let at_seven = (7, head(7).chain);
    feed(&mut machine, stands(3, 2, at_seven));
    let out = feed(&mut machine, stands(3, 3, at_seven));
    assert!(machine.place().synced && machine.place().step == 7);
    let held = out.iter().filter_map(|output| match output {
        SyncOutput::Send { message, .. } => match &message.body {
            SyncBody::State { standing, .. } if standing.synced => Some(standing.held.clone()),
            _ => None,
        },
        _ => None,
    });
    assert_eq!(held.collect::<Vec<_>>(), [IndexSet::new(), IndexSet::new()]);
}

/// Members keep the state of another step than the one that it came from, and another joiner may ask it for what leads on from there.
#[test]
fn who_came_from_an_older_state_gives_the_results_since_the_one_that_is_kept() {
    let mut machine = left_by_the_first(0);
    let mut chain = head(7).chain;
    let mut chains = vec![chain];
    for _ in 7..10 {
        chain = next_chain(chain, &results());
        chains.push(chain);
    }
    let all = [(2, 1), (3, 1), (4, 2), (5, 3)];
    let workers = view(4, &[(2, 1), (3, 1)]);
    let next = View { leases: workers.leases, owners: workers.owners, ..view(4, &all) };
    feed(&mut machine, SyncInput::EnterView(next));
    feed(&mut machine, stands_since(4, 5, (0, chain), None));
    for from in [2, 3] {
        feed(&mut machine, stands_since(4, from, (10, chain), Some(8)));
    }
    for (step, base) in (7..10).zip(chains) {
        for (part, result) in (0u32..).zip(results()) {
            let body = SyncBody::Result { step, base, part, result };
            // One of them was asked.
            feed(&mut machine, said(4, 2, body.clone()));
            feed(&mut machine, said(4, 3, body));
        }
    }
    assert!(machine.place().synced && machine.place().step == 10, "{:?}", machine.status());
    for (step, is_given) in [(7, false), (8, true), (9, true)] {
        let out = feed(&mut machine, said(4, 5, SyncBody::NeedResult { step, part: 1 }));
        let gives = |output: &SyncOutput| matches!(output, SyncOutput::Send { message, .. } if matches!(message.body, SyncBody::Result { step: of, .. } if of == step));
        assert_eq!(out.iter().any(gives), is_given, "step {step}");
    }
    assert!(machine.kept.as_ref().is_some_and(|kept| !kept.is_whole), "it offers none itself");
}
