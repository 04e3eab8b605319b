//! Messages that no honest peer sends: refused, or at worst survived.

use protobuf::Message as _;
use raft::eraftpb::{ConfChangeV2, Entry, EntryType, Message, MessageType};

use super::random::Random;
use super::world::World;
use crate::council::{CouncilInput, CouncilOptions};
use crate::ids::SeatId;

const VICTIM: u64 = 3;

fn encoded(message: &Message) -> Vec<u8> {
    message.write_to_bytes().expect("a message encodes")
}

/// A heartbeat from leader 1 to seat 3, changed by `change`; the reason why seat 3 refuses it.
fn refusal(kind: MessageType, change: impl Fn(&mut Message)) -> Option<&'static str> {
    let mut world = World::with_group(41, CouncilOptions::default(), 3, 0);
    let mut message = Message::default();
    message.set_msg_type(kind);
    (message.from, message.to, message.term) = (1, VICTIM, world.council(1).term());
    change(&mut message);
    let before = world.seats[&VICTIM].refused.clone();
    world.input(VICTIM, CouncilInput::Message { from: SeatId(1), bytes: encoded(&message) });
    assert_eq!(world.seats[&VICTIM].poisoned, 0);
    let refused =
        world.seats[&VICTIM].refused.iter().find(|(reason, count)| before.get(*reason) != Some(count));
    refused.map(|(reason, _)| *reason)
}

fn entry(index: u64, term: u64) -> Entry {
    let mut entry = Entry::default();
    (entry.index, entry.term, entry.data) = (index, term, vec![1].into());
    entry
}

#[test]
fn envelopes_that_lie_are_refused() {
    use MessageType::MsgHeartbeat;
    assert_eq!(refusal(MsgHeartbeat, |_| ()), None, "the unchanged one passes");
    assert_eq!(refusal(MsgHeartbeat, |message| message.from = 2), Some("not from the seat that it names"));
    assert_eq!(refusal(MsgHeartbeat, |message| message.to = 2), Some("for another seat"));
    assert_eq!(refusal(MsgHeartbeat, |message| message.term = 0), Some("term missing or out of place"));
    assert_eq!(refusal(MsgHeartbeat, |message| message.term = 1 << 61), Some("number out of range"));
    assert_eq!(refusal(MsgHeartbeat, |message| message.commit = u64::MAX), Some("number out of range"));
    assert_eq!(refusal(MsgHeartbeat, |message| message.commit = 1_000), Some("commit is beyond the log"));
    assert_eq!(refusal(MsgHeartbeat, |message| message.request_snapshot = 1), Some("unused part is set"));
    assert_eq!(
        refusal(MsgHeartbeat, |message| message.context = vec![1].into()),
        Some("unused context is set")
    );
    assert_eq!(
        refusal(MsgHeartbeat, |message| message.mut_entries().push(entry(1, 1))),
        Some("entries out of place")
    );
    assert_eq!(
        refusal(MsgHeartbeat, |message| message.mut_snapshot().data.clear()),
        Some("snapshot out of place")
    );
    let kinds = [
        MessageType::MsgHup,
        MessageType::MsgBeat,
        MessageType::MsgUnreachable,
        MessageType::MsgSnapStatus,
        MessageType::MsgCheckQuorum,
        MessageType::MsgTransferLeader,
        MessageType::MsgReadIndex,
        MessageType::MsgReadIndexResp,
    ];
    for kind in kinds {
        assert_eq!(refusal(kind, |_| ()), Some("not a kind that travels"), "{kind:?}");
    }
}

