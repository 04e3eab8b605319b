//! What is sent and what arrives.

use traind_protocol::coordinator::CoordinatorInput;
use traind_protocol::council::{Council, CouncilInput};
use traind_protocol::ids::{Boot, CouncilId, Life, NodeId, SeatId};
use traind_protocol::ledger::Ledger;
use traind_protocol::succession::SuccessionInput;
use traind_protocol::sync::{SyncInput, SyncMessage};
use traind_protocol::wire::control::{ControlMessage, ReportEvent};

use super::disk::raft_field;
use super::process::council_options;
use super::world::{Event, JointWorld};
use crate::node::{node_id, node_index};

/// Control messages that are lost and repeated, per mille.
const LOST_PER_MILLE: u64 = 20;
const REPEATED_PER_MILLE: u64 = 20;

/// The column of a control message.
pub(super) fn kind_of(message: &ControlMessage) -> &'static str {
    match message {
        ControlMessage::Raft { bytes, .. } => match raft_field(bytes, 1) {
            Some(2) => "Propose",
            Some(3) => "Append",
            Some(4) => "Appended",
            Some(5 | 17) => "Campaign",
            Some(6 | 18) => "Vote",
            Some(7) => "LogSnapshot",
            Some(8) => "Heartbeat",
            Some(9) => "Alive",
            Some(14) => "TimeoutNow",
            _ => "OtherRaft",
        },
        ControlMessage::Register(_) => "Register",
        ControlMessage::Registered { .. } => "Registered",
        ControlMessage::Waits(_) => "Waits",
        ControlMessage::Standing(_) => "Standing",
        ControlMessage::Turn { .. } => "Turn",
        ControlMessage::NotCoordinator { .. } => "NotCoord",
        ControlMessage::Report(report) => match report.event {
            ReportEvent::Synced { .. } => "Synced",
            ReportEvent::Applied { .. } => "Applied",
            ReportEvent::CheckpointWritten { .. } | ReportEvent::CheckpointNotWritten { .. } => "Written",
            ReportEvent::Halted { .. } => "Halted",
            ReportEvent::Finished { .. } => "Finished",
            ReportEvent::MicrobatchFailed { .. } => "Failed",
            ReportEvent::Evaluated { .. } => "Evaluated",
            ReportEvent::Waiting(_) => "Waiting",
            ReportEvent::Outside { .. } => "Outside",
            ReportEvent::Misbehaved(_) => "Misbehaved",
        },
        ControlMessage::Progress(_) => "Progress",
        ControlMessage::JobChecked(_) => "Checked",
    }
}

impl JointWorld {
    pub(super) fn meet(&mut self, fault: &'static str, kind: &'static str) {
        *self.report.met.entry((fault, kind)).or_default() += 1;
    }

    /// Sends a control message, which may be lost, late or repeated.
    pub(super) fn send(&mut self, index: usize, to: NodeId, message: ControlMessage) {
        let Some(from) = self.nodes[index].process.as_ref().map(|process| process.life) else { return };
        let kind = kind_of(&message);
        if self.nodes[index].cut || self.nodes[node_index(to)].cut {
            return self.meet("Partition", kind);
        }
        if !self.calm && self.random.chance(LOST_PER_MILLE) {
            return self.meet("Loss", kind);
        }
        if self.nodes[node_index(to)].paused {
            self.meet("Pause", kind);
        }
        let slow = !self.calm && self.random.chance(50);
        let delay_ms = 1 + self.random.below(if slow { 150 } else { 4 }) as u64;
        if slow {
            self.meet("Reorder", kind);
        }
        if !self.calm && self.random.chance(REPEATED_PER_MILLE) {
            self.meet("Duplicate", kind);
            self.after(delay_ms + 3, Event::Control { from, to, message: message.clone() });
        }
        self.after(delay_ms, Event::Control { from, to, message });
    }

    /// Sends data on the ordered stream of a connection: it arrives, or the connection is gone.
    pub(super) fn send_data(&mut self, index: usize, to: NodeId, message: SyncMessage) {
        let Some(process) = self.nodes[index].process.as_ref() else { return };
        let from = process.life;
        let Some(boot) = process.peers.get(&to).copied() else { return };
        if !self.nodes[index].cut && !self.nodes[node_index(to)].cut {
            self.after(2, Event::Data { from, to: Life { node: to, boot }, message });
        }
    }

    /// Something happens.
    pub(super) fn happen(&mut self, event: Event) {
        let hearer = match &event {
            Event::Control { to, .. } => Some(*to),
            Event::Data { to, .. } => Some(to.node),
            Event::Connected { at, .. }
            | Event::Lost { at, .. }
            | Event::Computed { at, .. }
            | Event::Fetching { at, .. }
            | Event::OriginLoaded { at, .. }
            | Event::CheckpointSynced { at, .. } => Some(at.node),
            Event::DiskSynced { .. } | Event::Fault => None,
        };
        // Who stands still hears of it later, in the same order.
        if let Some(node) = hearer.map(|node| &mut self.nodes[node_index(node)]).filter(|node| node.paused) {
            return node.held.push(event);
        }
        match event {
            Event::Control { from, to, message } => self.control(from, node_index(to), message),
            Event::Data { from, to, message } => {
                let is_there =
                    self.process(to).is_some_and(|process| process.peers.get(&from.node) == Some(&from.boot));
                if is_there {
                    self.feed(node_index(to.node), SyncInput::Message { from: from.node, message });
                }
            }
            Event::Connected { at, node, boot } => self.connected(at, node, boot),
            Event::Lost { at, node, boot, is_certain } => self.lost(at, node, boot, is_certain),
            Event::Computed { at, round, step, base, microbatch, took_ms } => {
                self.computed(at, (round, took_ms), step, base, microbatch)
            }
            Event::Fetching { at, offer, from } => self.fetching(at, offer, from),
            Event::OriginLoaded { at, request, step, chain, state } => {
                self.origin_loaded(at, request, step, chain, &state);
            }
            Event::CheckpointSynced { at, step, chain, state, then } => {
                self.checkpoint_synced(at, step, chain, state, then);
            }
            Event::DiskSynced { at } => {
                if self.process(at).is_some() {
                    self.nodes[node_index(at.node)].disk.sync();
                }
            }
            Event::Fault => self.strike(),
        }
        if let Some(node) = hearer {
            self.settle(node_index(node));
        }
    }

