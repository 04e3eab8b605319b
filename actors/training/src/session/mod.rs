//! A session trains one job on one thread.

mod batch;
mod engine;
mod evaluate;
mod inference;
mod initial;
mod state_sample;

use std::ops::Range;

pub use self::state_sample::{SAMPLE_PIECES_MAX, StatePiece};
use self::{batch::Border, engine::Engine};
pub(crate) use self::{
    evaluate::EVALUATION_SAMPLES,
    initial::{initial_state, state_at_start},
};
use crate::{
    counter_rng::{CounterRng, Purpose},
    data::{self, DataSet, SampleOrder},
    data_facts::DataFacts,
    device,
    network::Gradients,
    optimiser::{Before, Change, Moving, NotFinite, update_from},
    parameter_layout::ParameterLayout,
    shared_vectors::Vectors,
    spec::JobSpec,
    state::{State, encoded_bytes},
    state_snapshot::{FadingSnapshot, StateSnapshot},
    training_error::TrainingError,
};

/// The state of one job and all that is needed to move it on. Sessions of equal jobs that applied equal gradients are
/// equal bit by bit, in every process of one numeric class.
pub struct Session {
    spec: JobSpec,
    layout: ParameterLayout,
    data: DataSet,
    facts: DataFacts,
    border: Border,
    order: SampleOrder,
    held_out: Vec<u32>,
    /// On the host whatever the device: updates, digests and snapshots are the same everywhere.
    state: State,
    /// Places of parameters that the weight decay is not for.
    lasting_places: Vec<Range<usize>>,
    /// What computes gradients.
    engine: Engine,
}

/// What a micro-batch gave beside its gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MicrobatchOutcome {
    /// Sum of the samples' losses, in nats.
    pub loss_sum: f64,
    /// How many samples it has.
    pub samples: u32,
}

/// What an update did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AppliedUpdate {
    /// Euclidean norm of the mean gradient, before any clipping. The same bits on every machine.
    pub gradient_norm: f64,
    /// The learning rate that the schedule gave.
    pub learning_rate: f64,
}

impl Session {
    /// The job at step 0: parameters from the seed, moments zero. `device` is `cpu` or, in a build with the feature `cuda`,
    /// `cuda:N`: there gradients are computed, while the state and its updates stay on the host. Computes one sample's gradient to see that every parameter
    /// gets one.
    ///
    /// # Errors
    /// A device that is unknown or cannot be opened, a broken data set, a model that does not take its images, parameters without a gradient.
    pub fn start(spec: &JobSpec, device: &str) -> Result<Self, TrainingError> {
        let device = device::open(device)?;
        let data = data::open(&spec.data)?;
        let facts = data.facts();
        let declarations = spec.model.declarations(&facts)?;
        let layout = ParameterLayout::new(&declarations);
        let state = initial_state(spec, &declarations, &layout);
        let lasting_places = layout.lasting_places(spec.weight_decay_of);
        let border = Border { width: spec.model.border(&facts)?, value: facts.black };
        let engine = Engine::new(spec, &facts, border, &layout, device, &state.vectors.parameters)?;
        let mut session = Self {
            border,
            order: SampleOrder::new(spec.seed, data.training()),
            held_out: data.held_out(),
            spec: spec.clone(),
            layout,
            data,
            facts,
            state,
            lasting_places,
            engine,
        };
        session.check_coverage()?;
        Ok(session)
    }

    /// Names, shapes and places of the parameters in the flat vector.
    #[must_use]
    pub fn layout(&self) -> &ParameterLayout {
        &self.layout
    }

    /// Updates applied so far.
    #[must_use]
    pub fn step(&self) -> u64 {
        self.state.step
    }

    /// The parameters, in the order of the layout.
    #[must_use]
    pub fn parameters(&self) -> &[f32] {
        &self.state.vectors.parameters
    }

    /// Length of [`Self::state`], in bytes.
    #[must_use]
    pub fn state_bytes(&self) -> u64 {
        encoded_bytes(self.layout.elements(), self.spec.kept_vectors()) as u64
    }

    /// The shape and size of the data set.
    #[must_use]
    pub fn data_facts(&self) -> &DataFacts {
        &self.facts
    }

