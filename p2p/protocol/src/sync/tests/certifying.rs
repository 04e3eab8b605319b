//! Which state a joiner takes for that of the others.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::cluster::{Bits, Cluster, JOB, PARTS, life, offer_of, view};
use crate::ids::{Chain, ChunkId, Epoch, Incarnation, NodeId};
use crate::index_set::IndexSet;
use crate::sync::certifying::{Decision, Heard, Offers};
use crate::sync::{
    AlarmKind, Arrival, Entry, SnapshotHead, Standing, StateOffer, SyncBody, SyncInput, SyncMachine,
    SyncMessage, SyncOutput, SyncWait, next_chain,
};
use crate::transfer::Chunk;

fn node(index: u8) -> NodeId {
    life(index).node
}

/// A state of `step`; those of another `variant` are others.
fn offer(step: u64, variant: u8) -> StateOffer {
    let state = vec![Chunk { id: ChunkId([variant; 32]), bytes: 8 }];
    let chain = Chain([u8::try_from(step).unwrap(); 32]);
    StateOffer { step, chain, previous_chain: chain, state, last: Vec::new(), last_bytes: Vec::new() }
}

fn nodes(indices: &[u8]) -> Vec<NodeId> {
    indices.iter().copied().map(node).collect()
}

#[test]
fn more_than_half_of_those_that_may_have_the_state_certify_it() {
    // (who may have it, offers as (from, step, variant), certified as (step, variant), sources, dissenters)
    type Row = (&'static [u8], &'static [(u8, u64, u8)], Option<(u64, u8)>, &'static [u8], &'static [u8]);
    let rows: [Row; 12] = [
        (&[1], &[(1, 5, 0)], Some((5, 0)), &[1], &[]),
        (&[1, 2], &[(1, 5, 0)], None, &[], &[]),
        (&[1, 2], &[(1, 5, 0), (2, 5, 0)], Some((5, 0)), &[1, 2], &[]),
        (&[1, 2], &[(1, 5, 0), (2, 5, 1)], None, &[], &[1, 2]),
        (&[1, 2], &[(1, 5, 0), (2, 6, 0)], None, &[], &[]),
        (&[1, 2, 3], &[(1, 5, 0), (2, 5, 0)], Some((5, 0)), &[1, 2], &[]),
        (&[1, 2, 3], &[(1, 5, 1), (2, 5, 0), (3, 5, 0)], Some((5, 0)), &[2, 3], &[1]),
        (&[1, 2, 3], &[(1, 6, 0), (2, 5, 0), (3, 5, 0)], Some((5, 0)), &[2, 3], &[]),
        (&[1, 2, 3], &[(1, 5, 0), (2, 5, 1), (3, 5, 2)], None, &[], &[1, 2, 3]),
        (&[1, 2, 3, 4], &[(1, 5, 0), (2, 5, 0)], None, &[], &[]),
        (&[1, 2, 3, 4], &[(1, 5, 0), (2, 5, 0), (3, 5, 1), (4, 5, 1)], None, &[], &[1, 2, 3, 4]),
        // Whoever offers it has it, whatever else it said.
        (&[1], &[(1, 5, 0), (2, 5, 0)], Some((5, 0)), &[1, 2], &[]),
    ];
    for (may_have, said, certified, sources, dissenters) in rows {
        let mut offers = Offers::default();
        for &(from, step, variant) in said {
            assert_eq!(offers.hear(node(from), offer(step, variant)), Heard::Kept);
        }
        let expected = Decision {
            certified: certified.map(|(step, variant)| offer(step, variant)),
            sources: nodes(sources),
            dissenters: nodes(dissenters),
        };
        assert_eq!(offers.decide(nodes(may_have)), expected, "{may_have:?} {said:?}");
        let nothing_new = Decision::default();
        assert_eq!(offers.decide(nodes(may_have)), nothing_new, "nothing is said twice");
    }
}

