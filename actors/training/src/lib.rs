//! Models, data, optimisers and digests over candle. Knows no peers.
//!
//! A [`Session`] holds the state of one job: parameters, the optimiser's moments, step. [`Session::gradient`] computes the gradient
//! of one micro-batch at the current state, always in the same shape; [`Session::apply`] makes one optimiser
//! update from the mean gradient. Everything is a pure function of the [`JobSpec`] and the mean gradients applied so
//! far: the initial parameters and the order of samples come from the seed through a counter-based generator, and
//! neither the number of threads nor the process changes a bit. Unlike processors may: see [`numeric_class`].

mod counter_rng;
mod data;
mod data_facts;
mod device;
mod evaluation;
mod layers;
mod memory_estimate;
mod models;
mod numeric_class;
mod optimiser;
mod parameter_layout;
mod portable;
mod session;
mod spec;
mod state;
mod threads;
mod training_error;

pub use data::{DataError, DataSet, DataSummary, Normalisation, check_data};
pub use data_facts::DataFacts;
pub use device::{check_device, device_count};
pub use evaluation::Evaluation;
pub use memory_estimate::{memory_estimate_bytes, state_bytes};
pub use numeric_class::numeric_class;
pub use parameter_layout::{ParameterLayout, ParameterPlace};
pub use portable::{
    BorderConfig, CONFIG_FILE, ExportFacts, ExportedModel, MODEL_FILE, ModelConfig, ModelSnapshot,
    PortableError, ProvenanceConfig, TensorProblem, export_model, export_state, import_parameters,
    initial_state,
};
pub use session::{AppliedUpdate, MicrobatchOutcome, Session};
pub use spec::{
    BatchSpec, CheckpointSpec, CsvSpec, DataSpec, EvaluationSpec, JobSpec, LabelColumn, ModelSpec, NodesSpec,
    OptimiserSpec, Problem, ScheduleSpec, SpecError,
};
pub use state::StateError;
pub use threads::{ThreadSetting, prepare_threads, set_threads};
pub use training_error::TrainingError;
