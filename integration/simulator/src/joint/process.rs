//! One process: council, coordinator and sync machine of one life, and what the daemon keeps around them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use traind_protocol::coordinator::limits::STEP_WAIT_INTERVAL_MS;
use traind_protocol::coordinator::{Coordinator, CoordinatorInput, CoordinatorOptions};
use traind_protocol::council::{Council, CouncilInput, CouncilOptions};
use traind_protocol::ids::{
    Boot, Chain, ChunkId, CouncilId, Epoch, Incarnation, JobId, Life, Millis, NodeId, SeatId,
};
use traind_protocol::ledger::Ledger;
use traind_protocol::succession::Succession;
use traind_protocol::sync::{SnapshotHead, StateOffer, SyncMachine, SyncOptions};
use traind_protocol::view::View;
use traind_protocol::wire::control::{Registration, Report, ReportEvent, WorkCounters};

use crate::chunks::offer_of;
use crate::toy::ToyModel;

/// The next input of a machine of the council.
#[derive(Debug)]
pub(super) enum Next {
    Council(CouncilInput),
    Coordinator(CoordinatorInput),
}

/// The session of the job in one process.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) machine: SyncMachine<ToyModel>,
    pub(super) model: ToyModel,
    pub(super) step: u64,
    pub(super) chain: Chain,
    /// Work that was cancelled is told from work that was not by this.
    pub(super) round: u64,
    pub(super) loading: u64,
    /// Of states that are offered or fetched.
    pub(super) chunks: BTreeMap<ChunkId, Bytes>,
    /// What joiners are offered.
    pub(super) kept: Option<StateOffer>,
    pub(super) work: WorkCounters,
    /// In no view, and whether what it computed as a member is worked off.
    pub(super) outside: Option<bool>,
    entered: (Incarnation, Epoch, Option<Epoch>),
    facts: BTreeMap<u8, Vec<ReportEvent>>,
}

impl Session {
    /// Cuts the state as it is, for joiners.
    pub(super) fn keep_state(&mut self, snapshot: &SnapshotHead) {
        let (offer, chunks) = offer_of(snapshot, &self.model.to_bytes());
        self.chunks = chunks;
        self.kept = Some(offer);
    }

    /// A session that knows no view.
    pub(super) fn new(options: SyncOptions) -> Self {
        let (parts, chain) = (options.parts, options.genesis);
        let machine = SyncMachine::new(options, ToyModel::new(parts));
        let entered = Default::default();
        Self {
            machine,
            model: ToyModel::new(parts),
            step: 0,
            chain,
            round: 0,
            loading: 0,
            chunks: BTreeMap::new(),
            kept: None,
            work: WorkCounters::default(),
            outside: None,
            entered,
            facts: BTreeMap::new(),
        }
    }

    /// A view is about to be entered: facts of another tenure are forgotten, but those of the disk.
    pub(super) fn enter(&mut self, view: &View, me: Life) -> bool {
        let tenure = view.member(me).map(|member| member.tenure);
        if (view.incarnation, view.epoch) <= (self.entered.0, self.entered.1) {
            return false;
        }
        if (view.incarnation, tenure) != (self.entered.0, self.entered.2) {
            self.facts.retain(|kind, _| *kind == CHECKPOINTS);
        }
        if tenure.is_some() {
            self.outside = None;
        }
        self.facts.remove(&FAILURES);
        self.facts.remove(&HALTED);
        self.entered = (view.incarnation, view.epoch, tenure);
        true
    }

    /// Keeps a fact, and gives the report of it.
    pub(super) fn record(&mut self, job: JobId, boot: Boot, event: ReportEvent) -> Report {
        let kept = self.facts.entry(kind_of(&event)).or_default();
        if !matches!(kind_of(&event), FAILURES | CHECKPOINTS) {
            kept.clear();
        }
        kept.push(event.clone());
        if kept.len() > FACTS_MAX {
            kept.remove(0);
        }
        self.report(job, boot, event)
    }

    /// All facts once more.
    pub(super) fn repeat(&self, job: JobId, boot: Boot) -> Vec<Report> {
        self.facts.values().flatten().map(|event| self.report(job, boot, event.clone())).collect()
    }

    /// What it lacks, if it has come no further for a while, or that it is outside; such words are not kept.
    pub(super) fn tell_wait(&self, now: Millis, job: JobId, boot: Boot) -> Option<Report> {
        let event = match self.outside {
            Some(is_idle) => ReportEvent::Outside { is_idle },
            None if now.since(self.machine.since()) < STEP_WAIT_INTERVAL_MS => return None,
            None => ReportEvent::Waiting(self.machine.step_wait()?),
        };
        Some(self.report(job, boot, event))
    }

    fn report(&self, job: JobId, boot: Boot, event: ReportEvent) -> Report {
        Report { job, incarnation: self.entered.0, epoch: self.entered.1, boot, event }
    }
}

/// Facts of a kind that are kept.
const FACTS_MAX: usize = 8;
const CHECKPOINTS: u8 = 2;
const FAILURES: u8 = 3;
const HALTED: u8 = 5;

fn kind_of(event: &ReportEvent) -> u8 {
    match event {
        ReportEvent::Synced { .. } => 0,
        ReportEvent::Applied { .. } => 1,
        ReportEvent::CheckpointWritten { .. } => CHECKPOINTS,
        ReportEvent::MicrobatchFailed { .. } => FAILURES,
        ReportEvent::Evaluated { .. } => 4,
        ReportEvent::Halted { .. } => HALTED,
        ReportEvent::Finished { .. } => 6,
        ReportEvent::Waiting(_) | ReportEvent::Outside { .. } | ReportEvent::CheckpointNotWritten { .. } => 7,
        ReportEvent::Misbehaved(_) => 8,
    }
}

