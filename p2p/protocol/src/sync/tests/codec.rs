//! Frames.

use bytes::Bytes;

use super::cluster::{JOB, MICROBATCHES, PARTS, life};
use crate::ids::{Chain, ChunkId, Epoch, Incarnation};
use crate::index_set::IndexSet;
use crate::sync::{
    Arrival, Entry, OFFER_CHUNKS_MAX, Standing, StateOffer, SyncBody, SyncLimits, SyncMessage,
};
use crate::transfer::{CHUNK_BYTES_MAX, Chunk};

const LIMITS: SyncLimits = SyncLimits {
    microbatches: MICROBATCHES,
    parts: PARTS,
    payload_bytes_max: 1 << 12,
    state_bytes_max: 1 << 20,
};

fn chunk(bytes: u32) -> Chunk {
    Chunk { id: ChunkId([6; 32]), bytes }
}

/// A state that this job can have.
fn offer() -> StateOffer {
    StateOffer {
        step: 70_000,
        chain: Chain([5; 32]),
        previous_chain: Chain([4; 32]),
        state: vec![chunk(1 << 19), chunk(7)],
        last: vec![chunk(30)],
        last_bytes: vec![10, 0, 15, 5],
    }
}

fn message(body: SyncBody) -> SyncMessage {
    SyncMessage { job: JOB, incarnation: Incarnation(2), epoch: Epoch(300), boot: life(1).boot, body }
}

/// One of each kind.
pub(super) fn samples() -> Vec<SyncMessage> {
    let (step, base, part) = (70_000, Chain([5; 32]), 3);
    let microbatches: IndexSet = [0, 4, 5].into_iter().collect();
    let entry = Some(Entry {
        step,
        halt_step: step + 1,
        kept_step: Some(step - 9),
        is_loaded: false,
        computed: microbatches.clone(),
        computing: IndexSet::full(1),
        summed: IndexSet::full(3),
        failed: IndexSet::full(4),
    });
    let (synced, arrival, held) = (true, Arrival::default(), IndexSet::full(2));
    let standing = Standing { synced, arrival, step, chain: base, held, entry };
    let first = StateOffer { last: Vec::new(), last_bytes: Vec::new(), ..offer() };
    [
        SyncBody::State { standing, fresh: true, awaits: Arrival::default().next() },
        SyncBody::Contribution {
            step,
            base,
            part,
            microbatches: microbatches.clone(),
            sum: Bytes::from_static(b"a sum"),
            more: true,
        },
        SyncBody::Contribution {
            step,
            base,
            part,
            microbatches: IndexSet::new(),
            sum: Bytes::new(),
            more: false,
        },
        SyncBody::Result { step, base, part, result: Bytes::from_static(b"a result") },
        SyncBody::NeedContribution { step, part, microbatches },
        SyncBody::NeedResult { step, part },
        SyncBody::NeedSnapshot,
        SyncBody::Offer { offer: first },
        SyncBody::Offer { offer: offer() },
    ]
    .map(message)
    .into()
}

fn decode(header: &[u8], payload: Bytes) -> Option<SyncMessage> {
    SyncMessage::decode(header, payload, &LIMITS).ok()
}

#[test]
fn every_kind_round_trips_and_names_its_job() {
    for message in samples() {
        let frame = message.encode();
        assert_eq!(SyncMessage::job_of(&frame.header), Some(JOB));
        assert_eq!(decode(&frame.header, frame.payload.concat().into()), Some(message));
    }
}

#[test]
fn payloads_are_slices_and_not_copies() {
    for message in samples() {
        let frame = message.encode();
        let payload = Bytes::from(frame.payload.concat());
        let range = payload.as_ptr_range();
        let inside = |bytes: &Bytes| bytes.is_empty() || range.contains(&bytes.as_ptr());
        match decode(&frame.header, payload).unwrap().body {
            SyncBody::Contribution { sum, .. } => assert!(inside(&sum)),
            SyncBody::Result { result, .. } => assert!(inside(&result)),
            _ => {}
        }
    }
}

fn state_of(standing: Standing) -> SyncBody {
    SyncBody::State { standing, fresh: false, awaits: Arrival::default() }
}

