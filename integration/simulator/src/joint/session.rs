//! The session of the job: the sync machine, its trainer and its checkpoints.

use std::collections::BTreeSet;

use bytes::Bytes;
use traind_protocol::ids::{Chain, Digest, Epoch, Life, ManifestId, NodeId};
use traind_protocol::index_set::IndexSet;
use traind_protocol::ledger::{CheckpointEntry, JobStatus, LedgerCommand};
use traind_protocol::numbers::Numbers;
use traind_protocol::replicas::choose_writers;
use traind_protocol::sync::{SnapshotHead, StateOffer, SyncInput, SyncMessage, SyncOptions, SyncOutput};
use traind_protocol::view::{Origin, View};
use traind_protocol::wire::control::{ControlMessage, ReportEvent};

use super::disk::Written;
use super::process::Session;
use super::world::{Device, Event, JOB, JointWorld};
use crate::node::node_index;
use crate::toy::ToyModel;

/// Copies of each checkpoint.
pub(super) const CHECKPOINT_REPLICAS: u32 = 2;

/// Steps from one checkpoint to the next.
pub(super) const CHECKPOINT_EVERY: u64 = 8;

/// A micro-batch takes so long, milliseconds, and as much again by chance.
const COMPUTE_MS: usize = 25;

/// So many times as long where the device is slow.
const SLOW_FACTOR: u64 = 50;

/// Writing a checkpoint takes so long, milliseconds, and as much again by chance.
const WRITE_MS: usize = 30;

/// Chunks come in so long, milliseconds, or in the second time, which is that of some steps; what did not is asked for again.
const FETCH_MS: [u64; 2] = [10, 600];

/// Bytes of results that members keep for joiners: of some steps.
const KEPT_BYTES_MAX: u64 = 2_000;

/// One of so many computations fails while faults last.
const FAILS_ONE_IN: usize = 400;

impl JointWorld {
    /// The ledger of a node has changed: its view is entered, if it is new.
    pub(super) fn ledger_changed(&mut self, index: usize) {
        self.check_councils(index);
        let Some(process) = self.nodes[index].process.as_mut() else { return };
        let me = process.life;
        let detoured = std::mem::take(&mut process.detoured) && process.session.is_some();
        let Some(job) = process.ledger().and_then(|ledger| ledger.jobs.get(&JOB)) else { return };
        let is_running = job.status == JobStatus::Running;
        let assigned: Vec<CheckpointEntry> =
            job.checkpoints.iter().filter(|entry| entry.assigned.contains(&me.node)).cloned().collect();
        let view = job.view.clone().filter(|_| is_running);
        let committed = job.committed_to();
        if detoured && view.as_ref().is_some_and(|view| view.member(me).is_some()) {
            // The view counts on a state from before what the session did since.
            self.note("processes that ended because their state was left behind");
            self.kill(index);
            return self.start(index);
        } else if detoured {
            // Its state belongs to nobody any more; a view to come admits it anew.
            process.session = None;
        }
        if let Some(view) = view {
            self.check_view(index, &view);
            self.enter(index, view);
        }
        self.check_committed(index, committed);
        assigned.into_iter().for_each(|entry| self.copy(index, entry));
    }

    /// A node that was chosen to hold a checkpoint gets it from a holder that is there.
    fn copy(&mut self, index: usize, entry: CheckpointEntry) {
        let me = Self::id(index);
        let sources = entry.holders.iter().map(|holder| &self.nodes[node_index(*holder)]);
        let mut found = sources
            .filter(|source| source.process.is_some())
            .filter_map(|source| source.disk.checkpoints.get(&entry.step));
        let Some(written) = found.find(|written| written.chain == entry.chain).cloned() else { return };
        self.nodes[index].disk.checkpoints.insert(entry.step, written);
        self.note("checkpoints copied");
        let (holders, assigned) = (BTreeSet::from([me]), BTreeSet::new());
        let entry = CheckpointEntry { holders, assigned, ..entry };
        self.propose(index, &LedgerCommand::RecordCheckpoint { job: JOB, entry });
    }