/// One process.
pub(super) struct Process {
    pub(super) life: Life,
    pub(super) seat: SeatId,
    pub(super) council: Option<Council<Ledger>>,
    pub(super) coordinator: Coordinator,
    pub(super) next: VecDeque<Next>,
    pub(super) leading: bool,
    pub(super) elected_in: Option<u64>,
    pub(super) peers: BTreeMap<NodeId, Boot>,
    pub(super) said_seats: BTreeMap<SeatId, NodeId>,
    pub(super) hint: Option<NodeId>,
    pub(super) asked_at: Option<Millis>,
    pub(super) repeat_at: Millis,
    pub(super) seats_shown: (BTreeSet<SeatId>, BTreeSet<SeatId>, BTreeSet<SeatId>),
    pub(super) session: Option<Session>,
    pub(super) succession: Succession,
    /// It went over to a council that does not contain all of its old one, and its session has not heard of it.
    pub(super) detoured: bool,
    pub(super) dirty: bool,
}

/// A node that is not in the ledger asks this often, milliseconds.
const REGISTER_EVERY_MS: u64 = 200;

/// Reports are repeated this often, milliseconds.
pub(super) const REPEAT_EVERY_MS: u64 = 1_000;

/// What a process says about itself.
pub(super) fn registration(boot: Boot) -> Registration {
    let text = |text: &str| text.to_owned();
    let (numeric_class, device, version) = (text("toy"), text("cpu"), text("0.1.0"));
    let failure_label = String::new();
    Registration { boot, numeric_class, device, threads: 1, failure_label, version }
}

/// Timing of the council in these runs: that of the product, with snapshots so often that they happen.
pub(super) fn council_options() -> CouncilOptions {
    CouncilOptions { entries_before_snapshot: 24, ..CouncilOptions::default() }
}

impl Process {
    /// A process that has just started.
    pub(super) fn new(
        life: Life,
        seat: Option<SeatId>,
        council: Option<Council<Ledger>>,
        succession: Succession,
        now: Millis,
    ) -> Self {
        let options = CoordinatorOptions { registration: registration(life.boot) };
        Self {
            life,
            seat: seat.unwrap_or_default(),
            council,
            coordinator: Coordinator::new(life.node, options),
            next: VecDeque::new(),
            leading: false,
            elected_in: None,
            peers: BTreeMap::new(),
            said_seats: BTreeMap::new(),
            hint: None,
            asked_at: None,
            repeat_at: now.plus(REPEAT_EVERY_MS),
            seats_shown: Default::default(),
            session: None,
            succession,
            detoured: false,
            dirty: true,
        }
    }

    /// The ledger as this process has it.
    pub(super) fn ledger(&self) -> Option<&Ledger> {
        self.council.as_ref().map(Council::replicated)
    }

    /// The council that it is in.
    pub(super) fn council_id(&self) -> CouncilId {
        self.ledger().map(|ledger| ledger.lineage.council).unwrap_or_default()
    }

    /// When it has to be stepped next.
    pub(super) fn deadline(&self) -> Millis {
        let registers = self
            .wants_registration()
            .then(|| self.asked_at.map_or(Millis(0), |at| at.plus(REGISTER_EVERY_MS)));
        let council = self.council.as_ref().map(Council::deadline);
        let succession = Some(self.succession.deadline());
        let all = [council, self.coordinator.deadline(), registers, Some(self.repeat_at), succession];
        all.into_iter().flatten().min().unwrap_or(self.repeat_at)
    }

    /// Whether the ledger does not show this process yet.
    pub(super) fn wants_registration(&self) -> bool {
        let record = self.ledger().and_then(|ledger| ledger.nodes.get(&self.life.node));
        record.is_none_or(|record| record.boot != self.life.boot)
    }

    /// Whom to ask for admission now.
    pub(super) fn ask(&mut self, now: Millis) -> Vec<NodeId> {
        let due = self.asked_at.is_none_or(|at| at.plus(REGISTER_EVERY_MS) <= now);
        if !due || self.peers.is_empty() {
            if self.peers.is_empty() {
                self.asked_at = Some(now);
            }
            return Vec::new();
        }
        self.asked_at = Some(now);
        let known = self.coordinator_node().or(self.hint).filter(|node| self.peers.contains_key(node));
        known.map_or_else(|| self.peers.keys().copied().collect(), |node| vec![node])
    }

    pub(super) fn coordinator_node(&self) -> Option<NodeId> {
        self.council.as_ref().and_then(Council::leader).and_then(|seat| self.node_of(seat))
    }

    pub(super) fn node_of(&self, seat: SeatId) -> Option<NodeId> {
        if seat == self.seat {
            return Some(self.life.node);
        }
        let of_ledger = self.ledger().and_then(|ledger| ledger.node_of_seat(seat));
        of_ledger.or_else(|| self.said_seats.get(&seat).copied())
    }

    pub(super) fn council_input(&mut self, input: CouncilInput) {
        self.next.push_back(Next::Council(input));
    }

    pub(super) fn coordinator_input(&mut self, input: CoordinatorInput) {
        self.next.push_back(Next::Coordinator(input));
    }
}
