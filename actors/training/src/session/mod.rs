//! A session trains one job on one thread.

mod flat;

use candle_core::{Device, Tensor, Var};

use crate::{
    counter_rng::{CounterRng, Purpose},
    data::{self, DataSet, SampleOrder},
    evaluation::Evaluation,
    layers::{cross_entropy_losses, cross_entropy_sum},
    models::Parameters,
    parameter_layout::ParameterLayout,
    sgd::Sgd,
    spec::{JobSpec, OptimiserSpec},
    state::{State, encoded_bytes, fingerprint},
    training_error::TrainingError,
};

/// Samples that are evaluated at once: enough to fill a matrix product, few enough for any memory.
const EVALUATION_SAMPLES: usize = 64;

/// The state of one job and all that is needed to move it on. Sessions of equal jobs that applied equal gradients are
/// equal bit by bit, in every process of one numeric class.
pub struct Session {
    spec: JobSpec,
    layout: ParameterLayout,
    data: DataSet,
    order: SampleOrder,
    sgd: Sgd,
    state: State,
    /// The parameters of `state` as candle's variables.
    variables: Vec<Var>,
}

/// What a micro-batch gave beside its gradient.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MicrobatchOutcome {
    /// Sum of the samples' losses, in nats.
    pub loss_sum: f64,
    /// How many samples it has.
    pub samples: u32,
}

/// Images `[samples, channels, height, width]` and their classes.
struct Batch {
    images: Tensor,
    labels: Vec<u32>,
}

