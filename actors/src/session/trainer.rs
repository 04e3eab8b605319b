//! The trainer thread of a session: owns the model, computes micro-batches, applies results. It executes commands
//! strictly in order, so a computation always sees the state that the machine meant.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::mpsc;
use traind_averaging::{Grid, HeldOut, PartLayout, Totals, check_result, decode_result};
use traind_protocol::ids::{Chain, Digest, Epoch};
use traind_protocol::index_set::IndexSet;
use traind_protocol::wire::control::StepPoint;
use traind_protocol::wire::state_sample::StateSample;
use traind_training::{AppliedUpdate, JobSpec, Session, TrainingError};

use super::captured_state::CapturedState;
use super::early_stopping::EarlyStopping;
use super::present_state::PresentState;
use super::state;

/// What the trainer is told to do.
#[derive(Debug)]
pub(super) enum TrainerCommand {
    /// Compute the gradients of `microbatches` at the present state.
    Compute {
        /// Steps applied.
        step: u64,
        /// Chain of that state.
        base: Chain,
        /// Which ones.
        microbatches: IndexSet,
        /// Number of this command; [`CancelBelow`] skips older ones.
        generation: u64,
    },
    /// One optimiser update with the results of all parts.
    Apply {
        /// Steps applied afterwards.
        step: u64,
        /// Mean loss of the step, given back with the answer.
        loss: f64,
        /// Results, one per part.
        results: Vec<Bytes>,
    },
    /// Hold the present state for `purpose`.
    Capture {
        /// Given back with the state.
        purpose: CapturePurpose,
    },
    /// The present state is held: an update follows.
    PrepareUpdateBeside,
    /// Replace the state.
    Restore {
        /// Given back with the answer.
        request: u64,
        /// An encoded state.
        state: Bytes,
        /// The digest it must have, where one is known.
        digest: Option<Digest>,
    },
    /// Go back to step 0, to the state that the seed alone decides.
    Restart {
        /// Given back with the answer.
        request: u64,
    },
    /// Test the present state on the held-out samples.
    Evaluate,
}

/// Why a state is captured.
#[derive(Debug)]
pub(super) enum CapturePurpose {
    /// For a checkpoint of the state with this chain.
    Checkpoint {
        /// Steps applied.
        step: u64,
        /// Its chain.
        chain: Chain,
    },
    /// Of the state that a job stops at.
    Halt {
        /// The view that halts.
        epoch: Epoch,
        /// Steps applied.
        step: u64,
        /// Its chain.
        chain: Chain,
    },
    /// For a joiner; the number finds the request again.
    Snapshot {
        /// Number of the request.
        request: u64,
    },
}

/// What the trainer tells.
#[derive(Debug)]
pub(super) enum TrainerEvent {
    /// A micro-batch's gradient, quantised, one contribution per part.
    Computed {
        /// Steps applied.
        step: u64,
        /// Chain of the state it was computed from.
        base: Chain,
        /// Index within the step.
        microbatch: u32,
        /// Encoded contributions.
        contributions: Vec<Bytes>,
        /// What that took, rest included.
        took: Duration,
    },
    /// A micro-batch without a usable gradient.
    ComputeFailed {
        /// Steps applied.
        step: u64,
        /// Chain of the state.
        base: Chain,
        /// Index within the step.
        microbatch: u32,
        /// The ids of its samples.
        samples: Vec<u32>,
        /// What was wrong.
        reason: String,
    },
    /// A step was applied.
    Applied {
        /// The step in figures.
        point: StepPoint,
        /// What the state looks like.
        sample: StateSample,
    },
    /// A state is held.
    Captured {
        /// Why.
        purpose: CapturePurpose,
        /// The state.
        state: CapturedState,
        /// Its digest, where a job halts at it.
        digest: Option<Digest>,
    },
    /// The state was replaced.
    Restored {
        /// Number of the command.
        request: u64,
    },
    /// The present state was tested.
    Evaluated {
        /// Its digest.
        digest: Digest,
        /// Right answers.
        correct: u64,
        /// Held-out samples.
        total: u64,
    },
    /// The trainer cannot go on; its thread has ended.
    Failed(TrainerError),
}

