//! What the council's driver hears from the network and from this node's own session.

use traind_p2p::{Event, LossEvidence};
use traind_protocol::coordinator::CoordinatorInput;
use traind_protocol::council::{Council, CouncilInput, CouncilOptions};
use traind_protocol::ids::{Boot, CouncilId, NodeId, SeatId};
use traind_protocol::ledger::Ledger;
use traind_protocol::ledger::limits::NODES_MAX;
use traind_protocol::succession::SuccessionInput;
use traind_protocol::wire::control::{ControlMessage, JobCheck, Registration, Report};

use super::Loss;
use super::driver::{CouncilDriver, CouncilError, Next};

impl CouncilDriver {
    pub(super) fn network(&mut self, event: Event) -> Result<(), CouncilError> {
        match event {
            Event::PeerJoined { node, hello, .. } => {
                self.peers.insert(node, hello.boot);
                self.lost.remove(&node);
                if hello.seat != SeatId::default() {
                    self.note_said_seat(hello.seat, node);
                }
                if let Some(seat) = self.seat_of(node) {
                    self.next.push_back(Next::Council(CouncilInput::Reachable(seat)));
                }
                self.next
                    .push_back(Next::Coordinator(CoordinatorInput::PeerJoined { node, boot: hello.boot }));
                self.registering.hurry();
                self.register();
                self.step_succession(SuccessionInput::PeerJoined(node))?;
                self.dirty = true;
            }
            Event::PeerLost { node, boot, evidence } => self.lost(node, boot, evidence)?,
            Event::Control { from, message } => self.control(from, message)?,
            Event::Listening { .. }
            | Event::SwarmAdopted { .. }
            | Event::SwarmRefused { .. }
            | Event::PeerForgotten { .. } => {}
        }
        Ok(())
    }

    fn lost(&mut self, node: NodeId, boot: Boot, evidence: LossEvidence) -> Result<(), CouncilError> {
        if self.peers.get(&node) == Some(&boot) {
            self.peers.remove(&node);
        }
        let death_is_certain = matches!(evidence, LossEvidence::Refused | LossEvidence::Replaced);
        let reason = match evidence {
            LossEvidence::Refused => "its process is gone: connection closed and redial refused",
            LossEvidence::Closed => "connection closed and not made again",
            LossEvidence::Silent => "silent: no heartbeat",
            LossEvidence::Replaced => "came back as a new process",
        };
        tracing::info!(peer = %node.short(), name = node.friendly_name(), reason, "peer lost");
        if !self.peers.contains_key(&node) && (self.lost.len() < NODES_MAX || self.lost.contains_key(&node)) {
            self.lost.insert(node, Loss { at: self.now(), reason });
        }
        if let (true, Some(seat)) = (death_is_certain, self.seat_of(node)) {
            self.next.push_back(Next::Council(CouncilInput::PeerDied(seat)));
        }
        if !self.peers.contains_key(&node) {
            self.step_succession(SuccessionInput::PeerLost { node, is_certain: death_is_certain })?;
        }
        let reason = reason.to_owned();
        self.next.push_back(Next::Coordinator(CoordinatorInput::PeerLost {
            node,
            boot,
            death_is_certain,
            reason,
        }));
        self.dirty = true;
        Ok(())
    }

    fn control(&mut self, from: NodeId, message: ControlMessage) -> Result<(), CouncilError> {
        match message {
            ControlMessage::Raft { council, from: seat, to, bytes } => {
                self.raft(from, council, (seat, to), bytes)?;
            }
            ControlMessage::Standing(standing) => {
                self.step_succession(SuccessionInput::Standing { from, standing })?;
            }
            ControlMessage::Turn { registration, turn } => self.register_other(from, registration, turn),
            ControlMessage::Register(registration) => self.register_other(from, registration, 0),
            ControlMessage::Registered { seat, boot, council, turn } => {
                self.registered(boot, council, seat, turn)?;
            }
            ControlMessage::NotCoordinator { coordinator } => {
                self.registering.learn(coordinator);
                self.register();
            }
            ControlMessage::Report(report) => self.report(from, report),
            ControlMessage::JobChecked(check) => self.job_checked(from, check),
            ControlMessage::Waits(waits) => self.hear_why(from, waits),
            ControlMessage::Progress(progress) => {
                if self.coordinator_node() == Some(from) {
                    self.progress.send_replace(Some(progress.clone()));
                    self.next.push_back(Next::Coordinator(CoordinatorInput::ProgressHeard { progress }));
                }
            }
        }
        Ok(())
    }

