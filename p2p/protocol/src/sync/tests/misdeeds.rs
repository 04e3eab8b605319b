//! Members that send what no honest one does are accused, and those that only look like it are not.

use bytes::Bytes;

use super::cluster::{Bits, JOB, MICROBATCHES, PARTS, life, machine, offer_of, view};
use crate::ids::{Boot, Chain, Epoch, Incarnation, Life, Millis};
use crate::index_set::IndexSet;
use crate::misdeed::Misdeed;
use crate::sync::{
    AlarmKind, Arrival, Entry, SnapshotHead, Standing, SyncBody, SyncInput, SyncMachine, SyncMessage,
    SyncOptions, SyncOutput, next_chain,
};
use crate::view::View;

/// Node 1 in view 5 with 2 and 3, all founders. Parts 0 and 3 are its own, 1 is of node 2 and 2 of node 3; it has leases 0 and 3.
struct Bench {
    machine: SyncMachine<Bits>,
    genesis: Chain,
    now: Millis,
}

const FOUNDERS: [(u8, u64); 3] = [(1, 1), (2, 1), (3, 1)];

/// What a sum over all micro-batches is, and another one that is as well formed.
const ALL: u64 = (1 << MICROBATCHES) - 1;
const OTHER: u64 = ALL | 1 << 40;

fn bench() -> Bench {
    let machine = machine(1, 50);
    let genesis = machine.place().chain;
    let mut bench = Bench { machine, genesis, now: Millis(1) };
    bench.enter(1, &FOUNDERS);
    bench.enter(5, &FOUNDERS);
    bench
}

fn bytes(number: u64) -> Bytes {
    Bytes::copy_from_slice(&number.to_le_bytes())
}

fn set(indices: &[u32]) -> IndexSet {
    indices.iter().copied().collect()
}

impl Bench {
    fn feed(&mut self, input: SyncInput) -> Vec<SyncOutput> {
        let mut out = Vec::new();
        self.machine.step(self.now, input, &mut out);
        out
    }

    fn enter(&mut self, epoch: u64, members: &[(u8, u64)]) -> Vec<SyncOutput> {
        self.feed(SyncInput::EnterView(view(epoch, members)))
    }

    fn hear_in(&mut self, epoch: u64, from: u8, body: SyncBody) -> Vec<SyncOutput> {
        self.hear_from(Epoch(epoch), Incarnation(1), life(from), body)
    }

    fn hear_from(
        &mut self,
        epoch: Epoch,
        incarnation: Incarnation,
        from: Life,
        body: SyncBody,
    ) -> Vec<SyncOutput> {
        let message = SyncMessage { job: JOB, incarnation, epoch, boot: from.boot, body };
        self.feed(SyncInput::Message { from: from.node, message })
    }

    fn sum(&mut self, from: u8, part: u32, microbatches: &[u32], sum: Bytes) -> Vec<SyncOutput> {
        let (step, base, microbatches) = (self.machine.place().step, self.genesis, set(microbatches));
        self.hear_in(5, from, SyncBody::Contribution { step, base, part, microbatches, sum, more: false })
    }

    fn result(&mut self, from: u8, part: u32, result: Bytes) -> Vec<SyncOutput> {
        let (step, base) = (0, self.genesis);
        self.hear_in(5, from, SyncBody::Result { step, base, part, result })
    }

    /// The others are in this step and have computed their leases.
    fn hear_states(&mut self) {
        for from in [2, 3] {
            let computed = set(&[u32::from(from) - 1, u32::from(from) + 2]);
            let entry = Some(Entry { computed, ..Entry::default() });
            let (synced, arrival, step, chain, held) =
                (true, Arrival::default(), 0, self.genesis, IndexSet::new());
            let standing = Standing { synced, arrival, step, chain, held, entry };
            let out =
                self.hear_in(5, from, SyncBody::State { standing, fresh: false, awaits: Arrival::default() });
            assert_eq!(accused(&out), []);
        }
    }
}

/// Who is accused of what.
fn accused(out: &[SyncOutput]) -> Vec<(u8, Misdeed)> {
    let accusation = |output: &SyncOutput| match output {
        SyncOutput::Accuse(accusation) => Some((accusation.of.node.0[0], accusation.misdeed)),
        _ => None,
    };
    out.iter().filter_map(accusation).collect()
}

