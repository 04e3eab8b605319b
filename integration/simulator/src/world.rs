//! One run: nodes, network, council, oracle, and what has been seen so far.

use std::collections::BTreeMap;

use bytes::Bytes;
use traind_protocol::ids::{Chain, Epoch, Life, Millis};
use traind_protocol::invariants::{ALL, BegunWork, StableSteps, is_bounded};
use traind_protocol::sync::{AlarmKind, STATES_CONTRADICT, SyncInput, SyncLimits, SyncMessage, SyncOutput};
use traind_protocol::view::Origin;

use crate::coverage::{Coverage, Fault, Kind};
use crate::drains::DrainRule;
use crate::lies::Lies;
use crate::network::{Network, Packet};
use crate::node::{SimNode, Task, node_index};
use crate::oracle::Oracle;
use crate::plan::{FAULTS_MIN, NODES_MIN, Plan, STEPS_MIN};
use crate::random::Random;
use crate::report::Report;
use crate::sabotage::PlantedFault;
use crate::schedule::Schedule;
use crate::service::ViewService;

/// A rule that was broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Id of the invariant, or P1 for a job that stands still.
    pub id: &'static str,
    /// What it says.
    pub sentence: &'static str,
    /// What was seen.
    pub what: String,
}

/// Something broken on purpose, to see that the checks see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// In every machine.
    Machine(PlantedFault),
    /// Views are committed without a member that is known to have the state.
    NoContinuity,
    /// A member is taken out as soon as all others have come to the step that it may have begun.
    DrainedTooEarly,
    /// A member is taken out as soon as it is itself beyond the step that it may have begun.
    DrainedByItsWord,
}

/// A run in progress.
#[derive(Debug)]
pub struct World {
    pub(crate) plan: Plan,
    pub(crate) schedule: Schedule,
    /// Random actions so far.
    pub(crate) action: u64,
    /// The actions that were faults, or changed a view.
    pub(crate) struck: Vec<u64>,
    pub(crate) coverage: Coverage,
    pub(crate) random: Random,
    pub(crate) nodes: Vec<SimNode>,
    pub(crate) network: Network,
    pub(crate) service: ViewService,
    pub(crate) oracle: Oracle,
    pub(crate) genesis: Chain,
    pub(crate) fault: Option<PlantedFault>,
    /// Views that nodes may hear of: (node, epoch). May be repeated, late, or never come.
    pub(crate) notices: Vec<(usize, Epoch)>,
    /// Words of nodes on their way to the council; each arrives unless its sender dies.
    pub(crate) words: Vec<Said>,
    /// Words that were lost: they will be said again.
    pub(crate) unheard: Vec<Said>,
    /// Members whose computation failed, by epoch: the council is to lease it to another.
    pub(crate) complaints: Vec<Epoch>,
    pub(crate) stable: StableSteps,
    pub(crate) folded: BTreeMap<(u64, u32, Chain), u64>,
    /// A stable state that a checkpoint holds.
    pub(crate) checkpoint: Option<(u64, Chain, Bytes)>,
    pub(crate) computations: u32,
    /// Computations that machines asked for, and how many were made, by step.
    pub(crate) begun: BegunWork,
    pub(crate) computed: BTreeMap<u64, u64>,
    /// For the chain of each state that was applied: the one before, its step, and the micro-batches that led here.
    pub(crate) lineage: BTreeMap<Chain, (Chain, u64, Vec<u32>)>,
    /// Where the first member of each view that halts has stopped.
    pub(crate) halts: BTreeMap<Epoch, (u64, Chain)>,
    pub(crate) lies: Lies,
    pub(crate) clock: u64,
    pub(crate) violation: Option<Violation>,
    pub(crate) report: Report,
    pub(crate) trace: Option<Vec<String>>,
}

/// What a life tells the council, and in which epoch.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said {
    pub(crate) life: Life,
    pub(crate) epoch: Epoch,
    pub(crate) word: Word,
}

/// What is said.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Word {
    Synced { tenure: Epoch },
    Applied { step: u64, chain: Chain },
    Halted,
    Failed,
}

