//! A member that says anything.

use bytes::Bytes;

use super::cluster::{Bits, JOB, MICROBATCHES, PARTS, life, machine, view};
use crate::ids::{Chain, ChunkId, Epoch, Incarnation, Millis, StateId};
use crate::index_set::IndexSet;
use crate::sync::{
    Arrival, Entry, Standing, StateOffer, SyncBody, SyncInput, SyncMachine, SyncMessage, SyncOutput,
};
use crate::transfer::Chunk;

fn some_arrival(words: usize) -> Arrival {
    (0..words).fold(Arrival::default(), |arrival, _| arrival.next())
}

fn body(below: &mut impl FnMut(usize) -> usize, genesis: Chain) -> SyncBody {
    let step = [0, 1, 2, 7, u64::MAX - 1, u64::MAX][below(6)];
    let base = [genesis, Chain([1; 32])][below(2)];
    let part = below(PARTS as usize + 1) as u32;
    let microbatches: IndexSet = (0..MICROBATCHES).filter(|_| below(2) == 0).collect();
    let held: IndexSet = (0..PARTS).filter(|_| below(3) == 0).collect();
    let bytes = Bytes::from(vec![[0, 1, 63][below(3)], 0, 0, 0, 0, 0, 0, 0][..[0, 3, 8][below(3)]].to_vec());
    match below(7) {
        0 => {
            let (synced, arrival) = (below(4) > 0, some_arrival(below(3)));
            let mut some_set =
                |one_in: usize| (0..MICROBATCHES).filter(|_| below(one_in) == 0).collect::<IndexSet>();
            let (computing, summed, failed) = (some_set(4), some_set(2), some_set(4));
            let mut some_step = || [0, 2, u64::MAX][below(3)];
            let (step_then, halt_step, kept) = (some_step(), some_step(), some_step());
            let entry = Entry {
                step: step_then,
                halt_step,
                kept_step: (below(2) == 0).then_some(kept),
                is_loaded: below(2) == 0,
                computed: microbatches,
                computing,
                summed,
                failed,
            };
            let entry = (below(4) > 0).then_some(entry);
            let standing = Standing { synced, arrival, step, chain: base, held, entry };
            SyncBody::State { standing, fresh: below(2) == 0, awaits: some_arrival(below(3)) }
        }
        1 => SyncBody::Contribution { step, base, part, microbatches, sum: bytes, more: below(2) == 0 },
        2 => SyncBody::Result { step, base, part, result: bytes },
        3 => SyncBody::NeedContribution { step, part, microbatches },
        4 => SyncBody::NeedResult { step, part },
        5 => SyncBody::NeedSnapshot,
        _ => {
            let chunk = |bytes: u32| Chunk { id: ChunkId([3; 32]), bytes };
            let last_bytes = vec![below(3) as u32; [0, 1, PARTS as usize][below(3)]];
            let last = vec![chunk(last_bytes.iter().sum()); usize::from(!last_bytes.is_empty())];
            let state = vec![chunk([0, 8, u32::MAX][below(3)]); below(3)];
            let offer = StateOffer { step, chain: base, previous_chain: base, state, last, last_bytes };
            SyncBody::Offer { offer }
        }
    }
}

/// Nothing that a member says makes another panic, and what is kept of it is bounded.
#[test]
fn a_member_that_says_anything_does_no_harm() {
    for seed in 0..300u64 {
        let mut chance = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut below = |count: usize| {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            (chance % count.max(1) as u64) as usize
        };
        let mut machine = machine(1, 50);
        let genesis = machine.place().chain;
        let tenure = 1 + below(2) as u64;
        let mut out = Vec::new();
        machine.step(Millis(0), SyncInput::EnterView(view(2, &[(1, tenure), (2, 1)])), &mut out);
        for time in 0..400 {
            let message = SyncMessage {
                job: JOB,
                incarnation: Incarnation(1),
                epoch: Epoch([2, 2, 2, 2, 2, 1, 3][below(7)]),
                boot: life([2, 2, 2, 3][below(4)] as u8).boot,
                body: body(&mut below, genesis),
            };
            machine.step(Millis(time), SyncInput::Message { from: life(2).node, message }, &mut out);
            let commands: Vec<SyncOutput> = std::mem::take(&mut out);
            for command in commands {
                match command {
                    SyncOutput::Compute { step, base, microbatches } => {
                        for microbatch in microbatches.iter() {
                            let contributions = vec![Bytes::from(vec![0; below(9)]); below(6)];
                            let done = SyncInput::Computed { step, base, microbatch, contributions };
                            machine.step(Millis(time), done, &mut out);
                        }
                    }
                    SyncOutput::FetchState { offer, .. } => {
                        let id = [offer.id(), StateId([8; 32])][below(2)];
                        let state = Bytes::from(vec![0; below(9)]);
                        let last = vec![Bytes::from(vec![0; below(9)]); offer.last_bytes.len()];
                        machine.step(Millis(time), SyncInput::StateFetched { id, state, last }, &mut out);
                    }
                    _ => {}
                }
            }
            assert!(machine.received.len() <= 3 * PARTS as usize * (2 * MICROBATCHES as usize + 17));
            let _ = machine.status();
        }
    }
}