#[test]
fn the_newest_certified_state_is_followed_and_an_older_one_never_again() {
    let mut offers = Offers::default();
    offers.hear(node(1), offer(5, 0));
    offers.hear(node(2), offer(5, 0));
    assert_eq!(offers.decide(nodes(&[1, 2, 3])).certified, Some(offer(5, 0)));
    offers.hear(node(3), offer(6, 0));
    assert_eq!(offers.decide(nodes(&[1, 2, 3])), Decision::default(), "one of three is not enough");
    offers.hear(node(1), offer(6, 0));
    let decision = offers.decide(nodes(&[1, 2, 3]));
    assert_eq!((decision.certified, decision.sources), (Some(offer(6, 0)), nodes(&[1, 3])));
    assert_eq!(offers.hear(node(1), offer(5, 0)), Heard::Late);
    // A member that got the state meanwhile does not undo what was certified before.
    assert_eq!(offers.decide(nodes(&[1, 2, 3, 4, 5, 6])), Decision::default());
    offers.hear(node(4), offer(5, 0));
    offers.hear(node(5), offer(5, 0));
    let _ = offers.decide(nodes(&[2, 4, 5]));
    assert_eq!(offers.certified(), Some(&offer(6, 0)));
}

#[test]
fn who_says_it_again_is_asked_again_and_who_contradicts_itself_does_not_count() {
    let mut offers = Offers::default();
    offers.hear(node(1), offer(5, 0));
    offers.hear(node(2), offer(5, 0));
    assert_eq!(offers.decide(nodes(&[1, 2])).sources, nodes(&[1, 2]));
    assert_eq!(offers.hear(node(2), offer(5, 0)), Heard::Kept);
    assert_eq!(offers.decide(nodes(&[1, 2])).sources, nodes(&[2]));
    assert_eq!(offers.hear(node(2), offer(5, 1)), Heard::Contradicts);
    assert_eq!(offers.hear(node(2), offer(9, 1)), Heard::Late, "nothing of it counts any more");
    assert_eq!(offers.sources(), nodes(&[1]));
    let mut lie = Offers::default();
    lie.hear(node(1), offer(5, 1));
    lie.hear(node(2), offer(5, 0));
    assert_eq!(lie.decide(nodes(&[1, 2])).certified, None);
    lie.hear(node(1), offer(5, 0));
    assert_eq!(lie.decide(nodes(&[1, 2])).certified, Some(offer(5, 0)), "the liar has no vote");
}

/// Whatever a minority offers in whatever order, what is certified is what the others offer.
#[test]
fn no_minority_certifies_anything() {
    for seed in 0..3_000u64 {
        let mut chance = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut below = |count: usize| {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            (chance % count.max(1) as u64) as usize
        };
        let members = 3 + below(6);
        let liars: BTreeSet<usize> = (0..(members - 1) / 2).map(|_| below(members)).collect();
        let all: Vec<NodeId> = (0..members).map(|index| node(index as u8 + 1)).collect();
        let mut offers = Offers::default();
        let (mut steps, mut highest) = (vec![5u64; members], 0);
        for _ in 0..60 {
            let index = below(members);
            if liars.contains(&index) {
                offers.hear(all[index], offer(4 + below(4) as u64, 1 + below(3) as u8));
            } else {
                steps[index] = 6.min(steps[index] + below(2) as u64);
                offers.hear(all[index], offer(steps[index], 0));
            }
            if let Some(certified) = offers.decide(all.iter().copied()).certified {
                assert!(certified == offer(5, 0) || certified == offer(6, 0), "seed {seed}: {certified:?}");
                assert!(certified.step > highest, "seed {seed}");
                highest = certified.step;
            }
        }
    }
}

pub(super) fn head(step: u64) -> SnapshotHead {
    let (incarnation, epoch, chain) = (Incarnation(1), Epoch(2), Chain([u8::try_from(step).unwrap(); 32]));
    SnapshotHead { incarnation, epoch, step, chain, previous_chain: chain, last: Vec::new() }
}

fn said(from: u8, body: SyncBody) -> SyncInput {
    let boot = life(from).boot;
    let message = SyncMessage { job: JOB, incarnation: Incarnation(1), epoch: Epoch(2), boot, body };
    SyncInput::Message { from: node(from), message }
}