    fn raft(
        &mut self,
        from: NodeId,
        council: CouncilId,
        (seat, to): (SeatId, SeatId),
        bytes: Vec<u8>,
    ) -> Result<(), CouncilError> {
        if self.succession.expects(council, to) {
            return self.step_succession(SuccessionInput::Message { from, seat, bytes });
        }
        // Who is in no council yet is told of the one that it joins by its seat alone.
        if council != self.council_id() && self.council.as_ref().is_some_and(Council::has_state) {
            tracing::debug!(peer = %from.short(), %council, "message of another council dropped");
            return Ok(());
        }
        let may_sit = self.ledger().is_none_or(|ledger| ledger.may_sit(from, seat));
        if !may_sit || to != self.seat {
            tracing::debug!(peer = %from.short(), seat = seat.0, to = to.0, "council message with a wrong seat dropped");
            return Ok(());
        }
        if self.seat_of(from) != Some(seat) {
            self.note_said_seat(seat, from);
        }
        self.next.push_back(Next::Council(CouncilInput::Message { from: seat, bytes }));
        Ok(())
    }

    /// What `node` says of its seat, in the place of what it said before.
    pub(super) fn note_said_seat(&mut self, seat: SeatId, node: NodeId) {
        self.said_seats.retain(|_seat, who| *who != node);
        self.said_seats.insert(seat, node);
    }

    fn register_other(&mut self, from: NodeId, registration: Registration, turn: u64) {
        if !self.leading {
            let coordinator = self.coordinator_node();
            return self.send(from, ControlMessage::NotCoordinator { coordinator });
        }
        let is_connected = self.peers.get(&from) == Some(&registration.boot);
        if turn > 0 && !is_connected {
            return;
        }
        if turn == 0 && self.ledger().is_some_and(|ledger| self.succession.is_elsewhere(ledger, from)) {
            return;
        }
        let before = self.ledger().and_then(|ledger| self.succession.before_admission(ledger, from));
        match before {
            // It asks again.
            Some(command) => self.propose(&command),
            None => {
                self.next.push_back(Next::Coordinator(CoordinatorInput::Register {
                    from,
                    registration,
                    turn,
                }));
            }
        }
    }

    fn registered(
        &mut self,
        boot: Boot,
        council: CouncilId,
        seat: SeatId,
        turn: u64,
    ) -> Result<(), CouncilError> {
        if boot != self.parts.me.boot {
            return Ok(());
        }
        if self.council.is_some() {
            return self.step_succession(SuccessionInput::Seated { council, seat, turn });
        }
        self.take_seat(seat)?;
        let mut ledger = Ledger::default();
        ledger.lineage.council = council;
        self.council = Some(Council::join(seat, CouncilOptions::default(), ledger));
        tracing::info!(seat = seat.0, "admitted to the swarm");
        self.dirty = true;
        Ok(())
    }

    pub(super) fn report(&mut self, from: NodeId, report: Report) {
        if self.leading {
            self.next.push_back(Next::Coordinator(CoordinatorInput::Report { from, report }));
        } else if from == self.parts.me.node
            && let Some(coordinator) = self.coordinator_node()
        {
            self.send(coordinator, ControlMessage::Report(report));
        }
    }

    /// A node's word on whether it can run a job goes to the coordinator; it is said again if this is not the one.
    pub(super) fn job_checked(&mut self, from: NodeId, check: JobCheck) {
        if self.leading {
            self.next.push_back(Next::Coordinator(CoordinatorInput::JobChecked { from, check }));
        } else if from == self.parts.me.node
            && let Some(coordinator) = self.coordinator_node()
        {
            self.send(coordinator, ControlMessage::JobChecked(check));
        }
    }
}
