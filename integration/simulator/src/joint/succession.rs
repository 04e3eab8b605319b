//! Drives the succession of councils as the daemon does.

use std::collections::BTreeMap;

use traind_protocol::coordinator::CoordinatorInput;
use traind_protocol::council::CouncilOutput;
use traind_protocol::ids::{CouncilId, NodeId};
use traind_protocol::invariants::{ends_somewhere, is_expected_council};
use traind_protocol::ledger::LedgerCommand;
use traind_protocol::succession::{Own, SuccessionInput, SuccessionOutput, Successor};
use traind_protocol::wire::control::{ControlMessage, Registration};

use super::disk::raft_field;
use super::process::{Next, Process, registration};
use super::world::{JointFault, JointWorld};

/// Kinds of messages of the consensus library that promise something: an answer to an append that is no refusal, a vote.
const APPENDED: u64 = 4;
const VOTES: [u64; 2] = [6, 18];

impl JointWorld {
    pub(super) fn step_succession(&mut self, index: usize, input: SuccessionInput) {
        let now = self.now;
        let Some(process) = self.nodes[index].process.as_mut() else { return };
        let own = Own { council: process.council.as_ref(), said_seats: &process.said_seats };
        let mut out = Vec::new();
        process.succession.step(now, own, input, &mut out);
        for output in out {
            let Some(process) = self.nodes[index].process.as_mut() else { return };
            match output {
                SuccessionOutput::Tell(standing) => {
                    let peers: Vec<NodeId> = process.peers.keys().copied().collect();
                    for peer in peers {
                        self.send(index, peer, ControlMessage::Standing(standing));
                    }
                }
                SuccessionOutput::TellTo(to, standing) => {
                    self.send(index, to, ControlMessage::Standing(standing));
                }
                SuccessionOutput::PeerElsewhere(node) => {
                    if let Some(&boot) = process.peers.get(&node) {
                        let (death_is_certain, reason) = (false, "it is in another council".to_owned());
                        let lost = CoordinatorInput::PeerLost { node, boot, death_is_certain, reason };
                        process.coordinator_input(lost);
                    }
                }
                SuccessionOutput::PeerHere(node) => {
                    if let Some(&boot) = process.peers.get(&node) {
                        process.coordinator_input(CoordinatorInput::PeerJoined { node, boot });
                    }
                }
                SuccessionOutput::Turn { to, turn } => {
                    let registration = registration(process.life.boot);
                    self.send(index, to, ControlMessage::Turn { registration, turn });
                }
                SuccessionOutput::Propose(LedgerCommand::YieldCouncil { .. })
                    if self.fault == Some(JointFault::YieldIgnored) => {}
                SuccessionOutput::Propose(command) => self.propose(index, &command),
                SuccessionOutput::Send { to, council, from, seat, bytes } => {
                    self.check_prospect(index, &bytes);
                    self.send(index, to, ControlMessage::Raft { council, from, to: seat, bytes });
                }
                SuccessionOutput::Found(successor) => {
                    self.note("councils founded");
                    self.nodes[index].disk.generation = successor.id.generation;
                    self.succeed(index, successor);
                }
                SuccessionOutput::GoOver(mut successor) => {
                    if self.fault == Some(JointFault::OldLogKept)
                        && let Some(CouncilOutput::Persist(record)) = successor.outputs.first_mut()
                    {
                        record.compact_before = None;
                    }
                    self.note("nodes that went over to another council");
                    self.nodes[index].disk.legacy.clone_from(&successor.legacy);
                    self.succeed(index, successor);
                }
                SuccessionOutput::LegacySettled { .. } => self.nodes[index].disk.legacy = None,
            }
        }
    }

    fn succeed(&mut self, index: usize, successor: Successor) {
        let id = successor.id;
        self.tell(|| format!("node {index} is in {id} now, seat {}", successor.council.seat().0));
        self.leader_changed(index, None, 0);
        let Some(process) = self.nodes[index].process.as_mut() else { return };
        process.next.retain(|next| !matches!(next, Next::Council(_)));
        process.said_seats = successor.seats;
        process.seat = successor.council.seat();
        let (seat, leader, term) = (process.seat, successor.council.leader(), successor.council.term());
        process.council = Some(successor.council);
        process.seats_shown = Default::default();
        process.detoured |= !successor.continues;
        process.dirty = true;
        self.run_council_outputs(index, successor.outputs);
        self.nodes[index].disk.seat = Some(seat);
        let leads = self.nodes[index].process.as_ref().is_some_and(|process| process.leading);
        if !leads {
            self.leader_changed(index, leader, term);
        }
    }