/// A joiner that has heard from members 1, 2 and 3 that they have the state.
pub(super) fn joiner() -> SyncMachine<super::cluster::Bits> {
    let mut machine = super::cluster::machine(4, 50);
    let mut out = Vec::new();
    let members = [(1, 1), (2, 1), (3, 1), (4, 2)];
    machine.step(Default::default(), SyncInput::EnterView(view(2, &members)), &mut out);
    for from in 1..4 {
        let mut other = super::cluster::machine(from, 50);
        other.step(Default::default(), SyncInput::EnterView(view(1, &[(from, 1)])), &mut out);
        let standing = other.standing();
        machine.step(
            Default::default(),
            said(from, SyncBody::State { standing, fresh: false, awaits: Arrival::default() }),
            &mut out,
        );
    }
    let asked = |output: &&SyncOutput| matches!(output, SyncOutput::Send { message, .. } if message.body == SyncBody::NeedSnapshot);
    assert_eq!(out.iter().filter(asked).count(), 3);
    machine
}

#[test]
fn a_state_that_one_member_made_up_is_not_taken() {
    let mut machine = joiner();
    let (right, wrong) =
        (Bytes::copy_from_slice(&7u64.to_le_bytes()), Bytes::copy_from_slice(&8u64.to_le_bytes()));
    let mut out = Vec::new();
    let made_up = offer_of(&head(7), &wrong);
    machine.step(Default::default(), said(1, SyncBody::Offer { offer: made_up.clone() }), &mut out);
    assert_eq!(machine.status().waits, [SyncWait::Offers(nodes(&[2, 3]))]);
    machine.step(
        Default::default(),
        said(2, SyncBody::Offer { offer: offer_of(&head(7), &right) }),
        &mut out,
    );
    assert_eq!(out, [], "one word against another");
    machine.step(
        Default::default(),
        said(3, SyncBody::Offer { offer: offer_of(&head(7), &right) }),
        &mut out,
    );
    let (offer, from) = (offer_of(&head(7), &right), nodes(&[2, 3]));
    let alarm = SyncOutput::Alarm { kind: AlarmKind::OffersDiffer, with: node(1), step: 7 };
    assert_eq!(out, [alarm, SyncOutput::FetchState { offer: offer.clone(), from, is_anew: true }]);
    assert_eq!(machine.status().waits, [SyncWait::Chunks(nodes(&[2, 3]))]);
    // What was not certified does not count, however it came here.
    out.clear();
    let fetched = |id, state| SyncInput::StateFetched { id, state, last: Vec::new() };
    machine.step(Default::default(), fetched(made_up.id(), wrong), &mut out);
    assert_eq!(out, []);
    machine.step(Default::default(), fetched(offer.id(), right), &mut out);
    assert!(matches!(out[0], SyncOutput::InstallState { step: 7, .. }), "{out:?}");
    assert_eq!(machine.numbers().applied, 7);
}

#[test]
fn a_state_that_is_none_is_refused_and_the_others_are_believed() {
    let mut machine = joiner();
    let none = Bytes::from_static(b"none");
    let mut out = Vec::new();
    for from in 1..3 {
        machine.step(
            Default::default(),
            said(from, SyncBody::Offer { offer: offer_of(&head(7), &none) }),
            &mut out,
        );
    }
    let id = offer_of(&head(7), &none).id();
    assert!(matches!(out[..], [SyncOutput::FetchState { .. }]));
    out.clear();
    machine.step(Default::default(), SyncInput::StateFetched { id, state: none, last: Vec::new() }, &mut out);
    let refused: Vec<NodeId> = out
        .iter()
        .filter_map(|output| match output {
            SyncOutput::Refused { from, .. } => Some(*from),
            _ => None,
        })
        .collect();
    assert_eq!(refused, nodes(&[1, 2]));
    assert!(!machine.place().synced);
    out.clear();
    let right = Bytes::copy_from_slice(&7u64.to_le_bytes());
    machine.step(
        Default::default(),
        said(3, SyncBody::Offer { offer: offer_of(&head(7), &right) }),
        &mut out,
    );
    let [SyncOutput::FetchState { from, is_anew: false, .. }] = &out[..] else { panic!("{out:?}") };
    assert_eq!(*from, nodes(&[3]));
}

/// Where a member stands that has the state and has heard that the joiner arrives.
fn awaits(from: u8, step: u64, chain: Chain) -> SyncInput {
    awaits_for(from, (step, chain), Arrival::default().next())
}

