//! The thread that drives the consensus group and the coordinator: feeds inputs, runs outputs in order, and makes each
//! record durable before anything behind it is sent.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use thiserror::Error;
use tokio::sync::{mpsc, watch};
use traind_protocol::coordinator::{Coordinator, CoordinatorInput, CoordinatorOptions, CoordinatorOutput};
use traind_protocol::council::{Council, CouncilInput, CouncilOptions, CouncilOutput};
use traind_protocol::ids::{Boot, CouncilId, Millis, NodeId, SeatId};
use traind_protocol::ledger::{Ledger, LedgerCommand};
use traind_protocol::succession::{Succession, SuccessionInput};
use traind_protocol::wire::control::{ControlMessage, Progress};
use traind_store::StoreError;

use super::registration::Registering;
use super::{CouncilInbox, CouncilParts, Loss, Published, Why, succession};
use crate::session::chain_of;

/// Where the seat is kept in the store.
pub const SEAT_KEY: &str = "seat";

/// What the council is fed next, in order.
pub(super) enum Next {
    Council(CouncilInput),
    Coordinator(CoordinatorInput),
}

/// Why the council cannot start or go on.
#[derive(Debug, Error)]
pub enum CouncilError {
    /// The log on disk cannot be read.
    #[error("the council's log cannot be read")]
    Load(#[source] StoreError),
    /// The log on disk is not one of this council.
    #[error("the council's log cannot be taken up again: {reason}")]
    Recover {
        /// What is wrong.
        reason: String,
    },
    /// A record cannot be made durable. Going on would break promises that were sent.
    #[error("the council's log cannot be written")]
    Persist(#[source] StoreError),
    /// No thread.
    #[error("no thread for the council")]
    Thread(#[source] std::io::Error),
}

/// Drives council and coordinator of one node.
pub(super) struct CouncilDriver {
    pub(super) parts: CouncilParts,
    pub(super) council: Option<Council<Ledger>>,
    pub(super) coordinator: Coordinator,
    pub(super) seat: SeatId,
    pub(super) peers: BTreeMap<NodeId, Boot>,
    /// Seats as peers said themselves, for as long as the ledger does not know them.
    pub(super) said_seats: BTreeMap<SeatId, NodeId>,
    pub(super) registering: Registering,
    /// Whether this node asks to be in the ledger; not any more once it leaves for good.
    registers: bool,
    pub(super) leading: bool,
    /// The term that the coordinator was told it leads in; told once the ledger shows everything of earlier terms.
    elected_in: Option<u64>,
    pub(super) seats_shown: (BTreeSet<SeatId>, BTreeSet<SeatId>, BTreeSet<SeatId>),
    pub(super) next: VecDeque<Next>,
    pub(super) dirty: bool,
    /// Nodes that were connected and are no more, at most [`traind_protocol::ledger::limits::NODES_MAX`].
    pub(super) lost: BTreeMap<NodeId, Loss>,
    /// What another coordinator said last on what jobs wait for.
    pub(super) why_heard: Why,
    /// When this one is to say it next.
    pub(super) why_due: Millis,
    /// Whether it said last that jobs wait.
    pub(super) why_was_told: bool,
    /// What becomes of this node where its council cannot decide.
    pub(super) succession: Succession,
    /// How often this process went over to a council that does not contain all of its old one.
    pub(super) detours: u64,
    pub(super) published: watch::Sender<Arc<Published>>,
    pub(super) progress: watch::Sender<Option<Progress>>,
}

impl CouncilDriver {
    /// Takes up the log that is on disk, or founds a council, or waits to be admitted to one.
    pub(super) fn open(
        parts: CouncilParts,
        published: watch::Sender<Arc<Published>>,
        progress: watch::Sender<Option<Progress>>,
    ) -> Result<Self, CouncilError> {
        let options = CoordinatorOptions { registration: parts.registration.clone() };
        let coordinator = Coordinator::new(parts.me.node, options);
        let succession = succession::options(&parts.store, parts.me.node, parts.on_quorum_loss)?;
        let succession = Succession::new(succession, parts.clock.now());
        let mut driver = Self {
            parts,
            succession,
            detours: 0,
            council: None,
            coordinator,
            seat: SeatId::default(),
            peers: BTreeMap::new(),
            said_seats: BTreeMap::new(),
            registering: Registering::default(),
            registers: true,
            leading: false,
            elected_in: None,
            seats_shown: Default::default(),
            next: VecDeque::new(),
            dirty: true,
            lost: BTreeMap::new(),
            why_heard: Why::default(),
            why_due: Millis::default(),
            why_was_told: false,
            published,
            progress,
        };
        driver.take_up()?;
        // Before anybody can ask: what is on disk is known from the start.
        driver.publish();
        Ok(driver)
    }

    fn take_up(&mut self) -> Result<(), CouncilError> {
        let stored = self.parts.store.get_local(SEAT_KEY).map_err(CouncilError::Load)?;
        let seat =
            stored.and_then(|bytes| <[u8; 8]>::try_from(bytes.as_slice()).ok()).map(u64::from_le_bytes);
        match seat {
            Some(seat) => {
                let mut council = self.recover(SeatId(seat))?;
                // A crash may lie between the ledger of another council and the seat in it.
                let seat = council.replicated().seat_of(self.parts.me.node).unwrap_or(SeatId(seat));
                if seat != council.seat() {
                    council = self.recover(seat)?;
                }
                self.take_seat(seat)?;
                self.council = Some(council);
            }
            None if self.parts.found.is_some() => {
                let seat = SeatId(1);
                self.seat = seat;
                let (options, mut outputs) = (CouncilOptions::default(), Vec::new());
                self.council = Some(Council::found(seat, options, Ledger::default(), &mut outputs));
                // The seat last: who has one on disk and no log waits for a leader, and here nobody would lead.
                self.run_council_outputs(outputs)?;
                self.take_seat(seat)?;
            }
            None => {}
        }
        Ok(())
    }

    pub(super) fn recover(&self, seat: SeatId) -> Result<Council<Ledger>, CouncilError> {
        let recovered = self.parts.store.council().load().map_err(CouncilError::Load)?;
        if recovered.hard_state.is_none() && recovered.snapshot.is_none() {
            return Ok(Council::join(seat, CouncilOptions::default(), Ledger::default()));
        }
        Council::recover(seat, CouncilOptions::default(), Ledger::default(), recovered)
            .map_err(|error| CouncilError::Recover { reason: chain_of(&error) })
    }

    pub(super) fn take_seat(&mut self, seat: SeatId) -> Result<(), CouncilError> {
        self.parts.store.put_local(SEAT_KEY, &seat.0.to_le_bytes()).map_err(CouncilError::Persist)?;
        self.seat = seat;
        self.parts.network.set_seat(seat);
        Ok(())
    }

    /// Runs until it is told to stop. What ends it otherwise ends the process.
    pub(super) fn run(mut self, inputs: mpsc::Receiver<CouncilInbox>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
        let outcome = match runtime {
            Ok(runtime) => runtime.block_on(self.serve(inputs)),
            Err(error) => Err(CouncilError::Thread(error)),
        };
        if let Err(error) = outcome {
            self.parts.fatal.raise("running the council", &error);
        }
    }

    async fn serve(&mut self, mut inputs: mpsc::Receiver<CouncilInbox>) -> Result<(), CouncilError> {
        self.settle()?;
        loop {
            let wait = self.parts.clock.until(self.deadline());
            tokio::select! {
                input = inputs.recv() => match input {
                    None | Some(CouncilInbox::Stop) => return Ok(()),
                    Some(input) => self.told(input)?,
                },
                () = tokio::time::sleep(wait) => self.tick()?,
            }
            self.settle()?;
        }
    }

    fn deadline(&self) -> Millis {
        let now = self.now();
        let registering = self.wants_registration().then(|| self.registering.deadline(now).max(now.plus(1)));
        let telling = self.leading.then_some(self.why_due);
        let council = self.council.as_ref().map(Council::deadline);
        [council, self.coordinator.deadline(), registering, telling, Some(self.succession.deadline())]
            .into_iter()
            .flatten()
            .min()
            .unwrap_or_else(|| now.plus(1000))
    }

    fn tick(&mut self) -> Result<(), CouncilError> {
        let now = self.now();
        if self.council.as_ref().is_some_and(|council| council.deadline() <= now) {
            self.next.push_back(Next::Council(CouncilInput::Tick));
        }
        self.next.push_back(Next::Coordinator(CoordinatorInput::Tick));
        self.register();
        self.step_succession(SuccessionInput::Tick)
    }

    fn told(&mut self, input: CouncilInbox) -> Result<(), CouncilError> {
        match input {
            CouncilInbox::Network(event) => self.network(event)?,
            CouncilInbox::LocalReport(report) => self.report(self.parts.me.node, report),
            CouncilInbox::LocalCheck(check) => self.job_checked(self.parts.me.node, check),
            CouncilInbox::StopRegistering => self.registers = false,
            CouncilInbox::Propose(command) => self.propose(&command),
            CouncilInbox::Ping(reply) => {
                // Whoever asked may have stopped waiting.
                let _ = reply.send(());
            }
            CouncilInbox::Stop => {}
        }
        Ok(())
    }

    pub(super) fn propose(&mut self, command: &LedgerCommand) {
        self.next.push_back(Next::Council(CouncilInput::Propose(command.encode())));
    }

    /// Asks for admission, or tells the ledger this process, for as long as the ledger does not show it.
    pub(super) fn register(&mut self) {
        if !self.wants_registration() {
            return;
        }
        let registration = self.parts.registration.clone();
        if self.leading {
            let from = self.parts.me.node;
            self.next.push_back(Next::Coordinator(CoordinatorInput::Register {
                from,
                registration,
                turn: 0,
            }));
            return;
        }
        let peers: Vec<NodeId> = self.peers.keys().copied().collect();
        for peer in self.registering.ask(self.now(), self.coordinator_node(), &peers) {
            self.send(peer, ControlMessage::Register(registration.clone()));
        }
    }

    fn wants_registration(&self) -> bool {
        let me = self.parts.me;
        self.registers
            && self
                .ledger()
                .and_then(|ledger| ledger.nodes.get(&me.node))
                .is_none_or(|record| record.boot != me.boot)
    }

    /// Feeds the machines until neither has anything more to say, then shows what changed.
    pub(super) fn settle(&mut self) -> Result<(), CouncilError> {
        loop {
            while let Some(next) = self.next.pop_front() {
                match next {
                    Next::Council(input) => self.step_council(input)?,
                    Next::Coordinator(input) => self.step_coordinator(input),
                }
            }
            self.tell_elected();
            self.show_seats();
            if self.next.is_empty() {
                break;
            }
        }
        self.tell_why();
        if std::mem::take(&mut self.dirty) {
            self.publish();
        }
        Ok(())
    }

    fn step_council(&mut self, input: CouncilInput) -> Result<(), CouncilError> {
        let now = self.now();
        let mut outputs = Vec::new();
        if let Some(council) = &mut self.council {
            council.step(now, input, &mut outputs);
        }
        self.run_council_outputs(outputs)
    }

    pub(super) fn run_council_outputs(&mut self, outputs: Vec<CouncilOutput>) -> Result<(), CouncilError> {
        for output in outputs {
            match output {
                CouncilOutput::Persist(record) => {
                    self.parts.store.council().persist(&record).map_err(CouncilError::Persist)?;
                }
                CouncilOutput::Send { to, bytes } => match self.node_of(to) {
                    Some(node) => {
                        let council = self.council_id();
                        self.send(node, ControlMessage::Raft { council, from: self.seat, to, bytes });
                    }
                    None => tracing::debug!(seat = to.0, "no node known for this seat"),
                },
                CouncilOutput::Applied { .. } | CouncilOutput::StateReplaced => {
                    self.next.push_back(Next::Coordinator(CoordinatorInput::LedgerChanged));
                    self.dirty = true;
                }
                CouncilOutput::LeaderChanged { leader, term } => self.leader_changed(leader, term),
                CouncilOutput::ProposalDropped(_) => tracing::debug!("proposal dropped: no coordinator yet"),
                CouncilOutput::MessageRefused { from, reason } => {
                    tracing::warn!(seat = from.0, reason, "council message refused");
                }
                CouncilOutput::Removed => {
                    tracing::warn!("this node's seat was taken out of the council's group")
                }
                CouncilOutput::Poisoned => {
                    tracing::error!("the council's group failed; taking it up again from disk");
                    self.leader_changed(None, 0);
                    self.council = Some(self.recover(self.seat)?);
                }
            }
        }
        Ok(())
    }

    pub(super) fn leader_changed(&mut self, leader: Option<SeatId>, term: u64) {
        let leading = leader.is_some() && leader == Some(self.seat);
        if self.elected_in.is_some_and(|elected| !leading || elected != term) {
            self.elected_in = None;
            self.next.push_back(Next::Coordinator(CoordinatorInput::Deposed));
        }
        self.leading = leading;
        let name = leader.and_then(|seat| self.node_of(seat)).map(|node| node.friendly_name());
        tracing::info!(term, coordinator = name.as_deref().unwrap_or("none"), "coordinator changed");
        self.registering.hurry();
        self.register();
        self.dirty = true;
    }

    fn step_coordinator(&mut self, input: CoordinatorInput) {
        let now = self.now();
        let empty = Ledger::default();
        let ledger = self.council.as_ref().map_or(&empty, Council::replicated);
        let mut outputs = Vec::new();
        self.coordinator.step(now, ledger, input, &mut outputs);
        for output in outputs {
            match output {
                CoordinatorOutput::Propose(command) => self.propose(&command),
                CoordinatorOutput::Send { to, message } if to == self.parts.me.node => {
                    tracing::debug!(?message, "coordinator's word to its own node");
                }
                CoordinatorOutput::Send { to, message } => self.send(to, message),
                CoordinatorOutput::Broadcast(message) => {
                    if let ControlMessage::Progress(progress) = &message {
                        self.progress.send_replace(Some(progress.clone()));
                    }
                    // Progress is said again a few times a second.
                    let _ = self.parts.network.broadcast_control(message);
                }
                CoordinatorOutput::TransferLeadership { to } => {
                    self.next.push_back(Next::Council(CouncilInput::TransferLeadership { to }));
                }
                CoordinatorOutput::ChangeSeats { voters, learners } => {
                    self.next.push_back(Next::Council(CouncilInput::ChangeSeats { voters, learners }));
                }
            }
        }
    }

    /// A new leader plans only once its ledger holds everything that leaders before it committed.
    fn tell_elected(&mut self) {
        let Some(council) = &self.council else { return };
        if self.leading && self.elected_in.is_none() && council.is_settled_leader() {
            let term = council.term();
            self.elected_in = Some(term);
            self.next.push_back(Next::Coordinator(CoordinatorInput::Elected { term }));
            self.registering.hurry();
            self.register();
            self.dirty = true;
        }
    }

    pub(super) fn send(&self, to: NodeId, message: ControlMessage) {
        // Consensus, registration and reports all survive a lost message.
        if let Err(error) = self.parts.network.try_send_control(to, message) {
            tracing::debug!(peer = %to.short(), %error, "control message not sent");
        }
    }

    pub(super) fn now(&self) -> Millis {
        self.parts.clock.now()
    }

    pub(super) fn ledger(&self) -> Option<&Ledger> {
        self.council.as_ref().map(Council::replicated)
    }

    /// The council that this node is in; that of the founder for one that is in none.
    pub(super) fn council_id(&self) -> CouncilId {
        self.ledger().map(|ledger| ledger.lineage.council).unwrap_or_default()
    }

    pub(super) fn coordinator_node(&self) -> Option<NodeId> {
        self.council.as_ref().and_then(Council::leader).and_then(|seat| self.node_of(seat))
    }

    pub(super) fn node_of(&self, seat: SeatId) -> Option<NodeId> {
        if seat == self.seat {
            return Some(self.parts.me.node);
        }
        self.ledger()
            .and_then(|ledger| ledger.node_of_seat(seat))
            .or_else(|| self.said_seats.get(&seat).copied())
    }

    pub(super) fn seat_of(&self, node: NodeId) -> Option<SeatId> {
        self.ledger().and_then(|ledger| ledger.seat_of(node))
    }
}
