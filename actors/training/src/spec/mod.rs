//! What a job is: the text that people write and its checked form.

mod job_spec;
mod spec_error;
mod table_reader;
#[cfg(test)]
mod tests;

pub(crate) use self::job_spec::STEPS;
pub use self::{
    job_spec::{BatchSpec, CheckpointSpec, DataSpec, JobSpec, ModelSpec, NodesSpec, OptimiserSpec},
    spec_error::{Problem, SpecError},
};