impl Session {
    /// The job at step 0: parameters from the seed, no momentum. Computes one sample's gradient to see that every parameter
    /// gets one.
    ///
    /// # Errors
    /// An unknown device, a broken data set, parameters without a gradient.
    pub fn start(spec: &JobSpec, device: &str) -> Result<Self, TrainingError> {
        if device != "cpu" {
            return Err(TrainingError::UnknownDevice { device: device.to_owned() });
        }
        let data = data::open(&spec.data)?;
        let layout = ParameterLayout::new(&spec.model.declarations());
        let state = initial_state(spec, &layout);
        let variables =
            flat::variables(&layout, &state.parameters).map_err(TrainingError::compute("variables"))?;
        let OptimiserSpec::Sgd { .. } = spec.optimiser;
        let mut session = Self {
            order: SampleOrder::new(spec.seed, data.training()),
            sgd: Sgd::new(&spec.optimiser),
            spec: spec.clone(),
            layout,
            data,
            state,
            variables,
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
        &self.state.parameters
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
        let micro_batches = self.spec.batch.micro_batches;
        if microbatch >= micro_batches {
            return Err(TrainingError::NoSuchMicrobatch { microbatch, micro_batches });
        }
        self.check_length("gradient", out.len())?;
        self.order.prepare(self.position(self.state.step, microbatch));
        let samples = self.microbatch_samples(self.state.step, microbatch);
        let loss_sum = self.loss_and_gradient(&samples, out)?;
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
    /// A wrong length; [`TrainingError::NotFinite`] if the gradient, or a parameter or velocity after the update, is
    /// not finite. The state is then unchanged.
    pub fn apply(&mut self, mean_gradient: &[f32]) -> Result<(), TrainingError> {
        self.check_length("mean gradient", mean_gradient.len())?;
        let step = self.state.step;
        let not_finite =
            |what| TrainingError::NotFinite { what, step, microbatch: None, samples: Vec::new() };
        if let Some(index) = first_not_finite(mean_gradient) {
            return Err(not_finite(format!("mean gradient of {}", self.name_at(index))));
        }
        let State { parameters, velocities, .. } = &mut self.state;
        if let Err(index) = self.sgd.update(parameters, velocities, mean_gradient) {
            return Err(not_finite(format!("update of {}", self.name_at(index))));
        }
        self.state.step += 1;
        self.assign_variables()
    }

    /// Everything that decides the future: header, step, parameters, momentum. Equal states have equal bytes.
    #[must_use]
    pub fn state(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(encoded_bytes(self.layout.elements()));
        self.state.encode(|piece| bytes.extend_from_slice(piece));
        bytes
    }

    /// Takes over what [`Self::state`] gave, on this or another node.
    ///
    /// # Errors
    /// [`TrainingError::Restore`] if the bytes are malformed or another job's. The state is then unchanged.
    pub fn restore(&mut self, bytes: &[u8]) -> Result<(), TrainingError> {
        self.state = State::decode(bytes, self.state.fingerprint, self.layout.elements())
            .map_err(TrainingError::Restore)?;
        self.assign_variables()
    }

    /// Feeds the bytes of [`Self::state`] to `hasher` without building them.
    pub fn hash_into(&self, hasher: &mut blake3::Hasher) {
        self.state.encode(|piece| {
            hasher.update(piece);
        });
    }

    /// Loss and accuracy on the held-out samples at the current state.
    ///
    /// # Errors
    /// [`TrainingError::Compute`] if the tensor library fails. A loss that is not finite is reported as it is.
    pub fn evaluate(&mut self) -> Result<Evaluation, TrainingError> {
        let parameters: Vec<Tensor> = self.variables.iter().map(Var::as_detached_tensor).collect();
        let mut evaluation = Evaluation { correct: 0, total: 0, loss_mean: 0.0 };
        let mut loss_sum = 0.0;
        for samples in self.data.held_out().chunks(EVALUATION_SAMPLES) {
            let (logits, labels) = self.logits(&parameters, samples)?;
            let losses =
                cross_entropy_losses(&logits, &labels).map_err(TrainingError::compute("held-out loss"))?;
            loss_sum += losses.iter().sum::<f64>();
            let rows = logits.to_vec2::<f32>().map_err(TrainingError::compute("held-out logits"))?;
            let correct = rows.iter().zip(&labels).filter(|(row, label)| first_largest(row) == **label);
            evaluation.correct += correct.count() as u64;
            evaluation.total += samples.len() as u64;
        }
        evaluation.loss_mean = loss_sum / evaluation.total as f64;
        Ok(evaluation)
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

    fn check_coverage(&mut self) -> Result<(), TrainingError> {
        let samples = self.order.range(0, 1);
        let mut gradient = vec![0.0; self.layout.elements()];
        self.loss_and_gradient(&samples, &mut gradient).map(drop)
    }

    fn loss_and_gradient(&self, samples: &[u32], out: &mut [f32]) -> Result<f64, TrainingError> {
        let parameters: Vec<Tensor> =
            self.variables.iter().map(|variable| variable.as_tensor().clone()).collect();
        let (logits, labels) = self.logits(&parameters, samples)?;
        let losses = cross_entropy_losses(&logits, &labels).map_err(TrainingError::compute("loss"))?;
        let gradients = cross_entropy_sum(&logits, &labels)
            .and_then(|loss| loss.backward())
            .map_err(TrainingError::compute("backward pass"))?;
        flat::collect(&gradients, &self.variables, &self.layout, out)?;
        Ok(losses.iter().sum())
    }

    fn logits(&self, parameters: &[Tensor], samples: &[u32]) -> Result<(Tensor, Vec<u32>), TrainingError> {
        let Batch { images, labels } = self.batch(samples).map_err(TrainingError::compute("batch"))?;
        let parameters = Parameters::new(&self.layout, parameters);
        let logits = self.spec.model.forward(&parameters, &images);
        Ok((logits.map_err(TrainingError::compute("forward pass"))?, labels))
    }

    fn batch(&self, samples: &[u32]) -> candle_core::Result<Batch> {
        let [channels, height, width] = self.data.image_shape();
        let mut pixels = Vec::with_capacity(samples.len() * channels * height * width);
        for sample in samples {
            self.data.append_image(*sample, &mut pixels);
        }
        let images = Tensor::from_vec(pixels, (samples.len(), channels, height, width), &Device::Cpu)?;
        Ok(Batch { images, labels: samples.iter().map(|sample| self.data.label(*sample)).collect() })
    }

    fn assign_variables(&self) -> Result<(), TrainingError> {
        flat::assign(&self.layout, &self.state.parameters, &self.variables)
            .map_err(TrainingError::compute("variables"))
    }

    fn check_length(&self, what: &'static str, found: usize) -> Result<(), TrainingError> {
        let expected = self.layout.elements();
        if found == expected { Ok(()) } else { Err(TrainingError::Length { what, found, expected }) }
    }

    fn name_at(&self, index: usize) -> &str {
        self.layout.parameter_at(index).map_or("no parameter", |place| place.name.as_str())
    }
}

/// Step 0: each parameter from its own stream of random numbers, named by its name, so that it does not depend on the
/// others.
fn initial_state(spec: &JobSpec, layout: &ParameterLayout) -> State {
    let mut parameters = vec![0.0; layout.elements()];
    for declaration in spec.model.declarations() {
        let place = layout.places().iter().find(|place| place.name == declaration.name);
        let place = place.expect("the layout is made from the same declarations");
        let stream = stream_of(declaration.name);
        CounterRng::new(spec.seed, Purpose::Initialisation, stream)
            .fill_uniform(declaration.bound, &mut parameters[place.range()]);
    }
    let velocities = vec![0.0; layout.elements()];
    State { fingerprint: fingerprint(spec), step: 0, parameters, velocities }
}

/// The first eight bytes of the name's BLAKE3.
fn stream_of(name: &str) -> u64 {
    let hash = blake3::hash(name.as_bytes());
    let first = hash.as_bytes().first_chunk().expect("a BLAKE3 hash has 32 bytes");
    u64::from_le_bytes(*first)
}

fn first_not_finite(values: &[f32]) -> Option<usize> {
    values.iter().position(|value| !value.is_finite())
}

/// Index of the largest value, the first of equal ones.
fn first_largest(values: &[f32]) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (index, value) in (0u32..).zip(values) {
        if *value > best.1 {
            best = (index, *value);
        }
    }
    best.0
}
