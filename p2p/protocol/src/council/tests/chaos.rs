//! Loss, repetition, reordering, partitions, crashes between any two outputs, and changing seats: at no index two
//! commands, in no term two leaders, and everything heals.

use super::world::{CALM, Weather, World};
use crate::council::{CouncilInput, CouncilOptions};
use crate::ids::SeatId;

const SEEDS: u64 = 200;
const SEATS: u64 = 5;

#[derive(Default)]
struct Tally {
    crashes: u64,
    snapshots: u64,
    terms: u64,
    commands: u64,
}

fn storm(seed: u64) -> Tally {
    let options = CouncilOptions { entries_before_snapshot: 5 + seed % 40, ..CouncilOptions::default() };
    let mut world = World::with_group(seed, options, 3, 2);
    world.weather = Weather {
        loss_percent: seed % 20,
        repeat_percent: seed % 15,
        delay_ms_max: [3, 40, 150][seed as usize % 3],
    };
    world.crash_permille = seed % 4;
    let mut tally = Tally::default();
    for round in 0..150 {
        act(&mut world, seed, round, &mut tally);
        world.run(100);
    }
    world.weather = CALM;
    world.crash_permille = 0;
    world.cut_off.clear();
    heal(&mut world);
    tally.terms = world.leaders.len() as u64;
    tally.commands = world.agreed.len() as u64;
    tally.snapshots = world.seats.values().map(|seat| seat.replaced).sum();
    tally
}

fn act(world: &mut World, seed: u64, round: u64, tally: &mut Tally) {
    let seat = 1 + world.random.below(SEATS);
    match world.random.below(20) {
        0 => world.crash(seat),
        1 => drop(world.cut_off.insert(seat)),
        2 | 3 => world.cut_off.clear(),
        4 => {
            let accused = 1 + world.random.below(SEATS);
            world.input(seat, CouncilInput::PeerDied(SeatId(accused)));
        }
        5 => world.input(seat, CouncilInput::Unreachable(SeatId(1 + round % SEATS))),
        6 | 7 => {
            // Any voters, most of the rest as learners, some removed, with or without the leader.
            let voters: Vec<u64> = (1..=SEATS).filter(|_| world.random.chance(60)).collect();
            let rest = (1..=SEATS).filter(|seat| !voters.contains(seat));
            let learners: Vec<u64> = rest.filter(|_| world.random.chance(70)).collect();
            let leader = world.leader().unwrap_or(seat);
            world.change_seats(leader, voters, learners);
        }
        _ => world.propose(seat, &format!("seed {seed} round {round}")),
    }
    for seat in 1..=SEATS {
        if !world.is_alive(seat) && world.random.chance(30) {
            tally.crashes += 1;
            world.restart(seat);
        }
    }
}

/// Without faults the group elects, commits, and everyone ends with the same state.
fn heal(world: &mut World) {
    for seat in 1..=SEATS {
        if !world.is_alive(seat) {
            world.restart(seat);
        }
    }
    world.run_until(20_000, |world| {
        world.leader().is_some_and(|leader| world.council(leader).is_settled_leader())
    });
    // Removed seats come back with the log that they have.
    for _ in 0..20 {
        world.run_until(2_000, |world| world.leader().is_some());
        let leader = world.leader().expect("just elected");
        let voters: Vec<u64> = world.council(leader).voters().into_iter().map(|seat| seat.0).collect();
        let learners: Vec<u64> = (1..=SEATS).filter(|seat| !voters.contains(seat)).collect();
        world.change_seats(leader, voters, learners);
        world.run(500);
    }
    let leader = world.leader().expect("a calm group keeps its leader");
    world.propose(leader, "healed");
    world.run(5_000);
    let state = world.council(leader).replicated().clone();
    assert!(state.holds(b"healed"));
    world.check_ledger(&state);
    for seat in 1..=SEATS {
        assert_eq!(world.seats[&seat].poisoned, 0, "seat {seat}: {:?}", world.council(seat).poison_reason());
        assert_eq!(*world.council(seat).replicated(), state, "seat {seat}");
    }
}

#[test]
fn no_fault_breaks_agreement() {
    let mut sum = Tally::default();
    for seed in 0..SEEDS {
        let tally = storm(seed);
        sum.crashes += tally.crashes;
        sum.snapshots += tally.snapshots;
        sum.terms += tally.terms;
        sum.commands += tally.commands;
    }
    println!(
        "{SEEDS} seeds: {} restarts, {} snapshots installed, {} terms led, {} commands",
        sum.crashes, sum.snapshots, sum.terms, sum.commands
    );
    // A storm in which little happens shows nothing.
    assert!(
        sum.crashes > SEEDS && sum.snapshots > SEEDS && sum.terms > 2 * SEEDS && sum.commands > 10 * SEEDS
    );
}

#[test]
fn a_run_can_be_repeated() {
    let run = || {
        let mut world = World::with_group(77, CouncilOptions::default(), 3, 2);
        world.tape = Some(Vec::new());
        world.weather = Weather { loss_percent: 20, repeat_percent: 10, delay_ms_max: 120 };
        world.crash_permille = 2;
        for round in 0..60 {
            act(&mut world, 77, round, &mut Tally::default());
            if let (0, Some(leader)) = (round % 20, world.leader()) {
                world.crash(leader);
            }
            world.run(100);
        }
        assert!(world.leaders.len() > 3, "elections are what could differ");
        world.tape
    };
    assert!(run() == run(), "the library's randomness has an effect");
}
