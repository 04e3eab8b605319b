//! Drives council and coordinator of a process as the daemon does: outputs in order, what is persisted before what is
//! sent.

use std::collections::BTreeSet;

use traind_protocol::coordinator::{CoordinatorInput, CoordinatorOutput};
use traind_protocol::council::{Council, CouncilInput, CouncilOutput};
use traind_protocol::ids::SeatId;
use traind_protocol::ledger::{Ledger, LedgerCommand};
use traind_protocol::succession::SuccessionInput;
use traind_protocol::wire::control::{ControlMessage, JobCheck};

use super::process::{Next, REPEAT_EVERY_MS, registration};
use super::world::{Event, JOB, JointFault, JointWorld};

/// A process dies between two outputs of the council in so many of a hundred thousand steps.
const DEATHS_BETWEEN_OUTPUTS: usize = 60;

/// What is written and not synced is synced after so long, milliseconds; only a planted fault leaves it so.
const SYNC_DELAY_MS: u64 = 60;

/// Inputs of one settling at most, L1.
const INPUTS_MAX: usize = 2_000;

/// Digest of the data of the job.
pub(super) const DATA: [u8; 32] = [9; 32];

impl JointWorld {
    /// A deadline of a process has come.
    pub(super) fn tick(&mut self, index: usize) {
        let now = self.now;
        let Some(process) = self.nodes[index].process.as_mut() else { return };
        if process.council.as_ref().is_some_and(|council| council.deadline() <= now) {
            process.council_input(CouncilInput::Tick);
        }
        process.coordinator_input(CoordinatorInput::Tick);
        if process.repeat_at <= now {
            process.repeat_at = now.plus(REPEAT_EVERY_MS);
            self.repeat(index);
        }
        self.register(index);
        self.step_succession(index, SuccessionInput::Tick);
        self.settle(index);
    }

    /// Says again what may be lost.
    pub(super) fn repeat(&mut self, index: usize) {
        let Some(process) = &self.nodes[index].process else { return };
        let boot = process.life.boot;
        let session = process.session.as_ref();
        let mut reports = session.map(|session| session.repeat(JOB, boot)).unwrap_or_default();
        if self.fault != Some(JointFault::WaitsUntold) {
            reports.extend(session.and_then(|session| session.tell_wait(self.now, JOB, boot)));
        }
        reports.into_iter().for_each(|report| self.say(index, ControlMessage::Report(report)));
        let check = JobCheck { job: JOB, boot, outcome: Ok(DATA) };
        if self.is_submitted {
            self.say(index, ControlMessage::JobChecked(check));
        }
    }

    /// A word of the node to whoever coordinates.
    pub(super) fn say(&mut self, index: usize, message: ControlMessage) {
        let Some(process) = self.nodes[index].process.as_mut() else { return };
        let from = process.life.node;
        if process.leading {
            match message {
                ControlMessage::Report(report) => {
                    process.coordinator_input(CoordinatorInput::Report { from, report });
                }
                ControlMessage::JobChecked(check) => {
                    process.coordinator_input(CoordinatorInput::JobChecked { from, check });
                }
                _ => {}
            }
        } else if let Some(coordinator) = process.coordinator_node() {
            self.send(index, coordinator, message);
        }
    }

    /// Asks for admission for as long as the ledger does not show this process.
    pub(super) fn register(&mut self, index: usize) {
        let now = self.now;
        let Some(process) = self.nodes[index].process.as_mut() else { return };
        if !process.wants_registration() {
            return;
        }
        let (from, registration) = (process.life.node, registration(process.life.boot));
        if process.leading {
            process.asked_at = Some(now);
            return process.coordinator_input(CoordinatorInput::Register { from, registration, turn: 0 });
        }
        for peer in process.ask(now) {
            self.send(index, peer, ControlMessage::Register(registration.clone()));
        }
    }

    /// Feeds the machines until neither has anything more to say.
    pub(super) fn settle(&mut self, index: usize) {
        for _ in 0..INPUTS_MAX {
            if self.violation.is_some() {
                return;
            }
            let Some(process) = self.nodes[index].process.as_mut() else { return };
            match process.next.pop_front() {
                Some(Next::Council(input)) => self.step_council(index, input),
                Some(Next::Coordinator(input)) => self.step_coordinator(index, input),
                None => {
                    self.tell_elected(index);
                    self.show_seats(index);
                    let Some(process) = self.nodes[index].process.as_mut() else { return };
                    if process.next.is_empty() {
                        if std::mem::take(&mut process.dirty) {
                            self.ledger_changed(index);
                        }
                        return;
                    }
                }
            }
        }
        self.fail("L1", format!("node {index} never comes to rest"));
    }

    fn step_council(&mut self, index: usize, input: CouncilInput) {
        let now = self.now;
        let Some(council) = self.nodes[index].process.as_mut().and_then(|process| process.council.as_mut())
        else {
            return;
        };
        let mut out = Vec::new();
        council.step(now, input, &mut out);
        let dies = !self.calm && out.len() > 1 && self.random.below(100_000) < DEATHS_BETWEEN_OUTPUTS;
        if dies && self.nodes.iter().filter(|node| node.process.is_some()).count() > 1 {
            out.truncate(self.random.below(out.len()));
            self.note("deaths between two outputs");
            self.run_council_outputs(index, out);
            return self.kill(index);
        }
        self.run_council_outputs(index, out);
    }

