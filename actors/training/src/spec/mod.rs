//! What a job is: the text that people write and its checked form. One file per section that has grown.

mod checkpoint_spec;
mod data_spec;
mod evaluation_spec;
mod gpt2_spec;
mod job_spec;
mod llama_spec;
mod model_spec;
mod optimiser_spec;
mod schedule_spec;
mod sequential_spec;
mod spec_error;
mod table_reader;
#[cfg(test)]
mod tests;
mod text_spec;

pub(crate) use self::job_spec::STEPS;
pub use self::{
    checkpoint_spec::{BestMetric, CheckpointSpec},
    data_spec::{CsvSpec, DataSpec, LabelColumn},
    evaluation_spec::EvaluationSpec,
    gpt2_spec::{Gpt2Activation, Gpt2Spec},
    job_spec::{BatchSpec, EmaSpec, JobSpec, NodesSpec, PrecisionSpec},
    llama_spec::LlamaSpec,
    model_spec::ModelSpec,
    optimiser_spec::{DecaySpec, OptimiserSpec},
    schedule_spec::ScheduleSpec,
    sequential_spec::{LayerSpec, SequentialSpec},
    spec_error::{Problem, SpecError},
    text_spec::{TextKind, TextSpec},
};