fn alarms(out: &[SyncOutput]) -> Vec<AlarmKind> {
    let alarm = |output: &SyncOutput| match output {
        SyncOutput::Alarm { kind, .. } => Some(*kind),
        _ => None,
    };
    out.iter().filter_map(alarm).collect()
}

#[test]
fn a_sum_of_another_length_is_not_kept_and_its_sender_is_accused_once_in_a_view() {
    let mut bench = bench();
    let misdeed = Misdeed::Contribution { step: 0, part: 0 };
    for (length, expected) in [(7, vec![(2, misdeed)]), (9, vec![]), (1 << 20, vec![]), (0, vec![])] {
        let out = bench.sum(2, 0, &[1, 4], Bytes::from(vec![1; length]));
        assert_eq!(accused(&out), expected, "{length} bytes");
        assert_eq!(bench.machine.received.len(), 0, "{length} bytes");
    }
    assert_eq!(accused(&bench.sum(3, 0, &[2, 5], Bytes::from_static(b"short"))), [(3, misdeed)]);
    // The right ones count all the same.
    bench.hear_states();
    bench.sum(2, 0, &[1, 4], bytes(0b01_0010));
    bench.sum(3, 0, &[2, 5], bytes(0b10_0100));
    for microbatch in [0, 3] {
        let contributions = vec![bytes(1 << microbatch); PARTS as usize];
        let base = bench.genesis;
        bench.feed(SyncInput::Computed { step: 0, base, microbatch, contributions });
    }
    assert!(bench.machine.place().held.contains(0));
    bench.enter(6, &FOUNDERS);
    let out = bench.hear_in(
        6,
        2,
        SyncBody::Contribution {
            step: 0,
            base: bench.genesis,
            part: 3,
            microbatches: set(&[1]),
            sum: bytes(0),
            more: false,
        },
    );
    assert_eq!(accused(&out), [(2, Misdeed::Contribution { step: 0, part: 3 })], "a new view, a new word");
}

#[test]
fn a_result_that_is_none_is_not_taken_and_its_sender_is_accused() {
    let mut bench = bench();
    let misdeed = Misdeed::Result { step: 0, part: 1 };
    assert_eq!(accused(&bench.result(2, 1, Bytes::from_static(b"short"))), [(2, misdeed)]);
    assert_eq!(accused(&bench.result(3, 1, bytes(5))), [(3, misdeed)], "values that no result has");
    assert!(bench.machine.place().held.is_empty());
    assert_eq!(accused(&bench.result(2, 1, bytes(ALL))), []);
    assert!(bench.machine.place().held.contains(1));
}

#[test]
fn two_sums_over_one_set_are_a_misdeed_of_one_member_in_one_view_alone() {
    let mut bench = bench();
    for (from, microbatches, sum) in [
        (2, &[1, 4][..], 0b01_0010),
        (2, &[1, 4], 0b01_0010), // the same again
        (2, &[1], 0b00_0010),    // a part of it
        (3, &[1, 4], 0b00_0001), // another member, which computed something else
        (3, &[1, 4], 0b00_0011), // and that again otherwise, where the first word is another member's
    ] {
        assert_eq!(
            accused(&bench.sum(from, 0, microbatches, bytes(sum))),
            [],
            "{from} {microbatches:?} {sum}"
        );
    }
    let misdeed = Misdeed::TwoContributions { step: 0, part: 0 };
    bench.sum(2, 3, &[1, 4], bytes(0b01_0010));
    bench.sum(3, 0, &[2, 5], bytes(0b10_0100));
    assert_eq!(accused(&bench.sum(2, 0, &[1, 4], bytes(0b00_0001))), [(2, misdeed)]);
    bench.sum(2, 0, &[4], bytes(0b01_0000));
    let sums = |part: u32| bench.machine.received.cover(0, part, bench.genesis).0;
    assert_eq!((sums(0), sums(3)), (vec![bytes(0b10_0100)], vec![]), "none of its sums counts in this view");
    // In the next view a member may have lost its work and computed it again, on a processor that is not like the first. What
    // the third one sent before is still there.
    bench.enter(6, &[(1, 1), (2, 6), (3, 6)]);
    for (from, of, sum) in [(3, &[2, 5][..], 0b00_1000), (2, &[1, 4], 0b00_0001)] {
        let (step, base, part, microbatches) = (0, bench.genesis, 0, set(of));
        let body = SyncBody::Contribution { step, base, part, microbatches, sum: bytes(sum), more: false };
        assert_eq!(accused(&bench.hear_in(6, from, body)), [], "{from}");
    }
}