    fn enter(&mut self, index: usize, view: View) {
        let (parts, microbatches, steps, genesis) = (self.parts, self.microbatches, self.steps, self.genesis);
        let Some(process) = self.nodes[index].process.as_mut() else { return };
        let me = process.life;
        let options = SyncOptions {
            job: JOB,
            me,
            microbatches,
            parts,
            steps,
            genesis,
            kept_bytes_max: KEPT_BYTES_MAX,
            sends_early: true,
        };
        let session = process.session.get_or_insert_with(|| Session::new(options));
        if session.enter(&view, me) {
            self.tell(|| {
                let members: Vec<_> = view.members.iter().map(|member| node_index(member.node)).collect();
                format!("node {index} enters epoch {} of {members:?} halt {}", view.epoch.0, view.halt)
            });
            self.feed(index, SyncInput::EnterView(view));
            self.repeat(index);
        }
    }

    /// Gives one input to the sync machine of `index` and does what it asks.
    pub(super) fn feed(&mut self, index: usize, input: SyncInput) {
        let now = self.now;
        let session = self.nodes[index].process.as_mut().and_then(|process| process.session.as_mut());
        let Some(session) = session.filter(|_| self.violation.is_none()) else { return };
        let before = session.machine.place();
        let of_message = match &input {
            SyncInput::Message { message, .. } => Some((message.incarnation, message.epoch)),
            _ => None,
        };
        let mut out = Vec::new();
        session.machine.step(now, input, &mut out);
        let (place, folds) = (session.machine.place(), session.machine.numbers().take_folds());
        self.check_fenced(index, of_message, &before, &place);
        for output in out {
            self.carry_out(index, output);
        }
        self.check_joint_folds(index, &folds);
        if before != place {
            self.check_joint_agreement(index);
        }
    }

    fn session(&mut self, index: usize) -> Option<&mut Session> {
        self.nodes[index].process.as_mut().and_then(|process| process.session.as_mut())
    }

    fn carry_out(&mut self, index: usize, output: SyncOutput) {
        let Some(me) = self.nodes[index].process.as_ref().map(|process| process.life) else { return };
        let Some(session) = self.session(index) else { return };
        match output {
            SyncOutput::Send { to, message } => self.send_data(index, to, message),
            SyncOutput::KeepState { snapshot } => session.keep_state(&snapshot),
            SyncOutput::OfferState { to, snapshot } => self.offer_state(index, to, &snapshot),
            SyncOutput::FetchState { offer, from, .. } => {
                let delay_ms = FETCH_MS[self.random.below(FETCH_MS.len())];
                self.after(delay_ms, Event::Fetching { at: me, offer, from });
            }
            SyncOutput::ReleaseState => {
                session.chunks.clear();
                session.kept = None;
            }
            SyncOutput::Compute { step, base, microbatches } => {
                let round = session.round;
                self.begin(me, (round, step, base), &microbatches);
            }
            SyncOutput::CancelCompute => session.round += 1,
            SyncOutput::Apply { step, chain, results } => self.apply_joint(index, step, chain, &results),
            SyncOutput::InstallState { step, chain, state } => self.install_joint(index, step, chain, &state),
            SyncOutput::LoadOrigin(origin) => self.load_origin(index, origin),
            SyncOutput::Synced { step, chain, .. } => {
                self.tell_fact(index, ReportEvent::Synced { step, chain })
            }
            SyncOutput::Applied { step, chain, .. } => {
                let (point, work) = (None, session.work);
                self.tell_fact(index, ReportEvent::Applied { step, chain, point, sample: None, work });
                if step % CHECKPOINT_EVERY == 0 && self.is_writer(index, step) {
                    self.write_checkpoint(index, None);
                }
            }
            SyncOutput::Finished { step, chain } => {
                let digest = digest_of(&session.model.to_bytes());
                let (test_correct, test_total) = (1, 1);
                self.write_checkpoint(index, None);
                let event = ReportEvent::Finished { step, chain, digest, test_correct, test_total };
                self.tell_fact(index, event);
            }
            SyncOutput::Halted { epoch, .. } => {
                self.note("members halted");
                self.write_checkpoint(index, Some(epoch));
            }
            SyncOutput::Evicted => {
                let hangs = self.nodes[index].device == Device::Hangs;
                if let Some(session) = self.session(index) {
                    session.outside = Some(!hangs);
                }
            }
            SyncOutput::NeedView { .. } => {}
            SyncOutput::Alarm { kind, with, step } => {
                let with = node_index(with);
                self.fail("B1", format!("alarm {kind:?} at node {index} with {with} in step {step}"));
            }
            SyncOutput::Accuse(accusation) => {
                let of = node_index(accusation.of.node);
                self.fail("A2", format!("node {index} accuses {of}, which is honest, of {accusation:?}"));
            }
            SyncOutput::Refused { from, reason } => {
                let from = node_index(from);
                self.fail("V2", format!("node {index} refuses an honest message of {from}: {reason}"));
            }
        }
    }

