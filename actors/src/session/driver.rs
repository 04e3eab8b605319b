//! The driver of one session: runs the sync machine's outputs in order, between the network, the trainer and the store.

use std::collections::{BTreeMap, VecDeque};
use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::mpsc;
use traind_protocol::ids::{Chain, JobId, NodeId};
use traind_protocol::index_set::IndexSet;
use traind_protocol::misdeed::Accusation;
use traind_protocol::sync::{
    SyncBody, SyncInput, SyncLimits, SyncMachine, SyncMessage, SyncOptions, SyncOutput,
};
use traind_protocol::transfer::STATE_BYTES_MAX;
use traind_protocol::view::View;
use traind_protocol::wire::control::{ReportEvent, StepPoint, WorkCounters};
use traind_protocol::wire::data::SYNC_PAYLOAD_BYTES_MAX;
use traind_protocol::wire::state_sample::StateSample;

use super::SharedWork;
use super::halted_state::HaltedState;
use super::handover::Handover;
use super::links::SessionLinks;
use super::messages::{SessionDescription, SessionInput};
use super::numbers::ExactNumbers;
use super::present_state::PresentState;
use super::reports::Reports;
use super::stalls::Outside;
use super::taken_over::leases_of_the_gone;
use super::trainer::{CancelBelow, CapturePurpose, TrainerCommand, TrainerError, TrainerEvent};
use super::writing::Writing;

/// Reports are repeated this often, in case one was lost with a connection. They are idempotent and small.
const REPORTS_REPEAT_MS: u64 = 1000;

/// Why a session ended before its job did.
#[derive(Debug, Error)]
pub enum SessionError {
    /// The job's description does not give a session on this node.
    #[error("the job cannot be started on this node: {reason}")]
    Start {
        /// What is wrong.
        reason: String,
    },
    /// The trainer ended.
    #[error("the trainer of the job ended")]
    Trainer(#[source] TrainerError),
    /// The checkpoint that the view starts from cannot be read here.
    #[error("the checkpoint of step {step} cannot be read: {reason}")]
    Origin {
        /// Its step.
        step: u64,
        /// What is wrong.
        reason: String,
    },
    /// The sums of a step cannot be trusted.
    #[error("the sums of the step are worthless: {reason}")]
    Sums {
        /// What is wrong.
        reason: String,
    },
    /// The trainer thread went away without a word.
    #[error("the trainer thread of the job is gone")]
    TrainerGone,
    /// A bug: the session's own thread panicked.
    #[error("the session panicked: {message}")]
    Panicked {
        /// The panic's message.
        message: String,
    },
}

/// What the driver needs to know about its job.
#[derive(Clone, Debug)]
pub(super) struct SessionPlan {
    /// Machine options.
    pub(super) sync: SyncOptions,
    /// A checkpoint every so many steps.
    pub(super) checkpoint_every: u64,
    /// Members that write each.
    pub(super) checkpoint_replicas: u32,
    /// What this process did for the job so far, in earlier sessions too.
    pub(super) work: SharedWork,
}

/// One job on one node.
pub(super) struct SessionDriver {
    pub(super) plan: SessionPlan,
    pub(super) machine: SyncMachine<ExactNumbers>,
    pub(super) layout: traind_averaging::PartLayout,
    pub(super) limits: SyncLimits,
    pub(super) links: SessionLinks,
    pub(super) trainer: mpsc::Sender<TrainerCommand>,
    /// Commands that the trainer has no room for yet; bounded by what one step can ask for.
    pub(super) waiting: VecDeque<TrainerCommand>,
    pub(super) cancel_below: CancelBelow,
    /// What the trainer has, between two changes.
    pub(super) present: PresentState,
    /// Number of the last request that replaced the trainer's state.
    pub(super) restored: u64,
    pub(super) generation: u64,
    pub(super) reports: Reports,
    /// The newest view, once there is one.
    view: Option<View>,
    /// Micro-batches of the step in progress whose holder was taken out while it lasts.
    pub(super) taken_over: IndexSet,
    pub(super) handover: Handover,
    /// Captures and restores asked of the trainer; its answers carry the number.
    pub(super) requests: u64,
    /// The origin that is being loaded: request, step, chain.
    pub(super) origin: Option<(u64, u64, Chain)>,
    pub(super) finished: Option<(u64, Chain)>,
    /// The latest step that the trainer has applied, in figures; the machine may be one step ahead.
    pub(super) point: Option<StepPoint>,
    /// What that state looks like, until it is told.
    pub(super) sample: Option<StateSample>,
    pub(super) halted: Option<HaltedState>,
    pub(super) writing: Writing,
    /// Chain of the state that the trainer has once it has worked off its commands.
    pub(super) chain: Chain,
    pub(super) refused: BTreeMap<&'static str, u64>,
    /// Set while this process is in no view.
    pub(super) outside: Option<Outside>,
}

impl SessionDriver {
    /// A driver whose machine is at step 0 and in no view.
    #[must_use]
    pub(super) fn new(
        plan: SessionPlan,
        (layout, evaluation): (traind_averaging::PartLayout, &traind_training::EvaluationSpec),
        links: SessionLinks,
        trainer: mpsc::Sender<TrainerCommand>,
        (cancel_below, present): (CancelBelow, PresentState),
    ) -> Self {
        let machine = SyncMachine::new(plan.sync.clone(), ExactNumbers::new(layout, evaluation));
        let limits = SyncLimits {
            microbatches: plan.sync.microbatches,
            parts: plan.sync.parts,
            payload_bytes_max: SYNC_PAYLOAD_BYTES_MAX,
            state_bytes_max: 2 * STATE_BYTES_MAX,
        };
        let reports = Reports::new(plan.sync.job, plan.sync.me.boot);
        let writing = Writing::new(&plan);
        Self {
            plan,
            machine,
            layout,
            limits,
            links,
            trainer,
            waiting: VecDeque::new(),
            cancel_below,
            present,
            restored: 0,
            generation: 0,
            reports,
            view: None,
            taken_over: IndexSet::new(),
            handover: Handover::default(),
            requests: 0,
            origin: None,
            finished: None,
            point: None,
            sample: None,
            halted: None,
            writing,
            chain: Chain::default(),
            refused: BTreeMap::new(),
            outside: None,
        }
    }

