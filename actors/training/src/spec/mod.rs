//! What a job is: the text that people write and its checked form. One file per section that has grown.

mod evaluation_spec;
mod job_spec;
mod model_spec;
mod optimiser_spec;
mod schedule_spec;
mod spec_error;
mod table_reader;
#[cfg(test)]
mod tests;

pub(crate) use self::job_spec::STEPS;
pub use self::{
    evaluation_spec::EvaluationSpec,
    job_spec::{BatchSpec, CheckpointSpec, DataSpec, JobSpec, NodesSpec},
    model_spec::ModelSpec,
    optimiser_spec::OptimiserSpec,
    schedule_spec::ScheduleSpec,
    spec_error::{Problem, SpecError},
};