    /// Samples that an epoch of the data has.
    #[must_use]
    pub fn epoch_samples(&self) -> usize {
        self.order.epoch_samples()
    }

    /// Computes one micro-batch at the current state: `out`, of the layout's length, becomes the SUM over its samples of
    /// d loss / d parameters.
    ///
    /// # Errors
    /// [`TrainingError::NotFinite`] if the loss or a gradient is not finite; an unknown micro-batch; a wrong length. `out` is
    /// then of no use.
    pub fn gradient(&mut self, microbatch: u32, out: &mut [f32]) -> Result<MicrobatchOutcome, TrainingError> {
        self.gradient_streamed(microbatch, out, |_| {})
    }

    /// As [`Self::gradient`]; `finished` is called while the backward pass goes on, with the places in `out` that are final, in
    /// all each place once. They are worth nothing if an error follows.
    ///
    /// # Errors
    /// As [`Self::gradient`].
    pub fn gradient_streamed(
        &mut self,
        microbatch: u32,
        out: &mut [f32],
        mut finished: impl FnMut(&[Range<usize>]) + Send,
    ) -> Result<MicrobatchOutcome, TrainingError> {
        let micro_batches = self.spec.batch.micro_batches;
        if microbatch >= micro_batches {
            return Err(TrainingError::NoSuchMicrobatch { microbatch, micro_batches });
        }
        self.check_length("gradient", out.len())?;
        self.order.prepare(self.position(self.state.step, microbatch));
        let samples = self.microbatch_samples(self.state.step, microbatch);
        let position = self.position_number(microbatch);
        let loss_sum = self.loss_and_gradient(&samples, position, out, &mut finished)?;
        let not_finite = |what: String| TrainingError::NotFinite {
            what,
            step: self.state.step,
            microbatch: Some(microbatch),
            samples: samples.clone(),
        };
        if !loss_sum.is_finite() {
            return Err(not_finite("loss".to_owned()));
        }
        if let Some(index) = first_not_finite(out) {
            return Err(not_finite(format!("gradient of {}", self.name_at(index))));
        }
        Ok(MicrobatchOutcome { loss_sum, samples: self.spec.batch.micro_batch_size })
    }

    /// One optimiser update with the mean gradient of the global batch, of the layout's length; the step grows by one.
    ///
    /// # Errors
    /// A wrong length; [`TrainingError::NotFinite`] if the gradient, or a parameter or moment after the update, is not
    /// finite. The state is then unchanged.
    pub fn apply(&mut self, mean_gradient: &[f32]) -> Result<AppliedUpdate, TrainingError> {
        self.check_length("mean gradient", mean_gradient.len())?;
        let step = self.state.step;
        let learning_rate = self.spec.learning_rate_at(step);
        let change = Change {
            optimiser: &self.spec.optimiser,
            learning_rate,
            step,
            average_decay: self.spec.ema.map(|ema| ema.decay),
            lasting_places: &self.lasting_places,
        };
        let State { vectors, moderate, .. } = &mut self.state;
        let updated = vectors.change(|before, after| {
            let before = before.map(|Vectors { parameters, moments }| Before { parameters, moments });
            let Vectors { parameters, moments } = after;
            update_from(&change, before, Moving { parameters, moments, moderate }, mean_gradient)
        });
        let gradient_norm = updated.map_err(|not_finite| {
            let what = match not_finite {
                NotFinite::Gradient { index } => format!("mean gradient of {}", self.name_at(index)),
                NotFinite::Update { index } => format!("update of {}", self.name_at(index)),
            };
            TrainingError::NotFinite { what, step, microbatch: None, samples: Vec::new() }
        })?;
        self.state.step += 1;
        self.assign_variables()?;
        Ok(AppliedUpdate { gradient_norm, learning_rate })
    }

    /// Everything that decides the future: header, step, parameters, moments. Equal states have equal bytes.
    #[must_use]
    pub fn state(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(encoded_bytes(self.layout.elements(), self.spec.kept_vectors()));
        self.state.encode(|piece| bytes.extend_from_slice(piece));
        bytes
    }