    /// A member offers the state that it keeps.
    fn offer_state(&mut self, index: usize, to: NodeId, snapshot: &SnapshotHead) {
        let Some(boot) = self.nodes[index].process.as_ref().map(|process| process.life.boot) else { return };
        let is_kept = |offer: &&StateOffer| (offer.step, offer.chain) == (snapshot.step, snapshot.chain);
        let kept = self.session(index).and_then(|session| session.kept.clone());
        let Some(offer) = kept.as_ref().filter(is_kept).cloned() else {
            return self.fail("S1", format!("node {index} offers a state that it does not keep"));
        };
        self.note("states offered");
        let of = (snapshot.incarnation, snapshot.epoch);
        self.send_data(index, to, SyncMessage::offer(JOB, boot, of, offer));
    }

    /// A trainer begins these.
    fn begin(&mut self, at: Life, (round, step, base): (u64, u64, Chain), microbatches: &IndexSet) {
        let factor = if self.nodes[node_index(at.node)].device == Device::Slow { SLOW_FACTOR } else { 1 };
        for microbatch in microbatches.iter() {
            let took_ms = (COMPUTE_MS + self.random.below(COMPUTE_MS)) as u64 * factor;
            let event = Event::Computed { at, round, step, base, microbatch, took_ms };
            self.after(took_ms, event);
        }
    }

    /// The chunks of a state come from those of `from` that are connected and have them. How single ones are asked for is
    /// the other world's.
    pub(super) fn fetching(&mut self, at: Life, offer: StateOffer, from: Vec<NodeId>) {
        let index = node_index(at.node);
        let Some(process) = self.process(at) else { return };
        let peers = process.peers.clone();
        let Some(session) = &process.session else { return };
        if session.machine.place().synced {
            return;
        }
        let mut chunks = session.chunks.clone();
        for node in &from {
            let life = peers.get(node).map(|boot| Life { node: *node, boot: *boot });
            let source =
                life.and_then(|life| self.process(life)).and_then(|process| process.session.as_ref());
            chunks.extend(source.into_iter().flat_map(|source| source.chunks.clone()));
        }
        chunks.retain(|id, _| offer.chunks().any(|chunk| chunk.id == *id));
        let whole = offer.assemble(|id| chunks.get(&id).cloned());
        if let Some(session) = self.session(index) {
            session.chunks = chunks;
        }
        match whole {
            Some((state, last)) => {
                let id = offer.id();
                // Its machine says whether it is the one.
                self.fetched(index, offer);
                self.feed(index, SyncInput::StateFetched { id, state, last });
            }
            // Another view, or another offer, may have made it useless.
            None if peers.keys().any(|node| from.contains(node)) => {
                self.after(FETCH_MS[0], Event::Fetching { at, offer, from });
            }
            None => {}
        }
    }

    /// Whether a member writes the checkpoint of `step`: decided as the product does.
    fn is_writer(&self, index: usize, step: u64) -> bool {
        let Some(process) = &self.nodes[index].process else { return false };
        let ledger = process.ledger();
        let view = ledger.and_then(|ledger| ledger.jobs.get(&JOB)).and_then(|job| job.view.as_ref());
        view.is_some_and(|view| {
            choose_writers(view, &[], step, CHECKPOINT_REPLICAS).contains(&process.life.node)
        })
    }

    fn fetched(&mut self, index: usize, offer: StateOffer) {
        if let Some(session) = self.session(index) {
            session.kept = Some(offer);
        }
    }

    fn tell_fact(&mut self, index: usize, event: ReportEvent) {
        let Some(process) = self.nodes[index].process.as_mut() else { return };
        let boot = process.life.boot;
        let Some(session) = process.session.as_mut() else { return };
        let report = session.record(JOB, boot, event);
        self.say(index, ControlMessage::Report(report));
    }

    pub(super) fn install_joint(&mut self, index: usize, step: u64, chain: Chain, state: &[u8]) {
        let Some(session) = self.session(index) else { return };
        let restored = session.model.restore(state);
        session.step = step;
        session.chain = chain;
        session.loading += 1;
        if !restored {
            self.fail("S1", format!("node {index} got a state that is none"));
        }
    }