    /// Runs until it is told to stop.
    ///
    /// # Errors
    /// When the trainer ends or the origin of a view cannot be read; the node then needs a new life.
    pub(super) async fn run(
        mut self,
        mut inbox: mpsc::Receiver<SessionInput>,
        mut events: mpsc::Receiver<TrainerEvent>,
    ) -> Result<(), SessionError> {
        let mut repeat = tokio::time::interval(Duration::from_millis(REPORTS_REPEAT_MS));
        repeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let trainer = self.trainer.clone();
        loop {
            tokio::select! {
                biased;
                event = events.recv() => self.trained(event.ok_or(SessionError::TrainerGone)?)?,
                permit = trainer.reserve(), if !self.waiting.is_empty() => {
                    let permit = permit.map_err(|_closed| SessionError::TrainerGone)?;
                    if let Some(command) = self.waiting.pop_front() {
                        permit.send(command);
                    }
                }
                input = inbox.recv() => match input {
                    None | Some(SessionInput::Stop) => {
                        self.release_state();
                        return Ok(());
                    }
                    Some(input) => self.told(input)?,
                },
                _ = repeat.tick() => {
                    self.repeat_reports();
                    self.tell_wait();
                    self.offer_halted_state();
                    self.offer_final_state();
                }
            }
        }
    }

    fn told(&mut self, input: SessionInput) -> Result<(), SessionError> {
        match input {
            SessionInput::EnterView { view, failure_labels } => self.enter(view, failure_labels),
            SessionInput::Frame { from, header, payload } => self.frame(from, &header, payload),
            SessionInput::Violated(from) => {
                // There is nothing else to show: what was beyond the limits was not read.
                let evidence = *blake3::hash(&from.0).as_bytes();
                self.feed(SyncInput::Malformed { from, evidence })
            }
            SessionInput::PathOpened(peer) => {
                self.repeat_reports();
                self.feed(SyncInput::PathOpened(peer))
            }
            SessionInput::RepeatReports => {
                self.repeat_reports();
                Ok(())
            }
            SessionInput::CheckpointWritten { step, chain, digest, manifest, bytes } => {
                tracing::debug!(step, bytes, "checkpoint written");
                self.halt_written(step);
                self.writing.written(step);
                self.report(ReportEvent::CheckpointWritten { step, chain, digest, manifest, bytes });
                Ok(())
            }
            SessionInput::CheckpointNotWritten { step, reason } => {
                self.report(ReportEvent::CheckpointNotWritten { step, reason });
                Ok(())
            }
            SessionInput::StateCut { request, id, offer } => {
                self.state_cut(request, id, offer);
                Ok(())
            }
            SessionInput::StateFetched(fetched) => self.state_fetched(fetched),
            SessionInput::SaveAfter(steps) => {
                self.save_after(steps);
                Ok(())
            }
            SessionInput::Describe(reply) => {
                // Whoever asked may have gone meanwhile.
                let _ = reply.send(self.describe());
                Ok(())
            }
            SessionInput::Stop => Ok(()),
        }
    }