#[test]
fn two_results_of_one_member_are_a_misdeed_and_of_two_members_an_alarm() {
    let mut bench = bench();
    assert_eq!(accused(&bench.result(2, 1, bytes(ALL))), []);
    let out = bench.result(2, 1, bytes(ALL));
    assert_eq!((accused(&out), alarms(&out)), (vec![], vec![]), "the same again");
    let out = bench.result(3, 1, bytes(OTHER));
    assert_eq!((accused(&out), alarms(&out)), (vec![], vec![AlarmKind::TwoResults]), "one of the two");
    let out = bench.result(2, 1, bytes(OTHER));
    assert_eq!(accused(&out), [(2, Misdeed::TwoResults { step: 0, part: 1 })]);
    assert_eq!(bench.machine.results[1], Some(bytes(ALL)), "the first one stays");
    // What it gave in an earlier view it may have lost since.
    bench.enter(6, &[(1, 1), (2, 6), (3, 1)]);
    let (step, base, part) = (0, bench.genesis, 1);
    let out = bench.hear_in(6, 2, SyncBody::Result { step, base, part, result: bytes(OTHER) });
    assert_eq!((accused(&out), alarms(&out)), (vec![], vec![AlarmKind::TwoResults]));
}

/// Node 1 is given another result of part 1 than the others have, goes on to a state that nobody has, and gets theirs.
fn deceived(tenure_of_owner: u64) -> Vec<SyncOutput> {
    let mut bench = bench();
    let genesis = bench.genesis;
    let results = [ALL, OTHER, ALL, ALL].map(bytes);
    for (part, from) in [(0, 3), (1, 2), (2, 3), (3, 3)] {
        bench.result(from, part, results[part as usize].clone());
    }
    assert_eq!(bench.machine.place().step, 1);
    let right = [ALL; PARTS as usize].map(bytes);
    bench.enter(6, &[(1, 6), (2, tenure_of_owner), (3, 1)]);
    let head = SnapshotHead {
        incarnation: Incarnation(1),
        epoch: Epoch(6),
        step: 1,
        chain: next_chain(genesis, &right),
        previous_chain: genesis,
        last: right.to_vec(),
    };
    let state = bytes(1);
    let offer = offer_of(&head, &state);
    for from in [2, 3] {
        bench.hear_in(6, from, SyncBody::Offer { offer: offer.clone() });
    }
    let mut out = bench.feed(SyncInput::StateFetched { id: offer.id(), state, last: right.to_vec() });
    assert!(!bench.machine.place().synced, "others may be further");
    let standing = Standing {
        synced: true,
        arrival: Arrival::default(),
        step: 1,
        chain: head.chain,
        held: IndexSet::new(),
        entry: Some(Entry { step: 1, halt_step: 1, ..Entry::default() }),
    };
    for from in [2, 3] {
        let standing = standing.clone();
        out.extend(bench.hear_in(
            6,
            from,
            SyncBody::State { standing, fresh: false, awaits: Arrival::default().next() },
        ));
    }
    assert!(bench.machine.place().synced);
    out
}

#[test]
fn an_owner_that_gives_members_different_results_is_accused_by_whom_it_deceived() {
    let out = deceived(1);
    assert_eq!(accused(&out), [(2, Misdeed::TwoResults { step: 0, part: 1 })]);
    let position = |is: fn(&SyncOutput) -> bool| out.iter().position(is);
    let synced = position(|output| matches!(output, SyncOutput::Synced { .. }));
    assert!(synced < position(|output| matches!(output, SyncOutput::Accuse(_))), "its word counts by then");
}

#[test]
fn an_owner_that_was_put_out_meanwhile_may_have_given_what_was_folded_again() {
    assert_eq!(accused(&deceived(6)), []);
}

