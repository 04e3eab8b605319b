//! A driver for many seats: runs outputs in order, loses the rest in a crash, checks agreement as it goes.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::Ledger;
use super::random::Random;
use crate::council::{Council, CouncilInput, CouncilOptions, CouncilOutput, CouncilRecord, RecoveredCouncil};
use crate::ids::{Millis, SeatId};

/// What one seat has made durable.
#[derive(Clone, Default)]
pub(super) struct Disk {
    pub(super) recovered: RecoveredCouncil,
}

impl Disk {
    fn write(&mut self, record: CouncilRecord) {
        let stored = &mut self.recovered;
        assert!(
            record.entries.is_empty() || record.compact_before.is_none(),
            "entries and compaction in one record"
        );
        stored.hard_state = record.hard_state.or(stored.hard_state.take());
        stored.conf_state = record.conf_state.or(stored.conf_state.take());
        stored.snapshot = record.snapshot.or(stored.snapshot.take());
        if let Some((first, _)) = record.entries.first() {
            stored.entries.retain(|(index, _)| index < first);
            stored.entries.extend(record.entries);
        }
        if let Some(before) = record.compact_before {
            stored.entries.retain(|(index, _)| *index >= before);
        }
    }
}

#[derive(Default)]
pub(super) struct Seat {
    pub(super) council: Option<Council<Ledger>>,
    pub(super) disk: Disk,
    pub(super) removed: bool,
    pub(super) poisoned: u64,
    pub(super) refused: BTreeMap<&'static str, u64>,
    pub(super) dropped: Vec<Vec<u8>>,
    pub(super) replaced: u64,
}

/// How the network treats messages.
#[derive(Clone, Copy)]
pub(super) struct Weather {
    pub(super) loss_percent: u64,
    pub(super) repeat_percent: u64,
    pub(super) delay_ms_max: u64,
}

pub(super) const CALM: Weather = Weather { loss_percent: 0, repeat_percent: 0, delay_ms_max: 2 };

pub(super) struct World {
    pub(super) now: Millis,
    pub(super) seats: BTreeMap<u64, Seat>,
    pub(super) random: Random,
    pub(super) weather: Weather,
    /// Chance per step that the process dies between two of its outputs, in thousandths.
    pub(super) crash_permille: u64,
    /// Seats that nobody hears and that hear nobody.
    pub(super) cut_off: BTreeSet<u64>,
    /// Every message that was sent: (from, to, bytes), when recording.
    pub(super) tape: Option<Vec<(u64, u64, Vec<u8>)>>,
    options: CouncilOptions,
    /// (arrival, order, from, to, bytes)
    network: BTreeMap<(Millis, u64), (u64, u64, Vec<u8>)>,
    sent: u64,
    /// The one command of every index that anyone ever applied.
    pub(super) agreed: BTreeMap<u64, Vec<u8>>,
    pub(super) leaders: BTreeMap<u64, u64>,
}

impl World {
    pub(super) fn new(seed: u64, options: CouncilOptions) -> Self {
        println!("seed {seed}");
        Self {
            now: Millis(1_000),
            seats: BTreeMap::new(),
            random: Random::new(seed),
            weather: CALM,
            crash_permille: 0,
            cut_off: BTreeSet::new(),
            tape: None,
            options,
            network: BTreeMap::new(),
            sent: 0,
            agreed: BTreeMap::new(),
            leaders: BTreeMap::new(),
        }
    }

    /// A group with voters 1 to `voters` and learners behind them, settled.
    pub(super) fn with_group(seed: u64, options: CouncilOptions, voters: u64, learners: u64) -> Self {
        let mut world = Self::new(seed, options);
        world.found(1);
        for seat in 2..=voters + learners {
            // Clocks tick at different instants.
            let phase_ms = world.random.below(50);
            world.run(phase_ms);
            world.join(seat);
        }
        if voters + learners > 1 {
            world.change_seats(1, 1..=voters, voters + 1..=voters + learners);
        }
        world.run_until(5_000, |world| {
            world.council(1).voters().len() as u64 == voters
                && world.council(1).learners().len() as u64 == learners
        });
        world.run(500);
        world
    }

    pub(super) fn found(&mut self, seat: u64) {
        let mut out = Vec::new();
        let council = Council::found(SeatId(seat), self.options.clone(), Ledger::default(), &mut out);
        self.seats.entry(seat).or_default().council = Some(council);
        self.carry_out(seat, out);
    }

    pub(super) fn join(&mut self, seat: u64) {
        let council = Council::join(SeatId(seat), self.options.clone(), Ledger::default());
        self.seats.entry(seat).or_default().council = Some(council);
    }

    pub(super) fn council(&self, seat: u64) -> &Council<Ledger> {
        self.seats[&seat].council.as_ref().expect("the seat is alive")
    }

    pub(super) fn is_alive(&self, seat: u64) -> bool {
        self.seats[&seat].council.is_some()
    }

    pub(super) fn crash(&mut self, seat: u64) {
        self.seats.get_mut(&seat).expect("known seat").council = None;
    }

    pub(super) fn restart(&mut self, seat: u64) {
        let recovered = self.seats[&seat].disk.recovered.clone();
        let council = Council::recover(SeatId(seat), self.options.clone(), Ledger::default(), recovered);
        let council = council.expect("what was written can be read");
        self.check_ledger(council.replicated());
        self.seats.get_mut(&seat).expect("known seat").council = Some(council);
    }

    pub(super) fn input(&mut self, seat: u64, input: CouncilInput) {
        let now = self.now;
        let Some(council) = self.seats.get_mut(&seat).and_then(|seat| seat.council.as_mut()) else { return };
        let mut out = Vec::new();
        council.step(now, input, &mut out);
        self.carry_out(seat, out);
    }