/// The same, having heard that.
fn awaits_for(from: u8, (step, chain): (u64, Chain), awaits: Arrival) -> SyncInput {
    let entry = Some(Entry { step: 7, halt_step: 7, ..Entry::default() });
    let (synced, arrival, held) = (true, Arrival::default(), IndexSet::new());
    let standing = Standing { synced, arrival, step, chain, held, entry };
    said(from, SyncBody::State { standing, fresh: false, awaits })
}

/// One was a step behind all the time, and the joiner is the owner that it gets the results of that step from.
#[test]
fn whoever_is_a_step_behind_a_joiner_gets_the_results_that_came_with_its_state() {
    let mut machine = joiner();
    let whole = Bytes::copy_from_slice(&63u64.to_le_bytes());
    let last = vec![whole; PARTS as usize];
    let chain = next_chain(head(6).chain, &last);
    let at_seven = SnapshotHead { chain, previous_chain: head(6).chain, last: last.clone(), ..head(7) };
    let state = Bytes::copy_from_slice(&7u64.to_le_bytes());
    let offer = offer_of(&at_seven, &state);
    let mut out = Vec::new();
    for from in 1..3 {
        machine.step(Default::default(), said(from, SyncBody::Offer { offer: offer.clone() }), &mut out);
    }
    machine.step(
        Default::default(),
        SyncInput::StateFetched { id: offer.id(), state, last: last.clone() },
        &mut out,
    );
    out.clear();
    for (from, step, chain) in [(1, 7, chain), (2, 7, chain), (3, 6, head(6).chain)] {
        assert!(!machine.place().synced);
        machine.step(Default::default(), awaits(from, step, chain), &mut out);
    }
    assert!(machine.place().synced, "all wait for it, and nobody is further");
    let given: Vec<&SyncBody> = out
        .iter()
        .filter_map(|output| match output {
            SyncOutput::Send { to, message } if *to == node(3) => Some(&message.body),
            _ => None,
        })
        .filter(|body| matches!(body, SyncBody::Result { .. }))
        .collect();
    let result = SyncBody::Result { step: 6, base: head(6).chain, part: 3, result: last[3].clone() };
    assert_eq!(given, [&result]);
}

/// Results that do not lead to the state that they come with.
#[test]
fn results_of_another_chain_are_refused() {
    let mut machine = joiner();
    let state = Bytes::copy_from_slice(&7u64.to_le_bytes());
    let whole = Bytes::copy_from_slice(&63u64.to_le_bytes());
    let last = vec![whole; PARTS as usize];
    let offer = offer_of(&SnapshotHead { last: last.clone(), ..head(7) }, &state);
    let mut out = Vec::new();
    for from in 1..3 {
        machine.step(Default::default(), said(from, SyncBody::Offer { offer: offer.clone() }), &mut out);
    }
    machine.step(Default::default(), SyncInput::StateFetched { id: offer.id(), state, last }, &mut out);
    assert!(!machine.place().synced && out.iter().any(|output| matches!(output, SyncOutput::Refused { .. })));
}

/// A view with a joiner comes while one member has applied a step that the other has not.
#[test]
fn members_keep_and_offer_the_latest_step_in_which_any_was() {
    let mut cluster = Cluster::new(&[1, 2, 3], 9);
    cluster.frozen = vec![3];
    cluster.enter(&view(1, &[(1, 1), (2, 1)]));
    while cluster.step_of(1) == cluster.step_of(2) || cluster.step_of(1).max(cluster.step_of(2)) < 3 {
        assert!(cluster.deliver());
    }
    let (ahead, behind) = if cluster.step_of(1) > cluster.step_of(2) { (1, 2) } else { (2, 1) };
    let step = cluster.step_of(ahead);
    cluster.frozen.clear();
    cluster.enter(&view(2, &[(1, 1), (2, 1), (3, 2)]));
    // Whoever is behind is asked before it has heard of the results.
    let from = |index: u8| NodeId([index; 32]);
    let message = SyncBody::NeedSnapshot;
    let boot = life(3).boot;
    let asked = SyncMessage { job: JOB, incarnation: Incarnation(1), epoch: Epoch(2), boot, body: message };
    cluster.feed(behind, SyncInput::Message { from: from(3), message: asked });
    cluster.settle();
    let of_behind: Vec<u64> =
        cluster.offered.iter().filter(|(of, _)| *of == behind).map(|(_, step)| *step).collect();
    assert_eq!(of_behind, [step], "the one behind comes to that step first");
    assert_eq!(cluster.kept, [(ahead, step), (behind, step)]);
    assert_eq!(cluster.fetched, [(3, step, vec![1, 2])], "what both have is fetched");
    assert!(cluster.machines.values().all(|machine| machine.status().finished));
}