impl Said {
    /// Its column in the table.
    #[must_use]
    pub(crate) fn kind(&self) -> Kind {
        match self.word {
            Word::Synced { .. } => Kind::Synced,
            Word::Applied { .. } => Kind::Applied,
            Word::Halted => Kind::Halted,
            Word::Failed => Kind::Failed,
        }
    }
}

/// Most outputs of one input, L1: a handful for each message that may be due to each member, twice as a step may be
/// applied and the next begun.
fn outputs_max(members: usize, parts: u32, microbatches: u32) -> usize {
    // Whoever follows asks for the results of 32 steps at once.
    2 * (members * (3 * parts as usize + microbatches as usize + 4) + 8) + 32 * parts as usize
}

impl World {
    /// A run before its first event.
    #[must_use]
    pub fn new(schedule: Schedule, sabotage: Option<Sabotage>, traced: bool) -> Self {
        let plan = schedule.plan.clone();
        let mut random = Random::new(plan.seed ^ 0x00d1_ce00);
        let genesis = Chain(*blake3::hash(&plan.seed.to_le_bytes()).as_bytes());
        let fault = match sabotage {
            Some(Sabotage::Machine(fault)) => Some(fault),
            _ => None,
        };
        let nodes: Vec<SimNode> =
            (0..plan.nodes).map(|index| SimNode::new(index, &plan, genesis, fault)).collect();
        let mut oracle = Oracle::new(plan.parts, plan.microbatches, genesis);
        let chain = oracle.state(plan.origin_step).0;
        let (origin, checkpoint) = match plan.origin_step {
            0 => (Origin::Seed, None),
            step => {
                let state = oracle.state(step).1.to_bytes();
                (Origin::Checkpoint { step, chain, digest: Default::default() }, Some((step, chain, state)))
            }
        };
        let founders = nodes[..plan.founders].iter().map(|node| node.life).collect();
        let mut service = ViewService::new(founders, origin, plan.microbatches, plan.parts, &mut random);
        service.continuity = sabotage != Some(Sabotage::NoContinuity);
        service.drains.rule = match sabotage {
            Some(Sabotage::DrainedTooEarly) => DrainRule::OthersAreThere,
            Some(Sabotage::DrainedByItsWord) => DrainRule::ItselfIsBeyond,
            _ => DrainRule::OthersAreBeyond,
        };
        let notices = (0..plan.nodes).map(|node| (node, Epoch(1))).collect();
        let network = Network::new(plan.nodes);
        Self {
            plan,
            schedule,
            action: 0,
            struck: Vec::new(),
            coverage: Coverage::default(),
            random,
            nodes,
            network,
            service,
            oracle,
            genesis,
            fault,
            notices,
            words: Vec::new(),
            unheard: Vec::new(),
            complaints: Vec::new(),
            stable: StableSteps::default(),
            folded: BTreeMap::new(),
            checkpoint,
            computations: 0,
            begun: BegunWork::default(),
            computed: BTreeMap::new(),
            lineage: BTreeMap::new(),
            halts: BTreeMap::new(),
            lies: Lies::default(),
            clock: 0,
            violation: None,
            report: Report { runs: 1, ..Report::default() },
            trace: traced.then(Vec::new),
        }
    }

    /// What went wrong, if anything.
    #[must_use]
    pub fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// What happened.
    #[must_use]
    pub fn report(&self) -> Report {
        let stable_steps = self.report.stable_steps + self.stable.len() as u64;
        Report { stable_steps, ..self.report }
    }

    /// Which faults met which messages.
    #[must_use]
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// The schedule, and the actions that were faults in it.
    #[must_use]
    pub fn struck(&self) -> (&Schedule, u64, &[u64]) {
        (&self.schedule, self.action, &self.struck)
    }

    /// The story of the run, if it was asked for.
    #[must_use]
    pub fn trace(&self) -> &[String] {
        self.trace.as_deref().unwrap_or_default()
    }

    /// The highest step of a member that has the state.
    fn step_reached(&self) -> u64 {
        let current = (0..self.nodes.len()).filter(|index| self.is_current(*index));
        current.map(|index| self.nodes[index].step).max().unwrap_or(0)
    }