fn from_second(epoch: u64, body: SyncBody) -> SyncInput {
    let boot = life(2).boot;
    let message = SyncMessage { job: JOB, incarnation: Incarnation(1), epoch: Epoch(epoch), boot, body };
    SyncInput::Message { from: life(2).node, message }
}

/// Sums that nobody can use are kept up to a bound, and the step goes on when the right ones come.
#[test]
fn useless_sums_are_bounded_and_do_not_hinder() {
    let mut machine = machine(1, 50);
    let genesis = machine.place().chain;
    let mut out = Vec::new();
    machine.step(Millis(0), SyncInput::EnterView(view(1, &[(1, 1), (2, 1)])), &mut out);
    let flood = |machine: &mut SyncMachine<Bits>, step: u64, base: Chain, set: u64| {
        let mut out = Vec::new();
        let microbatches: IndexSet = (0..MICROBATCHES).filter(|index| set >> index & 1 == 1).collect();
        let sum = Bytes::copy_from_slice(&set.to_le_bytes());
        let body = SyncBody::Contribution { step, base, part: 0, microbatches, sum, more: false };
        machine.step(Millis(1), from_second(1, body), &mut out);
    };
    let bound = 2 * MICROBATCHES as usize + 16;
    for set in 1..64 {
        flood(&mut machine, 0, genesis, set);
        flood(&mut machine, 0, Chain([1; 32]), set);
        assert!(machine.received.len() <= bound);
    }
    for set in [0b10_1010, 0b01_0101] {
        flood(&mut machine, 0, genesis, set);
    }
    let (standing, fresh) = (machine.standing(), true);
    machine.step(
        Millis(2),
        from_second(1, SyncBody::State { standing, fresh, awaits: Arrival::default() }),
        &mut out,
    );
    assert!(machine.place().held.contains(0), "part 0 is covered, so it is folded");
    for set in 1..64 {
        (1..9).for_each(|base| flood(&mut machine, 1, Chain([base; 32]), set));
    }
    assert_eq!(machine.received.len(), bound);
}

/// Messages of a view that never comes are held up to a bound.
#[test]
fn messages_of_later_epochs_are_bounded() {
    let mut machine = machine(1, 50);
    let mut out = Vec::new();
    machine.step(Millis(0), SyncInput::EnterView(view(1, &[(1, 1), (2, 1)])), &mut out);
    let large = Bytes::from(vec![0; 1 << 20]);
    // More members than there are shares, each with more messages than its share.
    let members: Vec<(u8, u64)> = (1..=6).map(|index| (index, 1)).collect();
    machine.step(Millis(0), SyncInput::EnterView(view(2, &members)), &mut out);
    out.clear();
    for from in 2..=6 {
        for step in 0..1500 {
            let base = Chain::default();
            let body = match step % 20 {
                0 => SyncBody::Result { step, base, part: 0, result: large.clone() },
                _ => SyncBody::NeedResult { step, part: 0 },
            };
            let epoch = Epoch(3 + step % 100);
            let message =
                SyncMessage { job: JOB, incarnation: Incarnation(1), epoch, boot: life(from).boot, body };
            let from = life(from).node;
            machine.step(Millis(1), SyncInput::Message { from, message }, &mut out);
        }
    }
    let (messages, payload_bytes) = machine.held.size();
    assert_eq!((messages, payload_bytes), (4096, 64 << 20));
    let needed = out.iter().filter(|output| matches!(output, SyncOutput::NeedView { .. })).count();
    assert_eq!(needed, 100, "each epoch is asked for once");
}
