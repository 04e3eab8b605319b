//! Which samples went into a step.

use crate::data::{self, SampleOrder};
use crate::{JobSpec, TrainingError};

/// The samples of one step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StepSamples {
    /// Digest of the data that they are samples of.
    pub data_digest: [u8; 32],
    /// Samples of an epoch.
    pub epoch_samples: u64,
    /// Their ids, by micro-batch.
    pub micro_batches: Vec<Vec<u32>>,
}

/// The samples of the step that takes the state after `step` steps to the next: a pure function of the job and the number
/// of its data's samples, so any node that has the data can tell, at any time.
///
/// # Errors
/// [`TrainingError::DataSet`] when the data cannot be read.
pub fn step_samples(spec: &JobSpec, step: u64) -> Result<StepSamples, TrainingError> {
    let data = data::open(&spec.data)?;
    let mut order = SampleOrder::new(spec.seed, data.training());
    let size = spec.batch.micro_batch_size;
    let first = step * spec.batch_samples();
    order.prepare(first);
    let samples = |index: u32| order.range(first + u64::from(index) * u64::from(size), size);
    Ok(StepSamples {
        data_digest: data.summary().digest,
        epoch_samples: order.epoch_samples() as u64,
        micro_batches: (0..spec.batch.micro_batches).map(samples).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Session;

    #[test]
    fn they_are_those_that_a_session_trains_on() {
        let spec = JobSpec::parse(
            "name = \"a\"\nseed = 3\nsteps = 40\nmodel = \"lenet\"\ndata = \"digits\"\n\
             [batch]\nmicro_batches = 4\nmicro_batch_size = 24\n",
        )
        .unwrap();
        let session = Session::start(&spec, "cpu").unwrap();
        let mut seen = Vec::new();
        for step in 0..40 {
            let samples = step_samples(&spec, step).unwrap();
            for (index, ids) in (0..).zip(&samples.micro_batches) {
                assert_eq!(*ids, session.microbatch_samples(step, index), "step {step}, micro-batch {index}");
            }
            seen.extend(samples.micro_batches.into_iter().flatten());
        }
        let epoch = session.epoch_samples();
        assert!(seen.len() > 2 * epoch);
        for epoch in seen.chunks_exact(epoch) {
            let mut ids = epoch.to_vec();
            ids.sort_unstable();
            ids.dedup();
            assert_eq!(ids.len(), epoch.len(), "each sample once in each epoch");
        }
    }
}