    pub(super) fn run_council_outputs(&mut self, index: usize, out: Vec<CouncilOutput>) {
        for output in out {
            let Some(process) = self.nodes[index].process.as_mut() else { return };
            match output {
                CouncilOutput::Persist(record) => {
                    let skips = match self.fault {
                        Some(JointFault::VoteNotPersisted) => {
                            record.entries.is_empty() && record.snapshot.is_none()
                        }
                        Some(JointFault::EntriesNotPersisted) => !record.entries.is_empty(),
                        _ => false,
                    };
                    let at = process.life;
                    self.nodes[index].disk.persist(record, !skips);
                    if skips {
                        self.after(SYNC_DELAY_MS, Event::DiskSynced { at });
                    }
                }
                CouncilOutput::Send { to, bytes } => {
                    let (node, from) = (process.node_of(to), process.seat);
                    let council = process.council_id();
                    self.check_durable(index, &bytes);
                    if let Some(node) = node {
                        self.send(index, node, ControlMessage::Raft { council, from, to, bytes });
                    }
                }
                CouncilOutput::Applied { index: at, command } => {
                    process.coordinator_input(CoordinatorInput::LedgerChanged);
                    process.dirty = true;
                    self.check_applied(index, at, command);
                }
                CouncilOutput::StateReplaced => {
                    process.coordinator_input(CoordinatorInput::LedgerChanged);
                    process.dirty = true;
                    self.note("ledgers replaced by a snapshot");
                }
                CouncilOutput::LeaderChanged { leader, term } => self.leader_changed(index, leader, term),
                CouncilOutput::ProposalDropped(_) | CouncilOutput::Removed => {}
                CouncilOutput::MessageRefused { reason, .. } => {
                    self.tell(|| format!("node {index} refuses a council message: {reason}"));
                    self.note("council messages refused");
                }
                CouncilOutput::Poisoned => self.fail("S2", format!("the council of node {index} panicked")),
            }
        }
    }

    pub(super) fn leader_changed(&mut self, index: usize, leader: Option<SeatId>, term: u64) {
        let Some(process) = self.nodes[index].process.as_mut() else { return };
        let leading = leader.is_some() && leader == Some(process.seat);
        if process.elected_in.is_some_and(|elected| !leading || elected != term) {
            process.elected_in = None;
            process.coordinator_input(CoordinatorInput::Deposed);
        }
        process.leading = leading;
        process.asked_at = None;
        process.dirty = true;
        if leading && let Some(seat) = leader {
            self.note("coordinators elected");
            self.tell(|| format!("LEADER {index} term {term}"));
            let Some(council) = self.nodes[index].process.as_ref().map(|process| process.council_id()) else {
                return;
            };
            if *self.leaders.entry((council, term)).or_insert(seat) != seat {
                self.fail("C1", format!("two leaders in term {term} of {council}"));
            }
        }
        self.register(index);
    }

    fn tell_elected(&mut self, index: usize) {
        let Some(process) = self.nodes[index].process.as_mut() else { return };
        let Some(council) = &process.council else { return };
        if process.leading && process.elected_in.is_none() && council.is_settled_leader() {
            let term = council.term();
            process.elected_in = Some(term);
            process.asked_at = None;
            process.coordinator_input(CoordinatorInput::Elected { term });
            process.dirty = true;
            self.register(index);
            self.repeat(index);
        }
    }

    fn show_seats(&mut self, index: usize) {
        let Some(process) = self.nodes[index].process.as_mut() else { return };
        let Some(council) = &process.council else { return };
        let (voters, learners) = (council.voters(), council.learners());
        let all = voters.union(&learners).copied();
        let caught_up: BTreeSet<SeatId> = all.filter(|&seat| Council::is_caught_up(council, seat)).collect();
        let shown = (voters.clone(), learners.clone(), caught_up.clone());
        if shown != process.seats_shown {
            process.seats_shown = shown;
            process.coordinator_input(CoordinatorInput::Seats { voters, learners, caught_up });
        }
    }

    fn step_coordinator(&mut self, index: usize, input: CoordinatorInput) {
        let now = self.now;
        let Some(process) = self.nodes[index].process.as_mut() else { return };
        let empty = Ledger::default();
        let ledger = process.council.as_ref().map_or(&empty, Council::replicated);
        let mut out = Vec::new();
        process.coordinator.step(now, ledger, input, &mut out);
        let me = process.life.node;
        for output in out {
            match output {
                CoordinatorOutput::Propose(command) => self.propose(index, &command),
                CoordinatorOutput::Send { to, message } if to != me => self.send(index, to, message),
                CoordinatorOutput::Send { .. } => {}
                CoordinatorOutput::Broadcast(message) => {
                    for other in (0..self.nodes.len()).filter(|other| *other != index) {
                        self.send(index, crate::node::node_id(other), message.clone());
                    }
                }
                CoordinatorOutput::ChangeSeats { voters, learners } => {
                    self.note("seats changed");
                    self.council_input(index, CouncilInput::ChangeSeats { voters, learners });
                }
                CoordinatorOutput::TransferLeadership { to } => {
                    self.note("leads handed over");
                    self.council_input(index, CouncilInput::TransferLeadership { to });
                }
            }
        }
    }

    fn council_input(&mut self, index: usize, input: CouncilInput) {
        if let Some(process) = self.nodes[index].process.as_mut() {
            process.council_input(input);
        }
    }

    /// Proposes at a node, which gives it on to the leader.
    pub(super) fn propose(&mut self, index: usize, command: &LedgerCommand) {
        self.tell(|| {
            format!("node {index} proposes {}", format!("{command:?}").chars().take(200).collect::<String>())
        });
        self.council_input(index, CouncilInput::Propose(command.encode()));
    }
}