#[test]
fn views_far_beyond_the_newest_are_not_held_and_their_messenger_is_accused() {
    let mut bench = bench();
    let body = || SyncBody::NeedResult { step: 0, part: 0 };
    let (one, other) = (Incarnation(1), Incarnation(2));
    let restarted = Life { boot: Boot(1), ..life(2) };
    for (epoch, incarnation, from) in [
        (4, one, life(2)),                 // behind
        (6, one, life(2)),                 // the next
        (5 + 256, one, life(2)),           // as far as can be honest
        (5 + 1000, other, life(2)),        // another lineage
        ((1 << 32) + 5_000, one, life(2)), // another council
        (5 + 1000, one, restarted),        // another process of the node
        (5 + 1000, one, life(4)),          // no member
    ] {
        assert_eq!(accused(&bench.hear_from(Epoch(epoch), incarnation, from, body())), [], "{epoch}");
    }
    let held = bench.machine.held.size().0;
    assert_eq!(held, 3, "the next, the farthest and that of another council");
    for epoch in [5 + 257, u64::from(u32::MAX)] {
        let out = bench.hear_in(epoch, 2, body());
        let expected: &[_] = if epoch == 262 { &[(2, Misdeed::Epoch { epoch: Epoch(262) })] } else { &[] };
        assert_eq!(accused(&out), expected, "once");
        assert!(out.iter().all(|output| matches!(output, SyncOutput::Accuse(_))), "nothing comes of it");
    }
    assert_eq!(bench.machine.held.size().0, held);
}

#[test]
fn a_member_that_floods_is_accused_once_and_leaves_the_others_their_room() {
    let mut bench = bench();
    let max = bench.machine.allowances.messages_max();
    let body = || SyncBody::NeedResult { step: 7, part: 0 };
    for count in 1..=max {
        assert_eq!(accused(&bench.hear_in(6, 2, body())), [], "{count}");
    }
    bench.feed(SyncInput::PathOpened(life(2).node));
    for count in 1..=max {
        assert_eq!(accused(&bench.hear_in(6, 2, body())), [], "{count} on a new path");
    }
    assert_eq!(accused(&bench.hear_in(6, 2, body())), [(2, Misdeed::Flood)]);
    assert_eq!(accused(&bench.hear_in(6, 2, body())), []);
    assert_eq!(bench.machine.held.size().0, 1024, "its share");
    bench.hear_in(6, 3, body());
    assert_eq!(bench.machine.held.size().0, 1025);
    let large = SyncBody::Result { step: 7, base: bench.genesis, part: 0, result: vec![0; 1 << 20].into() };
    for _ in 0..40 {
        bench.hear_in(6, 3, large.clone());
    }
    assert_eq!(bench.machine.held.size(), (1025 + 16, 16 << 20));
}

fn refused(out: &[SyncOutput]) -> bool {
    out.iter().any(|output| matches!(output, SyncOutput::Refused { .. }))
}

/// Whoever neither reduces a part nor is the heir of its owner keeps no sums of it, and only its owner may ask for them.
#[test]
fn sums_go_to_who_reduces_their_part_and_to_nobody_else() {
    let mut bench = bench();
    bench.hear_states();
    let heir = bench.machine.membership.as_ref().and_then(|membership| membership.heir(1));
    for (from, part) in [(2, 1), (2, 2), (3, 1), (3, 2)] {
        let is_for_us = (from, part) == (2, 1) && heir == Some(life(1).node);
        let out = bench.sum(from, part, &[1, 4], bytes(0b01_0010));
        assert_eq!(refused(&out), !is_for_us, "from {from}, part {part}");
        assert_eq!(bench.machine.received.len(), usize::from(is_for_us));
        bench.machine.received.clear();
    }
    assert!(!refused(&bench.sum(2, 0, &[1, 4], bytes(0b01_0010))));
    assert_eq!(bench.machine.received.len(), 1);
    for (from, part, is_owner) in [(2, 1, true), (2, 2, false), (3, 0, false), (3, 2, true)] {
        let body = SyncBody::NeedContribution { step: 0, part, microbatches: set(&[0]) };
        assert_eq!(refused(&bench.hear_in(5, from, body)), !is_owner, "from {from}, part {part}");
    }
}