    /// A node asks for a seat, as one that comes over if `turn` says so.
    pub(super) fn register_other(
        &mut self,
        index: usize,
        from: NodeId,
        registration: Registration,
        turn: u64,
    ) {
        let Some(process) = self.nodes[index].process.as_mut() else { return };
        if !process.leading {
            let coordinator = process.coordinator_node();
            return self.send(index, from, ControlMessage::NotCoordinator { coordinator });
        }
        if turn > 0 && process.peers.get(&from) != Some(&registration.boot) {
            return;
        }
        let Some(ledger) = process.council.as_ref().map(|council| council.replicated()) else { return };
        if turn == 0 && process.succession.is_elsewhere(ledger, from) {
            return;
        }
        match process.succession.before_admission(ledger, from) {
            Some(command) => self.propose(index, &command),
            None => process.coordinator_input(CoordinatorInput::Register { from, registration, turn }),
        }
    }

    /// S2: a seat without a log promises nothing. An acknowledgement of nothing tells an old leader that there is a newer one.
    fn check_prospect(&mut self, index: usize, bytes: &[u8]) {
        let field = |number| raft_field(bytes, number).unwrap_or(0);
        let (kind, at, rejects) = (field(1), field(6), field(10) != 0);
        if !rejects && (kind == APPENDED && at > 0 || VOTES.contains(&kind)) {
            self.fail("S2", format!("node {index} promises something in a council whose log it has not"));
        }
    }

    /// C1 and C2, whenever a ledger has changed.
    pub(super) fn check_councils(&mut self, index: usize) {
        let Some(ledger) = self.nodes[index].process.as_ref().and_then(|process| process.ledger()) else {
            return;
        };
        let lineage = &ledger.lineage;
        let (council, samples, yielded) = (lineage.council, lineage.samples, lineage.yielded);
        let Some(to) = yielded else { return };
        if self.yields.insert(council, to).is_none() {
            self.note("councils that gave way");
            self.yielded_at.insert(council, samples);
        }
        if self.yielded_at.get(&council).is_some_and(|at| samples != *at) {
            self.fail("C2", format!("{council} goes on although it gave way to {to}"));
        }
        if !ends_somewhere(&self.yields, council) {
            self.fail("C2", format!("{council} gave way to itself"));
        }
    }

    /// The councils that nodes are in, each with one of its nodes.
    pub(super) fn councils(&self) -> BTreeMap<CouncilId, usize> {
        let mut councils = BTreeMap::new();
        for (index, node) in self.nodes.iter().enumerate() {
            if let Some(process) = &node.process {
                councils.entry(process.council_id()).or_insert(index);
            }
        }
        councils
    }

    /// C2 at the end: everybody is in one council.
    pub(super) fn check_united(&mut self) {
        let councils = self.councils();
        if councils.len() > 1 {
            let stand = |process: &Process| {
                let council = process.council.as_ref();
                let ledger = council
                    .map(|council| (&council.replicated().lineage, council.quorums(), council.leader()));
                let (turning, peers) = (process.succession.turning_to(), process.peers.len());
                format!(
                    "{} seat {} {ledger:?} turning {turning:?} peers {peers}",
                    process.life.node.short(),
                    process.seat.0
                )
            };
            let stands: Vec<String> =
                self.nodes.iter().filter_map(|node| Some(stand(node.process.as_ref()?))).collect();
            self.fail("C2", format!("nodes are in different councils in the end: {stands:#?}"));
        }
    }

    /// Whether a message of the consensus group may be fed to the council of `index`.
    pub(super) fn is_admitted(&mut self, index: usize, council: CouncilId) -> bool {
        let Some(process) = self.nodes[index].process.as_ref() else { return false };
        let has_state = process.council.as_ref().is_some_and(|council| council.has_state());
        let is_right = !has_state || is_expected_council(council, process.council_id());
        if !is_right {
            self.note("messages of another council");
        }
        is_right || self.fault == Some(JointFault::CouncilIdIgnored)
    }
}