#[test]
fn what_the_job_does_not_have_is_refused() {
    let step = 1;
    let base = Chain::default();
    let too_far: IndexSet = [MICROBATCHES].into_iter().collect();
    let some = IndexSet::full(1);
    let sum = Bytes::from_static(b"x");
    let standing = Standing {
        synced: true,
        arrival: Arrival::default(),
        step,
        chain: base,
        held: IndexSet::new(),
        entry: None,
    };
    let entered =
        |entry: Entry| state_of(Standing { entry: Some(Entry { step, ..entry }), ..standing.clone() });
    let bodies = [
        state_of(Standing { held: IndexSet::full(PARTS + 1), ..standing.clone() }),
        entered(Entry { computed: too_far.clone(), ..Entry::default() }),
        entered(Entry { computing: too_far.clone(), ..Entry::default() }),
        entered(Entry { summed: too_far.clone(), ..Entry::default() }),
        entered(Entry { failed: too_far.clone(), ..Entry::default() }),
        SyncBody::NeedResult { step, part: PARTS },
        SyncBody::Result { step, base, part: PARTS, result: sum.clone() },
        SyncBody::NeedContribution { step, part: 0, microbatches: too_far.clone() },
        SyncBody::NeedContribution { step, part: 0, microbatches: IndexSet::new() },
        SyncBody::Contribution { step, base, part: 0, microbatches: too_far, sum: sum.clone(), more: false },
        SyncBody::Contribution {
            step,
            base,
            part: PARTS,
            microbatches: some.clone(),
            sum: sum.clone(),
            more: false,
        },
        SyncBody::Contribution { step, base, part: 0, microbatches: some, sum: Bytes::new(), more: false },
        SyncBody::Contribution { step, base, part: 0, microbatches: IndexSet::new(), sum, more: false },
    ];
    let too_many = vec![chunk(1); OFFER_CHUNKS_MAX];
    let offers = [
        StateOffer { state: Vec::new(), ..offer() },
        StateOffer { state: vec![chunk(0)], ..offer() },
        StateOffer { state: vec![chunk(CHUNK_BYTES_MAX + 1)], ..offer() },
        StateOffer { state: vec![chunk(1 << 20)], ..offer() },
        StateOffer { state: too_many, ..offer() },
        StateOffer { last_bytes: vec![30], ..offer() },
        StateOffer { last_bytes: vec![10, 0, 15, 6], ..offer() },
        StateOffer { last: Vec::new(), ..offer() },
    ];
    let bodies = bodies.into_iter().chain(offers.map(|offer| SyncBody::Offer { offer }));
    for body in bodies {
        let frame = message(body.clone()).encode();
        assert_eq!(decode(&frame.header, frame.payload.concat().into()), None, "{body:?}");
    }
    let frame = message(SyncBody::NeedSnapshot).encode();
    assert_eq!(decode(&frame.header, Bytes::from_static(b"something")), None);
    let large = message(SyncBody::Result { step, base, part: 0, result: vec![0; 5000].into() }).encode();
    assert_eq!(decode(&large.header, large.payload.concat().into()), None);
}

/// Mutated frames decode to a message that encodes to the same meaning, or to nothing; they never panic.
#[test]
fn mutated_frames_do_no_harm() {
    for seed in 0..30_000u64 {
        let mut chance = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut below = |count: usize| {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            (chance % count.max(1) as u64) as usize
        };
        let all = samples();
        let frame = all[below(all.len())].encode();
        let (mut header, mut payload) = (frame.header.to_vec(), frame.payload.concat());
        for _ in 0..1 + below(4) {
            match below(5) {
                0 => header.truncate(below(header.len() + 1)),
                1 => payload.truncate(below(payload.len() + 1)),
                2 => header.insert(below(header.len() + 1), below(256) as u8),
                3 => payload.push(below(256) as u8),
                _ if !header.is_empty() => {
                    let position = below(header.len());
                    header[position] = [0, 1, 0x7f, 0x80, 0xff, below(256) as u8][below(6)];
                }
                _ => {}
            }
        }
        if let Some(message) = decode(&header, payload.into()) {
            let again = message.encode();
            let decoded = decode(&again.header, again.payload.concat().into());
            assert_eq!(decoded, Some(message), "seed {seed}");
        }
    }
}

/// Bytes that were never a frame are no message, or one within the limits of the job: sets and lists no longer than it has parts,
/// micro-batches and chunks, and no payload that is not theirs.
#[test]
fn random_bytes_are_no_messages_or_small_ones() {
    let mut decoded = 0;
    for seed in 0..200_000u64 {
        let mut chance = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut below = |count: usize| {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            (chance % count.max(1) as u64) as usize
        };
        // Small numbers are lengths, counts and kinds: with them chance gets further.
        let mut random = |length: usize| -> Vec<u8> {
            (0..length).map(|_| [below(3), below(256)][usize::from(below(4) == 0)] as u8).collect()
        };
        let header = match seed % 3 {
            // Job, lineage, epoch and boot, then a kind.
            0 => [&JOB.0[..], &[1, 1, 1], &[(seed / 3 % 8) as u8], &random((seed % 80) as usize)].concat(),
            1 => [&JOB.0[..], &random((seed % 120) as usize)].concat(),
            _ => random((seed % 160) as usize),
        };
        let payload = Bytes::from(random((seed % 7 * 20) as usize));
        let payload_bytes = payload.len();
        let Some(message) = decode(&header, payload) else { continue };
        decoded += 1;
        assert!(message.payload_bytes() <= payload_bytes.max(1 << 12), "seed {seed}");
        match message.body {
            SyncBody::State { standing, .. } => {
                assert!(standing.held.is_valid(PARTS));
                if let Some(entry) = standing.entry {
                    let sets = [entry.computed, entry.computing, entry.summed, entry.failed];
                    assert!(sets.iter().all(|set| set.is_valid(MICROBATCHES)));
                }
            }
            SyncBody::Contribution { microbatches, part, .. }
            | SyncBody::NeedContribution { microbatches, part, .. } => {
                assert!(microbatches.is_valid(MICROBATCHES) && part < PARTS);
            }
            SyncBody::Offer { offer } => assert!(offer.is_possible(PARTS, LIMITS.state_bytes_max)),
            SyncBody::Result { part, .. } | SyncBody::NeedResult { part, .. } => assert!(part < PARTS),
            SyncBody::NeedSnapshot => {}
        }
    }
    assert!(decoded > 100, "{decoded}: chance gets nowhere");
}
