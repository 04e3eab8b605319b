//! What a crash leaves behind, snapshots, and defects that are caught.

use super::ledger::{LANDMINE, Ledger};
use super::world::World;
use crate::council::{Council, CouncilError, CouncilInput, CouncilOptions, RecoveredCouncil};
use crate::ids::{Millis, SeatId};

fn small_snapshots() -> CouncilOptions {
    CouncilOptions { entries_before_snapshot: 10, ..CouncilOptions::default() }
}

#[test]
fn a_restart_has_everything_that_was_applied() {
    for options in [CouncilOptions::default(), small_snapshots()] {
        let mut world = World::with_group(31, options, 3, 1);
        for number in 0..57 {
            world.propose(1 + number % 4, &format!("command {number}"));
            world.run(7);
        }
        world.run(500);
        for seat in 1..=4 {
            let before = world.council(seat).replicated().clone();
            assert_eq!(before.commands.len(), 57);
            world.crash(seat);
            world.restart(seat);
            assert_eq!(*world.council(seat).replicated(), before, "seat {seat} alone, from its disk");
        }
        world.run_until(3_000, |world| world.council(4).leader().is_some());
        world.propose(4, "after");
        world.run(500);
        assert!((1..=4).all(|seat| world.council(seat).replicated().holds(b"after")));
    }
}

#[test]
fn a_sole_voter_leads_again_with_its_first_step() {
    let mut world = World::with_group(32, CouncilOptions::default(), 1, 0);
    world.propose(1, "kept");
    world.crash(1);
    world.restart(1);
    assert!(world.council(1).replicated().holds(b"kept"));
    assert!(!world.council(1).is_leader());
    assert_eq!(world.council(1).deadline(), Millis(0), "due at once");
    world.input(1, CouncilInput::Tick);
    assert!(world.council(1).is_settled_leader());
}

#[test]
fn a_restart_remembers_its_vote() {
    use protobuf::Message as _;
    use raft::eraftpb::{Message, MessageType};
    let mut world = World::with_group(39, CouncilOptions::default(), 3, 0);
    let term = world.council(2).term() + 1;
    world.cut_off.insert(2);
    world.run(5_000);
    let mut ask = |from: u64| {
        let mut message = Message::default();
        message.set_msg_type(MessageType::MsgRequestVote);
        (message.from, message.to, message.term) = (from, 2, term);
        (message.index, message.log_term) = (100, term - 1);
        world.tape = Some(Vec::new());
        let bytes = message.write_to_bytes().expect("encodes");
        world.input(2, CouncilInput::Message { from: SeatId(from), bytes });
        let tape = world.tape.take().expect("recorded");
        let mut answers = tape.iter().filter_map(|(_, _, bytes)| Message::parse_from_bytes(bytes).ok());
        let answer = answers.next_back().expect("an answer");
        world.crash(2);
        world.restart(2);
        (answer.get_msg_type(), answer.reject)
    };
    assert_eq!(ask(3), (MessageType::MsgRequestVoteResponse, false));
    assert_eq!(ask(1), (MessageType::MsgRequestVoteResponse, true), "one vote per term, over restarts");
    assert_eq!(ask(3), (MessageType::MsgRequestVoteResponse, false), "the same vote again");
}

#[test]
fn a_new_learner_gets_a_snapshot_and_the_rest() {
    let mut world = World::with_group(33, small_snapshots(), 1, 0);
    for number in 0..95 {
        world.propose(1, &format!("command {number}"));
    }
    assert!(world.seats[&1].disk.recovered.entries.len() <= 10, "the log is compacted");
    world.join(2);
    world.change_seats(1, [1], [2]);
    world.run_until(1_000, |world| world.council(1).is_caught_up(SeatId(2)));
    world.propose(1, "newest");
    world.run(100);
    assert!(world.seats[&2].replaced >= 1);
    assert_eq!(world.council(2).replicated(), world.council(1).replicated());
    world.crash(2);
    world.restart(2);
    assert_eq!(world.council(2).replicated().commands.len(), 96);
}