/// Why a trainer ended.
#[derive(Debug, Error)]
pub enum TrainerError {
    /// The model or the optimiser failed.
    #[error("training failed while {doing}")]
    Training {
        /// What it was doing.
        doing: &'static str,
        /// The cause.
        #[source]
        source: TrainingError,
    },
    /// A result that all members hold does not decode.
    #[error("result of part {part} does not decode")]
    Result {
        /// Which part.
        part: u32,
        /// The cause.
        #[source]
        source: traind_averaging::CodecError,
    },
    /// A state to go on from is not one of this job.
    #[error("state cannot be restored: {reason}")]
    State {
        /// What is wrong with it.
        reason: String,
    },
    /// A bug: the code panicked.
    #[error("the trainer panicked while {doing}: {message}")]
    Panicked {
        /// What it was doing.
        doing: &'static str,
        /// The panic's message.
        message: String,
    },
}

/// Computations of a generation below this number are skipped.
pub(super) type CancelBelow = Arc<AtomicU64>;

/// Longest that a resting trainer does not look whether its computation is still wanted.
const REST_SLICE_MAX: Duration = Duration::from_millis(5);

/// Where the trainer computes, and how fast it may at most.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// Device, as `cpu` or `cuda:0`.
    pub(super) device: String,
    /// Least time from the begin of a micro-batch to its contributions; zero is no rest.
    pub(super) microbatch_time_min: Duration,
}

/// Everything the trainer thread owns.
pub(super) struct Trainer {
    spec: JobSpec,
    pace: Pace,
    session: Session,
    grid: Grid,
    stopping: EarlyStopping,
    layout: PartLayout,
    gradient: Vec<f32>,
    cancel_below: CancelBelow,
    present: PresentState,
    /// Number of the last command that replaced the state.
    restored: u64,
    events: mpsc::Sender<TrainerEvent>,
}

impl Trainer {
    /// A trainer of `spec` at that pace, whose `session` is at step 0.
    #[must_use]
    pub(super) fn new(
        (spec, pace, session): (JobSpec, Pace, Session),
        layout: PartLayout,
        (cancel_below, present): (CancelBelow, PresentState),
        events: mpsc::Sender<TrainerEvent>,
    ) -> Self {
        let (grid, stopping) = (Grid::new(&layout), EarlyStopping::new(&spec.evaluation));
        let gradient = vec![0.0; layout.elements()];
        let restored = 0;
        present.show(restored, &grid, stopping, &session);
        Self {
            spec,
            pace,
            session,
            grid,
            stopping,
            layout,
            gradient,
            cancel_below,
            present,
            restored,
            events,
        }
    }

