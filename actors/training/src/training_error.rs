//! What can go wrong in training.

use std::error::Error as StdError;

use thiserror::Error;

use crate::{portable::PortableError, state::StateError};

/// A failure of a [`Session`](crate::Session). None of them changes its state.
#[derive(Debug, Error)]
pub enum TrainingError {
    /// A device that this build cannot use.
    #[error("unknown device {device:?}, this build knows {}", crate::device::KNOWN)]
    UnknownDevice {
        /// As it was asked for.
        device: String,
    },
    /// A GPU that is not there or does not answer.
    #[error("cannot open the device {device}")]
    OpenDevice {
        /// As it was asked for.
        device: String,
        /// What the driver said.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// The data set is not what it should be.
    #[error("cannot load the data set {name}")]
    DataSet {
        /// Its name in job files.
        name: &'static str,
        /// What is wrong with it.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Data that the model does not take.
    #[error("model {model} takes {takes}, the data set has {data}")]
    ModelAndData {
        /// The model's name in job files.
        model: &'static str,
        /// What it takes.
        takes: &'static str,
        /// What the data set has.
        data: String,
    },
    /// A model that this build computes on the processor alone.
    #[error("model {model} is computed on the processor only: give the node device \"cpu\"")]
    ModelAndDevice {
        /// The model's name in job files.
        model: &'static str,
    },
    /// A precision that this build computes on the processor alone.
    #[error("precision bfloat16 is computed on the processor only: give the node device \"cpu\"")]
    PrecisionAndDevice,
    /// A batch that does not fit the model.
    #[error("the batch does not fit the model: {reason}")]
    Batch {
        /// Why.
        reason: String,
    },
    /// A tokenizer with more ids than the model has embeddings.
    #[error("the tokenizer has {tokens} ids, the model's table of embeddings {rows} rows: raise vocab_size")]
    Vocabulary {
        /// Ids of the tokenizer.
        tokens: usize,
        /// Rows of the table.
        rows: usize,
    },
    /// A sequence that is longer than the model's context.
    #[error(
        "sequences have {context} tokens, the model takes at most {positions}: shorten `sequence_tokens` of the data, or give the model more positions"
    )]
    Context {
        /// Tokens of a sequence.
        context: usize,
        /// The most that the model takes.
        positions: usize,
    },
    /// A text to go on with that the model's context has no room for, or that has no tokens.
    #[error("the prompt has {tokens} tokens, the model goes on with 1 to {}", .positions.saturating_sub(1))]
    Prompt {
        /// Tokens of the prompt.
        tokens: usize,
        /// The most that the model takes.
        positions: usize,
    },
    /// A layer of a list whose kernel or window is larger than what it gets.
    #[error("model.layers[{layer}] gets {}, which is too small for it", shape_text(.input))]
    LayerInput {
        /// Its number, from 0.
        layer: usize,
        /// Channels, height and width of what it gets.
        input: [usize; 3],
    },
    /// A model that is too large for any node.
    #[error(
        "the model has {parameters} parameters, at most {parameters_max} are allowed: use narrower or fewer layers"
    )]
    TooManyParameters {
        /// How many it has.
        parameters: u64,
        /// How many are allowed.
        parameters_max: u64,
    },
    /// The tensor library refused an operation.
    #[error("cannot compute the {operation}")]
    Compute {
        /// What was being computed.
        operation: &'static str,
        /// Why it failed.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Parameters that the loss does not depend on: they would stay as they are while the loss still falls.
    #[error("{} of the model's parameters get no gradient: {}", .parameters.len(), .parameters.join(", "))]
    NoGradient {
        /// Their names.
        parameters: Vec<String>,
    },
    /// Parameters whose first gradient is infinite or NaN: the job would fail in its first step.
    #[error(
        "the first gradients of {} of the model's parameters are not finite: {}",
        .parameters.len(), .parameters.join(", ")
    )]
    NotFiniteAtStart {
        /// Their names.
        parameters: Vec<String>,
    },
    /// A number that is infinite or NaN.
    #[error("the {what} is not finite at step {step}{}", where_of(.microbatch, .samples))]
    NotFinite {
        /// Which number, e.g. `loss` or `gradient of conv1.weight`.
        what: String,
        /// The step at which it was computed.
        step: u64,
        /// The micro-batch, where it is one's.
        microbatch: Option<u32>,
        /// The ids of that micro-batch's samples.
        samples: Vec<u32>,
    },
    /// A micro-batch that the job does not have.
    #[error("no micro-batch {microbatch}: a step has {micro_batches}")]
    NoSuchMicrobatch {
        /// Its number, from 0.
        microbatch: u32,
        /// How many there are.
        micro_batches: u32,
    },
    /// A slice of the held-out samples that does not exist.
    #[error("no slice {slice} of {slices}")]
    NoSuchSlice {
        /// Its number, from 0.
        slice: u32,
        /// How many there are.
        slices: u32,
    },
    /// A flat vector of another length than the layout's.
    #[error("the {what} has {found} elements instead of {expected}")]
    Length {
        /// Which vector.
        what: &'static str,
        /// Its length.
        found: usize,
        /// The layout's.
        expected: usize,
    },
    /// A model that a job cannot begin with.
    #[error("cannot begin with the parameters of that model")]
    Import(#[source] Box<PortableError>),
    /// Bytes that are no state of this job.
    #[error("cannot restore the state")]
    Restore(#[source] StateError),
}

fn where_of(microbatch: &Option<u32>, samples: &[u32]) -> String {
    match microbatch {
        Some(microbatch) => format!(", micro-batch {microbatch}, samples {samples:?}"),
        None => String::new(),
    }
}

fn shape_text([channels, height, width]: &[usize; 3]) -> String {
    format!("{channels}×{height}×{width}")
}

impl TrainingError {
    /// Wraps a failure of the tensor library.
    pub(crate) fn compute(operation: &'static str) -> impl Fn(candle_core::Error) -> Self {
        move |source| Self::Compute { operation, source: Box::new(source) }
    }
}