#[test]
fn a_donor_that_dies_is_made_up_for() {
    let mut cluster = Cluster::new(&[1, 2, 3], 9);
    cluster.frozen = vec![3];
    cluster.enter(&view(1, &[(1, 1), (2, 1)]));
    while cluster.step_of(1) < 3 {
        assert!(cluster.deliver());
    }
    cluster.frozen.clear();
    cluster.starved = true;
    cluster.enter(&view(2, &[(1, 1), (2, 1), (3, 2)]));
    cluster.settle();
    let begun = cluster.fetched.clone();
    assert!(begun.iter().all(|(index, ..)| *index == 3) && !begun.is_empty(), "{begun:?}");
    assert!(cluster.machines[&3].status().waits.iter().any(|wait| matches!(wait, SyncWait::Chunks(_))));
    // The second dies: its chunks come from the first, in the view without it.
    cluster.machines.remove(&2);
    cluster.fetched.clear();
    cluster.starved = false;
    cluster.enter(&view(3, &[(1, 1), (3, 2)]));
    cluster.settle();
    assert_eq!(cluster.fetched, [(3, begun[begun.len() - 1].1, vec![1])], "the same state as before");
    assert!(cluster.machines.values().all(|machine| machine.status().finished));
}

#[test]
fn a_state_is_put_together_from_its_chunks() {
    let content: Vec<Bytes> = (0u8..5).map(|index| Bytes::from(vec![index; 3])).collect();
    let chunk = |index: usize| Chunk { id: ChunkId([index as u8; 32]), bytes: 3 };
    let offer = StateOffer {
        state: vec![chunk(0), chunk(1), chunk(0)],
        last: vec![chunk(2), chunk(3)],
        last_bytes: vec![1, 0, 5],
        ..offer(3, 0)
    };
    let find = |id: ChunkId| content.get(usize::from(id.0[0])).cloned();
    let (state, last) = offer.assemble(find).unwrap();
    assert_eq!(&state[..], [0, 0, 0, 1, 1, 1, 0, 0, 0]);
    assert_eq!(last, [&[2][..], &[], &[2, 2, 3, 3, 3]]);
    assert_eq!(offer.assemble(|id| find(id).filter(|_| id.0[0] != 3)), None);
}

/// One gives a wrong result of step 7. What both then say builds on another chain, and neither is asked in circles: the joiner
/// takes the state again and has the other give that part.
#[test]
fn a_joiner_that_was_given_a_wrong_result_starts_over() {
    let mut machine = joiner();
    let state = Bytes::copy_from_slice(&7u64.to_le_bytes());
    let offer = offer_of(&head(7), &state);
    let (right, wrong) = (63u64, 63u64 | 1 << 40);
    let bytes = |result: u64| Bytes::copy_from_slice(&result.to_le_bytes());
    let chain_of = |step: u64| {
        (7..step).fold(head(7).chain, |chain, _| next_chain(chain, &vec![bytes(right); PARTS as usize]))
    };
    let mut asked_of_liar = 0;
    let mut answers: Vec<SyncInput> =
        (1..4).map(|from| said(from, SyncBody::Offer { offer: offer.clone() })).collect();
    answers.extend([1, 2, 3].map(|from| awaits(from, 9, chain_of(9))));
    let (mut fetched, mut rounds) = (0, 0);
    while !machine.place().synced {
        rounds += 1;
        assert!(rounds < 100, "asked in circles: {:?}", machine.status());
        let mut out = Vec::new();
        answers.drain(..).for_each(|answer| machine.step(Default::default(), answer, &mut out));
        for output in out {
            match output {
                SyncOutput::FetchState { is_anew: true, .. } => {
                    fetched += 1;
                    let (id, state) = (offer.id(), state.clone());
                    answers.push(SyncInput::StateFetched { id, state, last: Vec::new() });
                }
                SyncOutput::Send { to, message } => match message.body {
                    SyncBody::NeedSnapshot => {
                        answers.push(said(to.0[0], SyncBody::Offer { offer: offer.clone() }));
                    }
                    SyncBody::NeedResult { step, part } => {
                        // The second lies whenever it is asked for a part of the first step.
                        let is_lie = to == node(2) && step == 7;
                        asked_of_liar += u64::from(is_lie);
                        let result = bytes(if is_lie && part == 1 { wrong } else { right });
                        let base = chain_of(step);
                        answers.push(said(to.0[0], SyncBody::Result { step, base, part, result }));
                    }
                    SyncBody::State { standing, .. } => {
                        answers.push(awaits_for(to.0[0], (9, chain_of(9)), standing.arrival));
                    }
                    _ => {}
                },
                _ => {}
            }
        }
    }
    assert_eq!((machine.place().step, machine.place().chain), (9, chain_of(9)));
    assert_eq!(fetched, 2, "once, and once more");
    assert!(asked_of_liar <= 2 * u64::from(PARTS));
}