    /// Whether the run is one that counts, or has come to the end of its job.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.counts() || self.step_reached() >= self.plan.steps
    }

    fn counts(&self) -> bool {
        let steps = self.step_reached().saturating_sub(self.plan.origin_step);
        self.plan.nodes >= NODES_MIN && steps >= STEPS_MIN && self.report.faults >= FAULTS_MIN
    }

    /// Writes into the report whether the run counts.
    pub fn count(&mut self) {
        self.report.qualified = u64::from(self.counts());
    }

    pub(crate) fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(trace) = &mut self.trace {
            trace.push(line());
        }
    }

    pub(crate) fn fail(&mut self, id: &'static str, what: String) {
        self.tell(|| format!("VIOLATION of {id}: {what}"));
        let sentence =
            ALL.iter().find(|invariant| invariant.id == id).map_or("", |invariant| invariant.sentence);
        self.violation.get_or_insert(Violation { id, sentence, what });
    }

    /// Gives one input to the machine of `index`, does what it asks, and checks everything.
    pub(crate) fn feed(&mut self, index: usize, input: SyncInput) {
        let Some(machine) = self.nodes[index].machine.as_mut().filter(|_| self.violation.is_none()) else {
            return;
        };
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{index} <- {input:?}"));
        }
        let mut out = Vec::new();
        let message = match &input {
            SyncInput::Message { message, .. } => Some((message.incarnation, message.epoch)),
            _ => None,
        };
        machine.step(Millis(self.clock), input, &mut out);
        let produced = out.len();
        let folds = machine.numbers().take_folds();
        let place = machine.place();
        let repeats = self.nodes[index].moves_to(&place);
        if !is_bounded(produced, outputs_max(self.plan.nodes, self.plan.parts, self.plan.microbatches)) {
            self.fail("L1", format!("node {index} answers one input by {produced} outputs"));
        }
        self.check_folds(index, folds, &out);
        for output in out {
            self.tell(|| format!("    {index} -> {output:?}"));
            self.carry_out(index, output);
        }
        // What a member has reported it reports again in each view that it enters.
        if repeats && place.synced && self.nodes[index].has_applied {
            let (step, chain) = (place.step, place.chain);
            self.say(index, Word::Applied { step, chain });
        }
        self.check(index, message, place);
    }

    fn carry_out(&mut self, index: usize, output: SyncOutput) {
        match output {
            SyncOutput::Send { to, message } => self.send(index, node_index(to), message),
            SyncOutput::KeepState { snapshot } => self.keep_state(index, snapshot),
            SyncOutput::OfferState { to, snapshot } => self.offer(index, to, snapshot),
            SyncOutput::FetchState { offer, from, is_anew } => self.fetch(index, offer, &from, is_anew),
            SyncOutput::ReleaseState => self.release(index),
            SyncOutput::Compute { step, base, microbatches } => {
                let node = &self.nodes[index];
                if (node.step, node.chain) != (step, base) || step >= self.plan.steps {
                    return self.fail("D1", format!("node {index} is to compute on another state"));
                }
                self.check_begun(index, step, base, &microbatches);
                let node = &mut self.nodes[index];
                let tasks = microbatches.iter().map(|microbatch| Task { step, base, microbatch });
                node.tasks.extend(tasks);
            }
            SyncOutput::CancelCompute => self.nodes[index].tasks.clear(),
            SyncOutput::Apply { step, chain, results } => self.apply(index, step, chain, &results),
            SyncOutput::InstallState { step, chain, state } => {
                self.keep_fetched(index, &state);
                self.install(index, step, chain, &state);
            }
            SyncOutput::LoadOrigin(origin) => self.nodes[index].loading = Some(origin),
            SyncOutput::Synced { tenure, .. } => self.say(index, Word::Synced { tenure }),
            SyncOutput::Applied { step, chain, .. } => {
                self.nodes[index].has_applied = true;
                self.say(index, Word::Applied { step, chain });
            }
            SyncOutput::Halted { epoch, step, chain } => self.halted(index, epoch, step, chain),
            SyncOutput::NeedView { epoch } => self.notices.push((index, epoch)),
            SyncOutput::Evicted | SyncOutput::Finished { .. } => {}
            SyncOutput::Alarm { kind: AlarmKind::OffersDiffer, .. }
            | SyncOutput::Refused { reason: STATES_CONTRADICT, .. }
                if self.was_lied_to(self.nodes[index].epoch) =>
            {
                self.report.liars_found += 1;
            }
            SyncOutput::Alarm { kind, with, step } => {
                let with = node_index(with);
                self.fail("B1", format!("alarm {kind:?} at node {index} with {with} in step {step}"));
            }
            SyncOutput::Accuse(accusation) => self.accused(index, &accusation),
            SyncOutput::Refused { from, .. } if self.lied_to_members(node_index(from)) => {}
            SyncOutput::Refused { from, reason } => {
                let from = node_index(from);
                self.fail("V2", format!("node {index} refuses an honest message of {from}: {reason}"));
            }
        }
    }

    /// A node tells the council something, in the epoch that it is in.
    pub(crate) fn say(&mut self, index: usize, word: Word) {
        let node = &self.nodes[index];
        if let Some(epoch) = node.epoch {
            self.words.push(Said { life: node.life, epoch, word });
        }
    }

    pub(crate) fn put(&mut self, from: usize, to: usize, message: Packet) {
        let kind = Kind::of(&message);
        self.note_sent(from, to, kind);
        if !self.network.send(from, to, message, &mut self.random) {
            self.coverage.note(Fault::Loss, kind);
        }
    }

    pub(crate) fn send(&mut self, from: usize, to: usize, message: SyncMessage) {
        for message in self.forged(from, message) {
            self.send_one(from, to, message);
        }
    }

    fn send_one(&mut self, from: usize, to: usize, message: SyncMessage) {
        self.report.messages += 1;
        if !self.plan.encoded {
            return self.put(from, to, Packet::Sync(message));
        }
        let frame = message.encode();
        let limits = SyncLimits {
            microbatches: self.plan.microbatches,
            parts: self.plan.parts,
            payload_bytes_max: 1 << 20,
            state_bytes_max: 1 << 20,
        };
        match SyncMessage::decode(&frame.header, frame.payload.concat().into(), &limits) {
            Ok(decoded) if decoded == message => self.put(from, to, Packet::Sync(decoded)),
            other => self.fail("V2", format!("{message:?} travels as {other:?}")),
        }
    }

    fn install(&mut self, index: usize, step: u64, chain: Chain, state: &[u8]) {
        let node = &mut self.nodes[index];
        let restored = traind_protocol::numbers::Numbers::restore(&mut node.model, state);
        node.loading = None;
        node.step = step;
        node.chain = chain;
        node.chains.insert(step, chain);
        if !restored {
            self.fail("S1", format!("node {index} got a state that is none"));
        }
    }

    /// Ends one computation; the value is made here.
    pub(crate) fn finish_task(&mut self, index: usize, position: usize, failed: bool) {
        let node = &mut self.nodes[index];
        let Task { step, base, microbatch } = node.tasks.swap_remove(position);
        if failed {
            self.report.computations_failed += 1;
            node.failed_in = Some(step);
            self.strike(true);
            self.say(index, Word::Failed);
            return self.feed(index, SyncInput::ComputeFailed { step, base, microbatch });
        }
        self.report.computations += 1;
        self.computations += 1;
        *self.computed.entry(step).or_default() += 1;
        let computation = if self.plan.unlike { self.computations } else { 0 };
        let contributions = node.model.compute(base, microbatch, computation);
        self.feed(index, SyncInput::Computed { step, base, microbatch, contributions });
    }

    /// Ends the loading of an origin.
    pub(crate) fn finish_loading(&mut self, index: usize) {
        let Some(origin) = self.nodes[index].loading.take() else { return };
        let (step, chain, state) = match (origin, &self.checkpoint) {
            (Origin::Checkpoint { .. }, Some(checkpoint)) => checkpoint.clone(),
            _ => (0, self.genesis, self.oracle.state(0).1.to_bytes()),
        };
        self.install(index, step, chain, &state);
        let model = self.nodes[index].model.clone();
        if let Some(machine) = self.nodes[index].machine.as_mut() {
            *machine.numbers_mut() = model;
        }
        self.feed(index, SyncInput::OriginLoaded { step, chain });
    }
}