#[test]
fn a_lost_snapshot_is_sent_again() {
    let mut world = World::with_group(34, small_snapshots(), 1, 0);
    world.join(2);
    world.change_seats(1, [1], [2]);
    world.run_until(1_000, |world| {
        let progress = world.council(1).node.raft.prs().get(2);
        progress.is_some_and(|progress| progress.state == raft::ProgressState::Snapshot)
    });
    world.lose_what_flies();
    let took_ms = world.run_until(4_000, |world| world.council(1).is_caught_up(SeatId(2)));
    println!("snapshot again after {took_ms} ms");
    let options = CouncilOptions::default();
    assert!(took_ms >= (options.snapshot_retry_ticks as u64 - 1) * options.tick_ms, "it was not lost");
}

#[test]
fn a_stale_log_goes_when_a_snapshot_comes() {
    let mut world = World::with_group(35, small_snapshots(), 3, 0);
    // The leader alone takes commands that nobody else hears of.
    world.cut_off.insert(1);
    for number in 0..60 {
        world.propose(1, &format!("never committed {number}"));
    }
    world.run_until(3_000, |world| world.leader() == Some(2));
    for number in 0..30 {
        world.propose(2, &format!("command {number}"));
        world.run(10);
    }
    assert!(world.seats[&1].disk.recovered.entries.len() >= 60);
    world.cut_off.clear();
    world.run_until(3_000, |world| world.seats[&1].replaced == 1);
    assert_eq!(world.seats[&1].disk.recovered.entries, [], "also those behind the snapshot");
    world.crash(1);
    world.restart(1);
    world.run(3_000);
    assert_eq!(world.council(1).replicated(), world.council(2).replicated());
    world.crash(1);
    world.restart(1);
    assert_eq!(world.council(1).replicated(), world.council(2).replicated());
    assert!(!world.council(1).replicated().holds(b"never committed 0"));
}

#[test]
fn a_defect_poisons_and_gives_nothing_out() {
    let mut world = World::with_group(36, CouncilOptions::default(), 1, 0);
    world.propose(1, "sound");
    let mut out = Vec::new();
    let council = world.seats.get_mut(&1).and_then(|seat| seat.council.as_mut()).expect("alive");
    council.step(world.now, CouncilInput::Propose(LANDMINE.to_vec()), &mut out);
    assert_eq!(out, [crate::council::CouncilOutput::Poisoned]);
    assert!(council.poison_reason().is_some_and(|reason| reason.contains("stepped on it")));
    assert!(!council.is_leader());
    assert_eq!(council.deadline(), Millis(u64::MAX));
    council.step(world.now, CouncilInput::Tick, &mut out);
    assert_eq!(out.len(), 1, "a poisoned machine keeps still");
    // The record of the failed step was not given out, so the disk does not hold the command.
    world.crash(1);
    world.restart(1);
    world.input(1, CouncilInput::Tick);
    world.propose(1, "sound again");
    assert!(world.council(1).replicated().holds(b"sound again"));
}

#[test]
fn disks_that_contradict_themselves_are_refused() {
    let mut world = World::with_group(37, CouncilOptions::default(), 1, 0);
    for number in 0..5 {
        world.propose(1, &format!("command {number}"));
    }
    let disk = world.seats[&1].disk.recovered.clone();
    let recover =
        |recovered| Council::recover(SeatId(1), CouncilOptions::default(), Ledger::default(), recovered);
    assert!(recover(disk.clone()).is_ok());
    let refused = |change: &dyn Fn(&mut RecoveredCouncil)| {
        let mut broken = disk.clone();
        change(&mut broken);
        recover(broken).err().map(|error| error.to_string())
    };
    let decode = [
        refused(&|disk| disk.hard_state = Some(vec![0xff; 9])),
        refused(&|disk| disk.snapshot = Some(vec![0xff; 9])),
        refused(&|disk| disk.conf_state = Some(vec![0xff; 9])),
        refused(&|disk| disk.entries[0].1 = vec![0xff; 9]),
    ];
    assert!(decode.iter().all(|error| error.as_deref().is_some_and(|text| text.contains("does not decode"))));
    let inconsistent = [
        refused(&|disk| disk.snapshot = None),
        refused(&|disk| disk.hard_state = None),
        refused(&|disk| drop(disk.entries.remove(1))),
        refused(&|disk| drop(disk.entries.pop())),
    ];
    assert!(
        inconsistent.iter().all(|error| error.as_deref().is_some_and(|text| text.contains("not consistent")))
    );
    let other = recover(RecoveredCouncil { snapshot: snapshot_of_nonsense(&disk), ..disk.clone() });
    assert!(matches!(other.err(), Some(CouncilError::Restore(_))));
}

