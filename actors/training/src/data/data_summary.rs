//! What a node says of its data before a job starts.

use super::{DataError, DataSet};
use crate::{
    spec::{DataSpec, JobSpec},
    training_error::TrainingError,
};

/// The facts about a data set that nodes compare and people read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataSummary {
    /// [`DataSet::digest`]: equal on all nodes of a job.
    pub digest: [u8; 32],
    /// Samples to train on.
    pub training: u64,
    /// Samples that are held out for the test.
    pub held_out: u64,
    /// Channels, height and width of a sample.
    pub shape: [usize; 3],
    /// Classes.
    pub classes: usize,
    /// Memory that the samples take, in bytes.
    pub bytes: u64,
}

/// Opens the data of a job as its sessions will, before there is one: what a node does when the job is submitted.
///
/// # Errors
/// [`TrainingError::DataSet`] with what is wrong with the files; a model that does not take such data.
pub fn check_data(spec: &JobSpec) -> Result<DataSummary, TrainingError> {
    let data = open(&spec.data)?;
    spec.model.declarations(&data.facts())?;
    Ok(data.summary())
}

/// [`DataSet::open`] with the error of a session.
pub(crate) fn open(spec: &DataSpec) -> Result<DataSet, TrainingError> {
    let failed = |source: DataError| TrainingError::DataSet { name: spec.kind(), source: Box::new(source) };
    DataSet::open(spec).map_err(failed)
}