#[test]
fn what_others_ask_for_waits_until_the_own_lease_is_computed() {
    let mut bench = bench();
    let asked = |out: &[SyncOutput]| -> Vec<u32> {
        let asked = |output: &SyncOutput| match output {
            SyncOutput::Compute { microbatches, .. } => Some(microbatches.iter().collect::<Vec<_>>()),
            _ => None,
        };
        out.iter().filter_map(asked).flatten().collect()
    };
    // Two members: 0, 2 and 4 are its lease.
    bench.enter(6, &FOUNDERS[..2]);
    let (synced, arrival, step, chain, held) = (true, Arrival::default(), 0, bench.genesis, IndexSet::new());
    let entry = Some(Entry::default());
    let standing = Standing { synced, arrival, step, chain, held, entry };
    let begun =
        asked(&bench.hear_in(6, 2, SyncBody::State { standing, fresh: false, awaits: Arrival::default() }));
    assert_eq!(begun, [0, 2]);
    let body = SyncBody::NeedContribution { step: 0, part: 1, microbatches: set(&[0, 1, 2, 3, 4, 5]) };
    assert_eq!(asked(&bench.hear_in(6, 2, body)), [] as [u32; 0]);
    let mut order = Vec::new();
    for microbatch in [0, 2, 4, 1, 3] {
        let base = bench.genesis;
        let contributions = vec![bytes(1 << microbatch); PARTS as usize];
        order.extend(asked(&bench.feed(SyncInput::Computed { step: 0, base, microbatch, contributions })));
    }
    assert_eq!(order, [4, 1, 3, 5]);
}

#[test]
fn questions_of_one_member_leave_the_others_their_room() {
    let microbatches = 15;
    let genesis = Chain([9; 32]);
    let options = SyncOptions {
        job: JOB,
        me: life(1),
        microbatches,
        parts: PARTS,
        steps: 50,
        genesis,
        kept_bytes_max: 0,
        sends_early: true,
    };
    let mut bench = Bench { machine: SyncMachine::new(options, Bits::default()), genesis, now: Millis(1) };
    let leases = vec![0; microbatches as usize];
    bench.feed(SyncInput::EnterView(View { leases, ..view(5, &[(1, 5), (2, 5), (3, 5)]) }));
    bench.feed(SyncInput::EnterView(View {
        leases: vec![0; microbatches as usize],
        founding_epoch: Epoch(6),
        ..view(6, &[(1, 6), (2, 6), (3, 6)])
    }));
    bench.feed(SyncInput::OriginLoaded { step: 0, chain: genesis });
    assert!(bench.machine.place().synced);
    let mut ask = |from: u8, number: u32| {
        let microbatches = (0..microbatches).filter(|index| number >> index & 1 == 1).collect();
        let body = SyncBody::NeedContribution { step: 0, part: u32::from(from) - 1, microbatches };
        let out = bench.hear_in(6, from, body);
        out.iter().any(|output| matches!(output, SyncOutput::Refused { .. }))
    };
    assert!((1..=16_384).all(|number| !ask(2, number)));
    assert!(ask(2, 16_385), "one too many");
    assert!((1..100).all(|number| !ask(3, number)), "the other has its room");
}

#[test]
fn frames_that_are_no_messages_are_a_misdeed_of_members_alone() {
    let mut bench = bench();
    let malformed = |from: u8| SyncInput::Malformed { from: life(from).node, evidence: [9; 32] };
    assert_eq!(accused(&bench.feed(malformed(4))), [], "no member");
    assert_eq!(accused(&bench.feed(malformed(1))), [], "itself");
    let out = bench.feed(malformed(2));
    assert_eq!(accused(&out), [(2, Misdeed::Frame)]);
    let of = view(5, &FOUNDERS).members[1];
    assert!(out.iter().any(
        |output| matches!(output, SyncOutput::Accuse(word) if word.of == of && word.evidence == [9; 32])
    ));
    assert_eq!(accused(&bench.feed(malformed(2))), [], "once");
    bench.enter(6, &[(2, 1), (3, 1)]);
    assert_eq!(accused(&bench.feed(malformed(3))), [], "who is no member accuses nobody");
}