    /// Executes commands until the channel closes or something cannot go on.
    pub(super) fn run(mut self, mut commands: mpsc::Receiver<TrainerCommand>) {
        while let Some(command) = commands.blocking_recv() {
            let doing = doing(&command);
            let outcome = catch_unwind(AssertUnwindSafe(|| self.execute(command))).unwrap_or_else(|panic| {
                Err(TrainerError::Panicked { doing, message: panic_message(&*panic) })
            });
            match outcome {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    // A closed channel means that the session has ended already and nobody needs to know.
                    let _ = self.events.blocking_send(TrainerEvent::Failed(error));
                    return;
                }
            }
        }
    }

    /// `Ok(false)` when nobody listens any more.
    fn execute(&mut self, command: TrainerCommand) -> Result<bool, TrainerError> {
        match command {
            TrainerCommand::Compute { step, base, microbatches, generation } => {
                Ok(self.compute(step, base, &microbatches, generation))
            }
            TrainerCommand::Apply { step, loss, results } => {
                self.present.hide();
                let update = self.apply(&results)?;
                self.show_state();
                let AppliedUpdate { learning_rate, gradient_norm } = update;
                let point = StepPoint { step, loss, learning_rate, gradient_norm };
                let sample = state::sample(&self.session);
                Ok(self.tell(TrainerEvent::Applied { point, sample }))
            }
            TrainerCommand::Capture { purpose } => {
                let state = CapturedState::of(&self.grid, self.stopping, &self.session);
                // In a halt no update follows that would need other memory.
                if !matches!(purpose, CapturePurpose::Halt { .. }) {
                    self.prepare_update_beside();
                }
                // Training does not wait: whoever writes a checkpoint computes its digest.
                let digest = matches!(purpose, CapturePurpose::Halt { .. })
                    .then(|| state::digest(&self.grid, self.stopping, &self.session));
                Ok(self.tell(TrainerEvent::Captured { purpose, state, digest }))
            }
            TrainerCommand::PrepareUpdateBeside => {
                self.prepare_update_beside();
                Ok(true)
            }
            TrainerCommand::Restore { request, state, digest } => {
                self.present.hide();
                self.restore(&state, digest)?;
                self.restored = request;
                self.show_state();
                Ok(self.tell(TrainerEvent::Restored { request }))
            }
            TrainerCommand::Restart { request } => {
                self.present.hide();
                self.restart()?;
                self.restored = request;
                self.show_state();
                Ok(self.tell(TrainerEvent::Restored { request }))
            }
            TrainerCommand::Evaluate => {
                let evaluation = self
                    .session
                    .evaluate()
                    .map_err(|source| TrainerError::Training { doing: "testing the model", source })?;
                let digest = state::digest(&self.grid, self.stopping, &self.session);
                let (correct, total) = (evaluation.correct, evaluation.total);
                Ok(self.tell(TrainerEvent::Evaluated { digest, correct, total }))
            }
        }
    }

    fn show_state(&self) {
        self.present.show(self.restored, &self.grid, self.stopping, &self.session);
    }

    /// After the last step no update follows that would need other memory.
    fn prepare_update_beside(&mut self) {
        if self.session.step() < self.spec.steps {
            self.session.prepare_update_beside();
        }
    }

    fn compute(&mut self, step: u64, base: Chain, microbatches: &IndexSet, generation: u64) -> bool {
        for microbatch in microbatches.iter() {
            if self.cancel_below.load(Ordering::Acquire) > generation {
                return true;
            }
            let began = Instant::now();
            let outcome = catch_unwind(AssertUnwindSafe(|| self.contributions(step, microbatch)))
                .unwrap_or_else(|panic| Err(format!("the computation panicked: {}", panic_message(&*panic))));
            self.rest(began, generation);
            let took = began.elapsed();
            let event = match outcome {
                Ok(contributions) => TrainerEvent::Computed { step, base, microbatch, contributions, took },
                Err(reason) => {
                    let samples = self.session.microbatch_samples(step, microbatch);
                    TrainerEvent::ComputeFailed { step, base, microbatch, samples, reason }
                }
            };
            if !self.tell(event) {
                return false;
            }
        }
        true
    }

    /// Leaves the device to others for what a computation that `began` then leaves of its least time, or until nobody
    /// wants it any more.
    fn rest(&self, began: Instant, generation: u64) {
        while self.cancel_below.load(Ordering::Acquire) <= generation {
            let left = self.pace.microbatch_time_min.saturating_sub(began.elapsed());
            if left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(REST_SLICE_MAX));
        }
    }

    fn contributions(&mut self, step: u64, microbatch: u32) -> Result<Vec<Bytes>, String> {
        let held_out = self.held_out(step, microbatch)?;
        let outcome = self.session.gradient(microbatch, &mut self.gradient).map_err(|error| match error {
            // Its place and samples are told beside the reason.
            TrainingError::NotFinite { what, .. } => format!("the {what} is not finite"),
            error => chain_of(&error),
        })?;
        let totals = Totals { samples: outcome.samples, loss_sum: outcome.loss_sum, held_out };
        (0..self.layout.parts())
            .map(|part| {
                let quantised = self.grid.quantise(part, &self.gradient, &totals);
                quantised.map(Bytes::from).map_err(|error| chain_of(&error))
            })
            .collect()
    }

    /// Where the state after `step` is to be tested, the micro-batch carries its slice of the test. So the totals are
    /// exact whoever computes what, and a node that dies takes no part of a test with it.
    fn held_out(&mut self, step: u64, microbatch: u32) -> Result<HeldOut, String> {
        let every = self.spec.evaluation.every_steps;
        if step == 0 || every == 0 || !step.is_multiple_of(every) {
            return Ok(HeldOut::default());
        }
        let slices = self.spec.batch.micro_batches;
        let evaluation = self.session.evaluate_slice(microbatch, slices).map_err(|error| chain_of(&error))?;
        let count = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        Ok(HeldOut {
            correct: count(evaluation.correct),
            total: count(evaluation.total),
            loss_sum: evaluation.loss_sum,
        })
    }

    fn apply(&mut self, results: &[Bytes]) -> Result<AppliedUpdate, TrainerError> {
        for (part, result) in (0u32..).zip(results) {
            let range = self.layout.range(part);
            decode_result(result, &mut self.gradient[range])
                .map_err(|source| TrainerError::Result { part, source })?;
            self.grid.advance(part, result).map_err(|source| TrainerError::Result { part, source })?;
        }
        if let Some(head) = results.first().and_then(|first| check_result(&self.layout, 0, first).ok()) {
            self.stopping.advance(&head);
        }
        self.session
            .apply(&self.gradient)
            .map_err(|source| TrainerError::Training { doing: "applying a step", source })
    }

    fn restart(&mut self) -> Result<(), TrainerError> {
        self.session = Session::start(&self.spec, &self.pace.device)
            .map_err(|source| TrainerError::Training { doing: "going back to step 0", source })?;
        self.grid = Grid::new(&self.layout);
        self.stopping.reset();
        Ok(())
    }

    fn restore(&mut self, bytes: &[u8], expected: Option<Digest>) -> Result<(), TrainerError> {
        let parts = state::split(bytes).map_err(|error| TrainerError::State { reason: error.to_string() })?;
        let grid = Grid::from_bytes(&self.layout, parts.grid)
            .map_err(|error| TrainerError::State { reason: chain_of(&error) })?;
        self.session
            .restore(parts.training)
            .map_err(|source| TrainerError::Training { doing: "restoring a state", source })?;
        self.grid = grid;
        if !self.stopping.restore(parts.stopping) {
            return Err(TrainerError::State { reason: "what its tests gave is malformed".to_owned() });
        }
        let found = state::digest(&self.grid, self.stopping, &self.session);
        match expected {
            Some(expected) if expected != found => Err(TrainerError::State {
                reason: format!("its digest is {found}, the ledger names {expected}"),
            }),
            _ => Ok(()),
        }
    }

    fn tell(&self, event: TrainerEvent) -> bool {
        self.events.blocking_send(event).is_ok()
    }
}

fn doing(command: &TrainerCommand) -> &'static str {
    match command {
        TrainerCommand::Compute { .. } => "computing gradients",
        TrainerCommand::Apply { .. } => "applying a step",
        TrainerCommand::Capture { .. } | TrainerCommand::PrepareUpdateBeside => "capturing the state",
        TrainerCommand::Restore { .. } => "restoring a state",
        TrainerCommand::Restart { .. } => "going back to step 0",
        TrainerCommand::Evaluate => "testing the model",
    }
}

/// An error and its causes in one line.
pub fn chain_of(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

/// The message of a panic, where it has one.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(ToString::to_string)
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