    fn frame(&mut self, from: NodeId, header: &[u8], payload: Bytes) -> Result<(), SessionError> {
        // Members end a job and begin the next one at different times; another job has other limits.
        if SyncMessage::job_of(header).is_some_and(|job| job != self.job()) {
            self.refuse("message of another job");
            return Ok(());
        }
        match SyncMessage::decode(header, payload.clone(), &self.limits) {
            Ok(message) => self.feed(SyncInput::Message { from, message }),
            Err(error) => {
                tracing::debug!(peer = %from.short(), %error, "frame is no message of the sync step");
                self.refuse("frame does not decode");
                let evidence = *blake3::Hasher::new().update(header).update(&payload).finalize().as_bytes();
                self.feed(SyncInput::Malformed { from, evidence })
            }
        }
    }

    fn enter(&mut self, view: View, failure_labels: Vec<String>) -> Result<(), SessionError> {
        self.writing.enter(view.clone(), failure_labels);
        if let Some(former) = self.view.replace(view.clone()) {
            self.taken_over.extend_from(&leases_of_the_gone(&former, &view));
        }
        let tenure = view.member(self.plan.sync.me).map(|member| member.tenure);
        self.reports.enter(&view, tenure);
        if tenure.is_some() {
            self.outside = None;
        }
        self.feed(SyncInput::EnterView(view))?;
        self.repeat_reports();
        Ok(())
    }

    fn trained(&mut self, event: TrainerEvent) -> Result<(), SessionError> {
        match event {
            TrainerEvent::Computed { step, base, microbatch, contributions, took } => {
                let is_taken_over = self.taken_over.contains(microbatch);
                self.count(|work| {
                    work.microbatches_computed += 1;
                    work.computing_us += u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
                    work.microbatches_taken_over += u64::from(is_taken_over);
                });
                self.feed(SyncInput::Computed { step, base, microbatch, contributions })
            }
            TrainerEvent::ComputeFailed { step, base, microbatch, samples, reason } => {
                tracing::warn!(step, microbatch, ?samples, reason, "micro-batch gave no usable gradient");
                self.report(ReportEvent::MicrobatchFailed { step, microbatch, samples, reason });
                self.feed(SyncInput::ComputeFailed { step, base, microbatch })
            }
            TrainerEvent::Applied { point, sample } => {
                self.point_known(point, sample);
                Ok(())
            }
            TrainerEvent::Captured { purpose, state, digest } => {
                self.captured(purpose, state, digest);
                Ok(())
            }
            TrainerEvent::Restored { request } => match self.origin.take_if(|origin| origin.0 == request) {
                Some((_request, step, chain)) => {
                    self.chain = chain;
                    self.feed(SyncInput::OriginLoaded { step, chain })
                }
                None => Ok(()),
            },
            TrainerEvent::Answered(request) => {
                self.answered(request);
                Ok(())
            }
            TrainerEvent::Evaluated { digest, correct, total } => {
                if let Some((step, chain)) = self.finished {
                    let event = ReportEvent::Finished {
                        step,
                        chain,
                        digest,
                        test_correct: correct,
                        test_total: total,
                    };
                    self.report(event);
                }
                Ok(())
            }
            TrainerEvent::Failed(error) => Err(SessionError::Trainer(error)),
        }
    }

    pub(super) fn feed(&mut self, input: SyncInput) -> Result<(), SessionError> {
        let mut outputs = Vec::new();
        self.machine.step(self.links.now(), input, &mut outputs);
        if let Some(reason) = self.machine.numbers().broken() {
            return Err(SessionError::Sums { reason });
        }
        for output in outputs {
            self.execute(output)?;
        }
        Ok(())
    }