/// Who gave a result died before anybody else had it, and another was made of the step: the joiner is as far as the others and its
/// state is not theirs.
#[test]
fn a_joiner_with_a_result_that_nobody_else_has_starts_over() {
    let mut machine = joiner();
    let state = Bytes::copy_from_slice(&7u64.to_le_bytes());
    let offer = offer_of(&head(7), &state);
    let result = |bits: u64| Bytes::copy_from_slice(&bits.to_le_bytes());
    let lost = vec![result(63 | 1 << 40); PARTS as usize];
    let made = vec![result(63); PARTS as usize];
    let mut out = Vec::new();
    let mut feed = |machine: &mut SyncMachine<Bits>, input| {
        out.clear();
        machine.step(Default::default(), input, &mut out);
        out.clone()
    };
    for from in 1..4 {
        feed(&mut machine, said(from, SyncBody::Offer { offer: offer.clone() }));
    }
    feed(&mut machine, SyncInput::StateFetched { id: offer.id(), state: state.clone(), last: Vec::new() });
    feed(&mut machine, awaits(1, 8, next_chain(head(7).chain, &lost)));
    for part in 0..PARTS {
        let (step, base, result) = (7, head(7).chain, lost[part as usize].clone());
        feed(&mut machine, said(1, SyncBody::Result { step, base, part, result }));
    }
    assert_eq!(machine.place().step, 8);
    let of_others = next_chain(head(7).chain, &made);
    feed(&mut machine, awaits(2, 8, of_others));
    let out = feed(&mut machine, awaits(3, 8, of_others));
    assert!(!machine.place().synced, "its state is another");
    let asks = |output: &SyncOutput| matches!(output, SyncOutput::Send { message, .. } if message.body == SyncBody::NeedSnapshot);
    assert_eq!(out.iter().filter(|output| asks(output)).count(), 3);
    // It has said that it arrives, and takes that back.
    let takes_back = |output: &&SyncOutput| matches!(output, SyncOutput::Send { message: SyncMessage { body: SyncBody::State { standing, .. }, .. }, .. } if standing.arrival == Arrival::default().next().next());
    assert_eq!(out.iter().filter(takes_back).count(), 3);
    // What was an answer to its first word does not count for the next: it has a state again, and nobody has heard of that.
    feed(&mut machine, said(2, SyncBody::Offer { offer: offer.clone() }));
    feed(&mut machine, said(3, SyncBody::Offer { offer: offer.clone() }));
    feed(&mut machine, SyncInput::StateFetched { id: offer.id(), state, last: Vec::new() });
    for (from, part) in [1, 2, 3].into_iter().flat_map(|from| (0..PARTS).map(move |part| (from, part))) {
        let (step, base, result) = (7, head(7).chain, made[part as usize].clone());
        feed(&mut machine, said(from, SyncBody::Result { step, base, part, result }));
    }
    for from in [2, 3] {
        feed(&mut machine, awaits(from, 8, of_others));
    }
    assert!(machine.standing().arrival.is_announced());
    assert_eq!((machine.place().step, machine.place().chain, machine.place().synced), (8, of_others, false));
}