    /// A founder loads the checkpoint of its own disk, else that of another's.
    fn load_origin(&mut self, index: usize, origin: Origin) {
        let Some(at) = self.nodes[index].process.as_ref().map(|process| process.life) else { return };
        let (step, chain, state) = match origin {
            Origin::Seed => (0, self.genesis, ToyModel::new(self.parts).to_bytes()),
            Origin::Checkpoint { step, chain, .. } => {
                let own = std::iter::once(&self.nodes[index]).chain(&self.nodes);
                let mut found = own.filter_map(|node| node.disk.checkpoints.get(&step));
                match found.find(|written| written.chain == chain).cloned() {
                    Some(written) => (step, chain, written.state),
                    None => {
                        return self.fail("S1", format!("nobody has the checkpoint of step {step} on disk"));
                    }
                }
            }
        };
        let Some(session) = self.session(index) else { return };
        session.loading += 1;
        let request = session.loading;
        self.note("origins loaded");
        self.after(20, Event::OriginLoaded { at, request, step, chain, state });
    }

    pub(super) fn origin_loaded(&mut self, at: Life, request: u64, step: u64, chain: Chain, state: &[u8]) {
        let index = node_index(at.node);
        let is_awaited = self.process(at).and_then(|process| process.session.as_ref());
        if is_awaited.is_none_or(|session| session.loading != request) {
            return;
        }
        self.install_joint(index, step, chain, state);
        if let Some(session) = self.session(index) {
            let model = session.model.clone();
            *session.machine.numbers_mut() = model;
        }
        self.feed(index, SyncInput::OriginLoaded { step, chain });
    }

    pub(super) fn computed(
        &mut self,
        at: Life,
        (round, took_ms): (u64, u64),
        step: u64,
        base: Chain,
        microbatch: u32,
    ) {
        if self.nodes[node_index(at.node)].device == Device::Hangs {
            let event = Event::Computed { at, round, step, base, microbatch, took_ms };
            return self.nodes[node_index(at.node)].unfinished.push(event);
        }
        if let Some(session) = self.process(at).and_then(|process| process.session.as_mut()) {
            session.work.microbatches_computed += 1;
            session.work.computing_us += took_ms * 1_000;
        }
        let fails = !self.calm && self.random.below(FAILS_ONE_IN) == 0;
        let session = self.process(at).and_then(|process| process.session.as_ref());
        let Some(session) = session.filter(|session| session.round == round && session.chain == base) else {
            return;
        };
        let index = node_index(at.node);
        if fails {
            self.note("computations failed");
            let (samples, reason) = (vec![microbatch], "not finite".to_owned());
            self.feed(index, SyncInput::ComputeFailed { step, base, microbatch });
            return self
                .tell_fact(index, ReportEvent::MicrobatchFailed { step, microbatch, samples, reason });
        }
        let contributions = session.model.compute(base, microbatch, 0);
        self.note("micro-batches computed");
        self.feed(index, SyncInput::Computed { step, base, microbatch, contributions });
    }

    /// The state as it is goes to disk; once it is durable it is told, and then that the member has halted.
    fn write_checkpoint(&mut self, index: usize, then: Option<Epoch>) {
        let Some(at) = self.nodes[index].process.as_ref().map(|process| process.life) else { return };
        let Some(session) = self.session(index) else { return };
        let (step, chain, state) = (session.step, session.chain, session.model.to_bytes());
        let delay_ms = (WRITE_MS + self.random.below(WRITE_MS)) as u64;
        self.after(delay_ms, Event::CheckpointSynced { at, step, chain, state, then });
    }

    pub(super) fn checkpoint_synced(
        &mut self,
        at: Life,
        step: u64,
        chain: Chain,
        state: Bytes,
        then: Option<Epoch>,
    ) {
        if self.process(at).is_none() {
            return self.note("checkpoints lost unsynced");
        }
        let index = node_index(at.node);
        let (digest, bytes) = (digest_of(&state), state.len() as u64);
        self.nodes[index].disk.checkpoints.insert(step, Written { chain, state });
        self.note("checkpoints written");
        self.tell_fact(
            index,
            ReportEvent::CheckpointWritten { step, chain, digest, manifest: ManifestId(digest.0), bytes },
        );
        let place = self.session(index).map(|session| session.machine.place());
        if let Some(epoch) = then
            && place.and_then(|place| place.view).is_some_and(|view| view.1 == epoch)
        {
            self.tell_fact(index, ReportEvent::Halted { step, chain, digest });
        }
    }
}

fn digest_of(state: &[u8]) -> Digest {
    Digest(*blake3::hash(state).as_bytes())
}