fn snapshot_of_nonsense(disk: &RecoveredCouncil) -> Option<Vec<u8>> {
    use protobuf::Message as _;
    let bytes = disk.snapshot.as_deref().expect("a snapshot");
    let mut snapshot = raft::eraftpb::Snapshot::parse_from_bytes(bytes).expect("it decodes");
    snapshot.data = vec![0xff; 3].into();
    snapshot.write_to_bytes().ok()
}

#[test]
fn a_new_group_on_the_disk_of_an_old_one_replaces_it() {
    let mut world = World::with_group(38, CouncilOptions::default(), 3, 0);
    for number in 0..20 {
        world.propose(1, &format!("command {number}"));
        world.run(10);
    }
    let state = world.council(2).replicated().clone();
    [1, 2, 3].into_iter().for_each(|seat| world.crash(seat));
    world.lose_what_flies();
    // The new group counts terms and indices anew: its driver keeps the two apart.
    world.leaders.clear();
    world.agreed.clear();
    let mut out = Vec::new();
    let council = Council::found(SeatId(2), CouncilOptions::default(), state.clone(), &mut out);
    assert!(council.is_settled_leader());
    out.into_iter().for_each(|output| world.execute(2, output));
    world.restart(2);
    assert_eq!(*world.council(2).replicated(), state);
    world.input(2, CouncilInput::Tick);
    assert!(world.council(2).is_settled_leader());
    assert_eq!(world.council(2).voters().len(), 1);
}

#[test]
fn a_council_moves_between_threads() {
    fn assert_send<T: Send>() {}
    assert_send::<Council<Ledger>>();
}

#[test]
fn an_empty_disk_joins() {
    let council = Council::recover(
        SeatId(4),
        CouncilOptions::default(),
        Ledger::default(),
        RecoveredCouncil::default(),
    );
    let mut council = council.expect("nothing contradicts nothing");
    let mut out = Vec::new();
    for tick in 0..200 {
        council.step(Millis(tick * 50), CouncilInput::Tick, &mut out);
    }
    assert!(!council.is_member() && out.is_empty(), "a seat without a group waits in silence");
}

#[test]
fn the_end_of_a_log_is_taken_along_by_choice_and_the_next_group_counts_on() {
    let mut world = World::with_group(39, CouncilOptions::default(), 3, 0);
    world.propose(1, "committed");
    world.run(300);
    [2, 3].into_iter().for_each(|seat| world.crash(seat));
    world.propose(1, "asked");
    world.propose(1, "decided");
    let old = world.council(1);
    assert!(old.replicated().holds(b"committed") && !old.replicated().holds(b"asked"));
    let kept = old.to_the_end(Ledger::default(), |command| command == b"asked").expect("it restores");
    assert!(kept.holds(b"committed") && kept.holds(b"asked") && !kept.holds(b"decided"));
    let (end, mut out) = (old.log_end(), Vec::new());
    let next = Council::found_after(SeatId(1), CouncilOptions::default(), kept.clone(), end, &mut out);
    assert!(next.is_settled_leader() && *next.replicated() == kept);
    assert!(next.term() > end.0 && next.log_end().1 > end.1, "{:?} {end:?}", next.log_end());
    assert_eq!(next.quorums(), [[SeatId(1)].into()]);
}