    fn execute(&mut self, output: SyncOutput) -> Result<(), SessionError> {
        match output {
            SyncOutput::Send { to, message } => self.send(to, &message),
            SyncOutput::KeepState { snapshot } => self.keep_state(snapshot),
            SyncOutput::OfferState { to, snapshot } => self.offer_state(to, snapshot),
            SyncOutput::FetchState { offer, from, is_anew } => self.fetch_state(offer, from, is_anew),
            SyncOutput::ReleaseState => self.release_state(),
            SyncOutput::Compute { step, base, microbatches } => self.compute(step, base, microbatches),
            SyncOutput::Apply { step, chain, results } => self.apply(step, chain, results),
            SyncOutput::InstallState { step, chain, state } => {
                self.chain = chain;
                self.offer_fetched(step, chain);
                // It takes the place of an origin that is still being loaded.
                self.origin = None;
                let request = self.next_restore();
                self.command(TrainerCommand::Restore { request, state, digest: None });
            }
            SyncOutput::LoadOrigin(origin) => self.load_origin(origin)?,
            SyncOutput::Synced { step, chain, .. } => self.report(ReportEvent::Synced { step, chain }),
            SyncOutput::Applied { step, chain, .. } => self.report_applied(step, chain),
            SyncOutput::Finished { step, chain } => {
                self.finished = Some((step, chain));
                self.writing.finished();
                self.command(TrainerCommand::Evaluate);
            }
            SyncOutput::Halted { epoch, step, chain } => {
                tracing::info!(job = %self.job().short(), step, "halted");
                let purpose = CapturePurpose::Halt { epoch, step, chain };
                self.command(TrainerCommand::Capture { purpose });
            }
            SyncOutput::Evicted => {
                tracing::warn!(job = %self.job().short(), "this node was taken out of the view");
                self.step_outside();
            }
            SyncOutput::NeedView { epoch } => self.links.view_is_late(epoch),
            SyncOutput::Alarm { kind, with, step } => {
                tracing::error!(?kind, peer = %with.short(), step, "replicas differ");
            }
            SyncOutput::Accuse(accusation) => {
                let Accusation { of, misdeed, .. } = accusation;
                let name = of.node.friendly_name();
                tracing::error!(peer = %of.node.short(), name, ?misdeed, "a member sent what no honest one does");
                self.refuse("misdeed of a member");
                self.report(ReportEvent::Misbehaved(accusation));
            }
            SyncOutput::Refused { from, reason } => {
                tracing::debug!(peer = %from.short(), reason, "message of a peer refused");
                self.refuse(reason);
            }
            SyncOutput::CancelCompute => {
                self.generation += 1;
                self.cancel_below.store(self.generation, Ordering::Release);
            }
        }
        Ok(())
    }

    fn compute(&mut self, step: u64, base: Chain, microbatches: IndexSet) {
        let generation = self.generation;
        self.command(TrainerCommand::Compute { step, base, microbatches, generation });
    }

    pub(super) fn send(&mut self, to: NodeId, message: &SyncMessage) {
        let frame = message.encode();
        if matches!(message.body, SyncBody::Contribution { .. } | SyncBody::Result { .. }) {
            let bytes = frame.payload_bytes() as u64;
            self.count(|work| work.exchange_bytes_sent += bytes);
        }
        // A frame that cannot be queued is lost with its connection; PathOpened then tells the machine to say it again.
        if let Err(error) = self.links.send(to, frame) {
            tracing::debug!(peer = %to.short(), %error, "frame not sent");
        }
    }

    pub(super) fn command(&mut self, command: TrainerCommand) {
        if self.waiting.is_empty() {
            match self.trainer.try_send(command) {
                Ok(()) => {}
                Err(
                    mpsc::error::TrySendError::Full(command) | mpsc::error::TrySendError::Closed(command),
                ) => {
                    self.waiting.push_back(command);
                }
            }
        } else {
            self.waiting.push_back(command);
        }
    }

    pub(super) fn next_request(&mut self) -> u64 {
        self.requests += 1;
        self.requests
    }

    /// The number of a request that replaces the trainer's state.
    pub(super) fn next_restore(&mut self) -> u64 {
        self.restored = self.next_request();
        self.restored
    }

    pub(super) fn report(&mut self, event: ReportEvent) {
        let report = self.reports.record(event);
        self.links.report(report);
    }

    fn repeat_reports(&self) {
        for report in self.reports.repeat() {
            self.links.report(report);
        }
    }

    /// Counts what this process does for the job; the counters outlive the session.
    pub(super) fn count(&self, change: impl FnOnce(&mut WorkCounters)) {
        change(&mut self.plan.work.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn work(&self) -> WorkCounters {
        *self.plan.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn refuse(&mut self, reason: &'static str) {
        *self.refused.entry(reason).or_default() += 1;
    }

    pub(super) fn job(&self) -> JobId {
        self.plan.sync.job
    }

    fn describe(&self) -> SessionDescription {
        SessionDescription {
            job: self.job(),
            sync: self.machine.status(),
            work: self.work(),
            refused: self.refused.iter().map(|(&reason, &count)| (reason, count)).collect(),
        }
    }
}