#[test]
fn logs_that_contradict_themselves_are_refused() {
    use MessageType::{MsgAppend, MsgPropose, MsgSnapshot};
    let append = |entries: Vec<Entry>| {
        refusal(MsgAppend, move |message| {
            (message.index, message.log_term) = (2, 1);
            message.set_entries(entries.clone().into());
        })
    };
    assert_eq!(append(vec![entry(9, 2)]), Some("entries are not contiguous"));
    assert_eq!(append(vec![entry(3, 2), entry(3, 2)]), Some("entries are not contiguous"));
    assert_eq!(append(vec![entry(3, 99)]), Some("terms of entries do not grow"));
    assert_eq!(append(vec![entry(3, 2), entry(4, 1)]), Some("terms of entries do not grow"));
    let mut change = entry(3, 2);
    change.set_entry_type(EntryType::EntryConfChangeV2);
    change.data = vec![0xff; 3].into();
    assert_eq!(append(vec![change.clone()]), Some("configuration change does not decode"));
    change.set_entry_type(EntryType::EntryConfChange);
    assert_eq!(append(vec![change]), Some("unused kind of entry"));

    let snapshot = |voters: Vec<u64>, learners: Vec<u64>, index: u64, data: Vec<u8>| {
        refusal(MsgSnapshot, move |message| {
            message.mut_snapshot().data = data.clone().into();
            let metadata = message.mut_snapshot().mut_metadata();
            (metadata.index, metadata.term) = (index, 1);
            metadata.mut_conf_state().voters.clone_from(&voters);
            metadata.mut_conf_state().learners.clone_from(&learners);
        })
    };
    assert_eq!(snapshot(vec![1], vec![3], 0, vec![0]), Some("snapshot index out of range"));
    assert_eq!(snapshot(vec![], vec![3], 99, vec![0]), Some("configuration contradicts itself"));
    assert_eq!(snapshot(vec![1, 3], vec![3], 99, vec![0]), Some("configuration contradicts itself"));
    assert_eq!(snapshot(vec![1, 1], vec![3], 99, vec![0]), Some("configuration names a seat twice"));
    assert_eq!(snapshot(vec![0], vec![3], 99, vec![0]), Some("configuration names no seat"));
    assert_eq!(snapshot(vec![1], vec![3], 99, vec![0xff; 3]), Some("snapshot does not decode"));
    assert_eq!(snapshot(vec![1], vec![3], 99, vec![0]), None, "an empty ledger in a sound snapshot passes");

    let follower = refusal(MsgPropose, |message| message.term = 0);
    assert_eq!(follower, Some("proposal to a seat that does not lead"));
}

#[test]
fn a_leader_refuses_false_proposals_and_acknowledgements() {
    let mut world = World::with_group(42, CouncilOptions::default(), 3, 0);
    let term = world.council(1).term();
    let mut tell = |from: u64, kind: MessageType, change: &dyn Fn(&mut Message)| {
        let mut message = Message::default();
        message.set_msg_type(kind);
        (message.from, message.to, message.term) = (from, 1, term);
        change(&mut message);
        world.input(1, CouncilInput::Message { from: SeatId(from), bytes: encoded(&message) });
    };
    tell(2, MessageType::MsgPropose, &|message| message.term = 0);
    tell(2, MessageType::MsgPropose, &|message| {
        message.term = 0;
        let mut change = entry(0, 0);
        change.set_entry_type(EntryType::EntryConfChangeV2);
        change.data = ConfChangeV2::default().write_to_bytes().expect("encodes").into();
        message.mut_entries().push(change);
    });
    tell(2, MessageType::MsgAppendResponse, &|message| message.index = 1_000);
    tell(2, MessageType::MsgAppendResponse, &|message| (message.reject, message.reject_hint) = (true, 1_000));
    tell(9, MessageType::MsgAppendResponse, &|message| message.index = 1);
    tell(2, MessageType::MsgAppend, &|_| ());
    tell(2, MessageType::MsgTimeoutNow, &|_| ());
    let refused = &world.seats[&1].refused;
    let reasons: Vec<_> = refused.iter().map(|(reason, count)| (*reason, *count)).collect();
    assert_eq!(
        reasons,
        [
            ("acknowledges what was never sent", 2),
            ("answer from a seat outside the group", 1),
            ("handover by a seat that does not lead", 1),
            ("proposal is no command", 1),
            ("proposal is not one command", 1),
            ("second leader of a term", 1),
        ]
    );
    world.propose(2, "still works");
    world.run(200);
    assert!(world.council(3).replicated().holds(b"still works"));
}

/// Messages that honest seats sent in a lively group.
fn tape(seed: u64) -> Vec<(u64, u64, Vec<u8>)> {
    let options = CouncilOptions { entries_before_snapshot: 8, ..CouncilOptions::default() };
    let mut world = World::with_group(seed, options, 3, 2);
    world.tape = Some(Vec::new());
    world.weather.loss_percent = 10;
    for round in 0..40 {
        world.propose(1 + round % 5, &format!("round {round}"));
        if round % 10 == 5 {
            let leader = world.leader().unwrap_or(1);
            world.crash(leader);
            world.run(1_500);
            world.restart(leader);
        }
        world.run(50);
    }
    world.tape.unwrap_or_default()
}

