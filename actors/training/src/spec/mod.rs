//! What a job is: the text that people write and its checked form.

mod data_spec;
mod job_spec;
mod spec_error;
mod table_reader;
#[cfg(test)]
mod tests;

pub(crate) use self::job_spec::STEPS;
pub use self::{
    data_spec::{CsvSpec, DataSpec, LabelColumn},
    job_spec::{BatchSpec, CheckpointSpec, JobSpec, ModelSpec, NodesSpec, OptimiserSpec},
    spec_error::{Problem, SpecError},
};