    pub(super) fn propose(&mut self, seat: u64, command: &str) {
        self.input(seat, CouncilInput::Propose(command.as_bytes().to_vec()));
    }

    pub(super) fn change_seats(
        &mut self,
        seat: u64,
        voters: impl IntoIterator<Item = u64>,
        learners: impl IntoIterator<Item = u64>,
    ) {
        let voters = voters.into_iter().map(SeatId).collect();
        let learners = learners.into_iter().map(SeatId).collect();
        self.input(seat, CouncilInput::ChangeSeats { voters, learners });
    }

    /// The seat that leads the highest term, among those alive and heard.
    pub(super) fn leader(&self) -> Option<u64> {
        let alive = self.seats.iter().filter(|(seat, _)| !self.cut_off.contains(seat));
        let councils =
            alive.filter_map(|(seat, state)| state.council.as_ref().map(|council| (*seat, council)));
        let leading = councils.filter(|(_, council)| council.is_leader());
        leading.max_by_key(|(_, council)| council.term()).map(|(seat, _)| seat)
    }

    pub(super) fn run(&mut self, duration_ms: u64) {
        let end = self.now.plus(duration_ms);
        while self.advance(end) {}
    }

    /// Runs until `goal`, at most `duration_ms`; milliseconds that it took.
    pub(super) fn run_until(&mut self, duration_ms: u64, goal: impl Fn(&Self) -> bool) -> u64 {
        let start = self.now;
        let end = start.plus(duration_ms);
        while !goal(self) {
            assert!(self.advance(end), "goal not reached in {duration_ms} ms");
        }
        self.now.since(start)
    }

    /// Everything on its way is lost.
    pub(super) fn lose_what_flies(&mut self) {
        self.network.clear();
    }

    /// One delivery or tick, whichever is next; `false` at `end`.
    fn advance(&mut self, end: Millis) -> bool {
        let alive =
            self.seats.iter().filter_map(|(seat, state)| Some((state.council.as_ref()?.deadline(), *seat)));
        let tick = alive.min();
        let delivery = self.network.first_key_value().map(|((at, _), _)| *at);
        let next = tick.map(|(at, _)| at).into_iter().chain(delivery).min();
        let Some(next) = next.filter(|at| *at <= end) else {
            self.now = end;
            return false;
        };
        self.now = self.now.max(next);
        if delivery == Some(next) {
            let (_, (from, to, bytes)) = self.network.pop_first().expect("there is a delivery");
            if !self.cut_off.contains(&from) && !self.cut_off.contains(&to) {
                self.input(to, CouncilInput::Message { from: SeatId(from), bytes });
            }
        } else if let Some((_, seat)) = tick {
            self.input(seat, CouncilInput::Tick);
        }
        true
    }

    fn carry_out(&mut self, seat: u64, out: Vec<CouncilOutput>) {
        let crash = self.random.below(1_000) < self.crash_permille;
        let executed = if crash { self.random.below(out.len() as u64 + 1) as usize } else { out.len() };
        for output in out.into_iter().take(executed) {
            self.execute(seat, output);
        }
        if crash {
            self.crash(seat);
        }
    }

    pub(super) fn execute(&mut self, seat: u64, output: CouncilOutput) {
        let state = self.seats.get_mut(&seat).expect("known seat");
        match output {
            CouncilOutput::Persist(record) => state.disk.write(record),
            CouncilOutput::Send { to, bytes } => self.send(seat, to.0, bytes),
            CouncilOutput::Applied { index, command } => {
                let agreed = self.agreed.entry(index).or_insert_with(|| command.clone());
                assert_eq!(*agreed, command, "two commands applied at index {index}");
            }
            CouncilOutput::StateReplaced => {
                state.replaced += 1;
                let ledger = self.council(seat).replicated().clone();
                self.check_ledger(&ledger);
            }
            CouncilOutput::LeaderChanged { leader: Some(leader), term } if leader.0 == seat => {
                let known = *self.leaders.entry(term).or_insert(seat);
                assert_eq!(known, seat, "two leaders in term {term}");
            }
            CouncilOutput::LeaderChanged { .. } => {}
            CouncilOutput::ProposalDropped(command) => state.dropped.push(command),
            CouncilOutput::MessageRefused { reason, .. } => *state.refused.entry(reason).or_default() += 1,
            CouncilOutput::Removed => state.removed = true,
            CouncilOutput::Poisoned => state.poisoned += 1,
        }
    }

    fn send(&mut self, from: u64, to: u64, bytes: Vec<u8>) {
        if let Some(tape) = &mut self.tape {
            tape.push((from, to, bytes.clone()));
        }
        if self.random.chance(self.weather.loss_percent) {
            return;
        }
        let copies = 1 + u64::from(self.random.chance(self.weather.repeat_percent));
        for _ in 0..copies {
            let delay_ms = 1 + self.random.below(self.weather.delay_ms_max);
            self.sent += 1;
            self.network.insert((self.now.plus(delay_ms), self.sent), (from, to, bytes.clone()));
        }
    }

    /// Nothing in `ledger` differs from what was applied elsewhere, and nothing is missing below its newest command.
    pub(super) fn check_ledger(&self, ledger: &Ledger) {
        let Some((newest, _)) = ledger.commands.last_key_value() else { return };
        let agreed: BTreeMap<u64, Vec<u8>> =
            self.agreed.range(..=newest).map(|(index, command)| (*index, command.clone())).collect();
        for (index, command) in &agreed {
            assert_eq!(ledger.commands.get(index), Some(command), "command at index {index}");
        }
    }
}