    /// The present state, for as long as anybody wants it. Takes no time: the next update is written beside what is held.
    #[must_use]
    pub fn snapshot(&self) -> StateSnapshot {
        StateSnapshot::of(&self.state)
    }

    /// The present state, for whoever wants to hold it before the next update.
    #[must_use]
    pub fn fading_snapshot(&self) -> FadingSnapshot {
        FadingSnapshot::of(&self.state)
    }

    /// Has memory made ready, beside this thread, for an update that follows a [`Self::snapshot`].
    pub fn prepare_update_beside(&mut self) {
        self.state.vectors.prepare();
    }

    /// Takes over what [`Self::state`] gave, on this or another node.
    ///
    /// # Errors
    /// [`TrainingError::Restore`] if the bytes are malformed or another job's. The state is then unchanged.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), TrainingError> {
        let moments = self.spec.kept_vectors();
        self.state = State::decode(bytes, self.state.fingerprint, self.layout.elements(), moments)
            .map_err(TrainingError::Restore)?;
        self.assign_variables()
    }

    /// Feeds the bytes of [`Self::state`] to `hasher` without building them.
    pub fn hash_into(&self, hasher: &mut blake3::Hasher) {
        self.state.encode(|piece| {
            hasher.update(piece);
        });
    }

    /// The ids of a micro-batch's samples: a pure function of the job's seed and batch, the step and the micro-batch.
    #[must_use]
    pub fn microbatch_samples(&self, step: u64, microbatch: u32) -> Vec<u32> {
        self.order.range(self.position(step, microbatch), self.spec.batch.micro_batch_size)
    }

    /// Where a micro-batch begins in the endless sequence of samples.
    fn position(&self, step: u64, microbatch: u32) -> u64 {
        step * self.spec.batch_samples() + u64::from(microbatch) * u64::from(self.spec.batch.micro_batch_size)
    }

    /// The number of a micro-batch among all of the job: what dropout draws from.
    fn position_number(&self, microbatch: u32) -> u64 {
        self.state.step * u64::from(self.spec.batch.micro_batches) + u64::from(microbatch)
    }

    /// One sample's gradient must reach every parameter and be finite.
    fn check_coverage(&mut self) -> Result<(), TrainingError> {
        let samples = self.order.range(0, 1);
        let mut gradient = vec![f32::NAN; self.layout.elements()];
        self.loss_and_gradient(&samples, 0, &mut gradient, &mut |_| {})?;
        let places = self.layout.places().iter();
        let bad = places.filter(|place| first_not_finite(&gradient[place.range()]).is_some());
        let parameters: Vec<String> = bad.map(|place| place.name.clone()).collect();
        if parameters.is_empty() { Ok(()) } else { Err(TrainingError::NotFiniteAtStart { parameters }) }
    }

    fn loss_and_gradient(
        &self,
        samples: &[u32],
        position: u64,
        out: &mut [f32],
        finished: &mut (dyn FnMut(&[Range<usize>]) + Send),
    ) -> Result<f64, TrainingError> {
        let batch = self.batch(samples);
        let randomness = CounterRng::new(self.spec.seed, Purpose::Dropout, position);
        let gradients = Gradients { out, randomness, finished, scale: 1.0 };
        let scores = self.engine.gradient(&self.state.vectors.parameters, &batch, gradients)?;
        let rows = batch.rows_per_sample() as f64;
        Ok(scores.iter().map(|score| score.loss).sum::<f64>() / rows)
    }

    fn assign_variables(&mut self) -> Result<(), TrainingError> {
        self.engine.assign(&self.state.vectors.parameters)
    }

    fn check_length(&self, what: &'static str, found: usize) -> Result<(), TrainingError> {
        let expected = self.layout.elements();
        if found == expected { Ok(()) } else { Err(TrainingError::Length { what, found, expected }) }
    }

    fn name_at(&self, index: usize) -> &str {
        self.layout.parameter_at(index).map_or("no parameter", |place| place.name.as_str())
    }
}

fn first_not_finite(values: &[f32]) -> Option<usize> {
    values.iter().position(|value| !value.is_finite())
}
