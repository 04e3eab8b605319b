//! Models, data, optimisers and digests over candle. Knows no peers.
//!
//! A [`Session`] holds the state of one job: parameters, the optimiser's moments, step. [`Session::gradient`] computes the gradient
//! of one micro-batch at the current state, always in the same shape; [`Session::apply`] makes one optimiser
//! update from the mean gradient. Everything is a pure function of the [`JobSpec`] and the mean gradients applied so
//! far: the initial parameters and the order of samples come from the seed through a counter-based generator, and
//! neither the number of threads nor the process changes a bit. Unlike processors may: see [`numeric_class`].

mod batch;
mod composed;
mod counter_rng;
mod data;
mod data_facts;
mod device;
mod direct;
mod evaluation;
mod language;
mod large_vector;
mod layers;
mod memory;
mod memory_estimate;
mod models;
mod network;
mod numbers;
mod numeric_class;
mod optimiser;
mod parameter_layout;
mod portable;
mod session;
mod shared_vectors;
mod spec;
mod state;
mod state_snapshot;
mod step_samples;
mod threads;
mod training_error;

pub use data::{
    DataError, DataSet, DataSummary, Normalisation, TextError, Tokenizer, check_data, check_documents,
    set_tokenizer_cache,
};
pub use data_facts::DataFacts;
pub use device::{check_device, device_count};
pub use direct::{Decoder, DirectBatch, DirectTraining};
pub use evaluation::Evaluation;
pub use language::{LanguageModel, Sampling, TextEnd, open_tokenizer};
pub use memory_estimate::{memory_estimate_bytes, state_bytes};
pub use numbers::Real;
pub use numeric_class::numeric_class;
pub use parameter_layout::{ParameterLayout, ParameterPlace};
pub use portable::{
    BorderConfig, CONFIG_FILE, ExportFacts, ExportedModel, MODEL_FILE, ModelConfig, ModelSnapshot,
    PortableError, ProvenanceConfig, TOKENIZER_FILE, TensorProblem, export_model, export_state,
    import_parameters, initial_state, model_from_directory, refuse_pickle, verify_model,
};
pub use session::{AppliedUpdate, MicrobatchOutcome, SAMPLE_PIECES_MAX, Session, StatePiece};
pub use spec::{
    BatchSpec, BestMetric, CheckpointSpec, CsvSpec, DataSpec, DecaySpec, EmaSpec, EvaluationSpec,
    Gpt2Activation, Gpt2Spec, JobSpec, LabelColumn, LayerSpec, LlamaSpec, ModelSpec, NodesSpec,
    OptimiserSpec, PrecisionSpec, Problem, ScheduleSpec, SequentialSpec, SpecError, TextKind, TextSpec,
};
pub use state::StateError;
pub use state_snapshot::{FadingSnapshot, StateSnapshot};
pub use step_samples::{StepSamples, step_samples};
pub use threads::{ThreadSetting, prepare_threads, set_threads};
pub use training_error::TrainingError;