    fn connected(&mut self, at: Life, node: NodeId, boot: Boot) {
        // A process that died meanwhile completes no handshake.
        if self.process(Life { node, boot }).is_none() {
            return;
        }
        let Some(process) = self.process(at) else { return };
        process.peers.insert(node, boot);
        process.asked_at = None;
        process.coordinator_input(CoordinatorInput::PeerJoined { node, boot });
        let index = node_index(at.node);
        self.step_succession(index, SuccessionInput::PeerJoined(node));
        self.register(index);
        self.feed(index, SyncInput::PathOpened(node));
    }

    fn lost(&mut self, at: Life, node: NodeId, boot: Boot, death_is_certain: bool) {
        let Some(process) = self.process(at) else { return };
        if process.peers.get(&node) == Some(&boot) {
            process.peers.remove(&node);
        }
        let seat = process.ledger().and_then(|ledger| ledger.seat_of(node));
        if let (true, Some(seat)) = (death_is_certain, seat) {
            process.council_input(CouncilInput::PeerDied(seat));
        }
        let reason = "lost".to_owned();
        process.coordinator_input(CoordinatorInput::PeerLost { node, boot, death_is_certain, reason });
        if !process.peers.contains_key(&node) {
            let lost = SuccessionInput::PeerLost { node, is_certain: death_is_certain };
            self.step_succession(node_index(at.node), lost);
        }
    }

    fn control(&mut self, from: Life, index: usize, message: ControlMessage) {
        let sender = from.node;
        if self.nodes[node_index(sender)].cut || self.nodes[index].cut {
            return self.meet("Partition", kind_of(&message));
        }
        let is_old = self.nodes[node_index(sender)].boot != from.boot.0;
        if is_old {
            self.meet("Restart", kind_of(&message));
        }
        let Some(process) = self.nodes[index].process.as_mut() else { return };
        match message {
            ControlMessage::Raft { council, from: seat, to, bytes } => {
                self.raft(index, sender, council, (seat, to), bytes);
            }
            ControlMessage::Register(registration) => self.register_other(index, sender, registration, 0),
            ControlMessage::Turn { registration, turn } => {
                self.register_other(index, sender, registration, turn);
            }
            ControlMessage::Registered { seat, boot, council, turn } => {
                if boot != process.life.boot {
                    return;
                }
                if process.council.is_some() {
                    return self.step_succession(index, SuccessionInput::Seated { council, seat, turn });
                }
                let mut ledger = Ledger::default();
                ledger.lineage.council = council;
                process.seat = seat;
                process.council = Some(Council::join(seat, council_options(), ledger));
                self.nodes[index].disk.seat = Some(seat);
                self.note("nodes admitted");
            }
            // Words for people: no machine hears them.
            ControlMessage::Waits(_) => {}
            ControlMessage::Standing(standing) => {
                self.step_succession(index, SuccessionInput::Standing { from: sender, standing });
            }
            ControlMessage::NotCoordinator { coordinator } => {
                if coordinator.is_some() && coordinator != process.hint {
                    process.hint = coordinator;
                    process.asked_at = None;
                    self.register(index);
                }
            }
            ControlMessage::Report(report) if process.leading => {
                process.coordinator_input(CoordinatorInput::Report { from: sender, report });
            }
            ControlMessage::JobChecked(check) if process.leading => {
                process.coordinator_input(CoordinatorInput::JobChecked { from: sender, check });
            }
            ControlMessage::Progress(progress) if process.coordinator_node() == Some(sender) => {
                process.coordinator_input(CoordinatorInput::ProgressHeard { progress });
            }
            ControlMessage::Report(_) | ControlMessage::JobChecked(_) | ControlMessage::Progress(_) => {}
        }
    }

    /// A message of a consensus group.
    fn raft(
        &mut self,
        index: usize,
        sender: NodeId,
        council: CouncilId,
        (seat, to): (SeatId, SeatId),
        bytes: Vec<u8>,
    ) {
        let Some(process) = self.nodes[index].process.as_ref() else { return };
        if process.succession.expects(council, to) {
            return self.step_succession(index, SuccessionInput::Message { from: sender, seat, bytes });
        }
        if !self.is_admitted(index, council) {
            return;
        }
        let Some(process) = self.nodes[index].process.as_mut() else { return };
        let may_sit = process.ledger().is_none_or(|ledger| ledger.may_sit(sender, seat));
        if !may_sit || to != process.seat {
            return;
        }
        if process.ledger().and_then(|ledger| ledger.seat_of(sender)) != Some(seat) {
            process.said_seats.insert(seat, sender);
        }
        process.council_input(CouncilInput::Message { from: seat, bytes });
    }

    /// The node of an index.
    pub(super) fn id(index: usize) -> NodeId {
        node_id(index)
    }
}