fn mutate(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    match random.below(4) {
        0 => {
            for _ in 0..=random.below(4) {
                let at = random.below(bytes.len() as u64) as usize;
                bytes[at] ^= 1 << random.below(8);
            }
        }
        1 => bytes.truncate(random.below(bytes.len() as u64) as usize),
        2 => bytes.extend((0..random.below(40)).map(|_| random.next() as u8)),
        _ => {
            let Ok(mut message) = Message::parse_from_bytes(&bytes) else { return bytes };
            for _ in 0..=random.below(2) {
                mutate_field(&mut message, random);
            }
            bytes = encoded(&message);
        }
    }
    bytes
}

fn mutate_field(message: &mut Message, random: &mut Random) {
    let edges = [0, 1, 2, 3, 4, 5, 6, 7, 10, 15, 20, 30, 50, 1 << 20, 1 << 60, u64::MAX - 1, u64::MAX];
    let edge = edges[random.below(edges.len() as u64) as usize];
    let kinds = [
        MessageType::MsgAppend,
        MessageType::MsgHeartbeat,
        MessageType::MsgSnapshot,
        MessageType::MsgTimeoutNow,
    ];
    match random.below(13) {
        0 => message.term = edge,
        1 => message.index = edge,
        2 => message.log_term = edge,
        3 => message.commit = edge,
        4 => message.commit_term = edge,
        5 => message.reject_hint = edge,
        6 => message.reject = !message.reject,
        7 => message.set_msg_type(kinds[random.below(kinds.len() as u64) as usize]),
        8 => message.mut_snapshot().mut_metadata().index = edge,
        9 => message.mut_snapshot().mut_metadata().term = edge,
        10 => message.mut_snapshot().mut_metadata().mut_conf_state().mut_voters().push(edge),
        11 => message.mut_entries().iter_mut().for_each(|entry| entry.index = edge),
        _ => message.mut_entries().iter_mut().for_each(|entry| entry.term = edge),
    }
}

#[test]
fn noise_is_refused_and_the_group_goes_on() {
    let mut world = World::with_group(43, CouncilOptions::default(), 3, 1);
    let mut refused = 0;
    for _ in 0..20_000 {
        let length = world.random.below(60);
        let bytes: Vec<u8> = (0..length).map(|_| world.random.next() as u8).collect();
        let (from, to) = (1 + world.random.below(5), 1 + world.random.below(4));
        let before: u64 = world.seats[&to].refused.values().sum();
        world.input(to, CouncilInput::Message { from: SeatId(from), bytes });
        refused += world.seats[&to].refused.values().sum::<u64>() - before;
    }
    assert_eq!(refused, 20_000, "noise is no message");
    world.propose(4, "goes on");
    world.run(300);
    assert!((1..=4).all(|seat| world.council(seat).replicated().holds(b"goes on")));
    assert!(world.seats.values().all(|seat| seat.poisoned == 0));
}

/// One seat is fed thousands of changed messages under anyone's name. Some pass every check, since they are what
/// Raft allows a peer to say, and then that seat's log is worth nothing; but the library never panics on them, and
/// the others go on.
#[test]
fn changed_messages_never_end_in_a_panic_and_the_others_go_on() {
    let (mut refused, mut total) = (0, 0);
    for seed in 50..62 {
        let tape = tape(seed);
        let mut world = World::with_group(seed, CouncilOptions::default(), 3, 2);
        world.cut_off.insert(VICTIM);
        let mut random = Random::new(seed);
        for _ in 0..8_000 {
            let (from, _, bytes) = &tape[random.below(tape.len() as u64) as usize];
            let mut bytes = mutate(bytes, &mut random);
            if let Ok(mut message) = Message::parse_from_bytes(&bytes) {
                message.to = VICTIM;
                bytes = encoded(&message);
            }
            // What the victim believes is no part of the agreement.
            world.agreed.clear();
            world.leaders.clear();
            world.input(VICTIM, CouncilInput::Message { from: SeatId(*from), bytes });
            total += 1;
            if random.chance(2) {
                world.input(VICTIM, CouncilInput::Tick);
                world.now = world.now.plus(1);
            }
            assert_eq!(world.seats[&VICTIM].poisoned, 0, "{:?}", world.council(VICTIM).poison_reason());
        }
        refused += world.seats[&VICTIM].refused.values().sum::<u64>();
        world.propose(4, "goes on");
        let others = [1, 2, 4, 5];
        world.run_until(3_000, |world| {
            others.iter().all(|seat| world.council(*seat).replicated().holds(b"goes on"))
        });
    }
    println!("{total} changed messages, {refused} of them refused");
    assert!(refused > total / 4 && refused < total * 19 / 20, "the changes are too tame or too wild");
}
