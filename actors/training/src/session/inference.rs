//! What the model says of samples.

use super::Session;
use crate::training_error::TrainingError;

impl Session {
    /// The logits of samples of the job's data at the current parameters (or their average, if the job has one), in their order; one for each class.
    ///
    /// # Errors
    /// [`TrainingError::Compute`] if the tensor library fails.
    ///
    /// # Panics
    /// If the data have no such sample.
    pub fn infer(&self, samples: &[u32]) -> Result<Vec<Vec<f32>>, TrainingError> {
        let batch = self.batch(samples);
        let logits = self.engine.logits(self.tested(), &batch)?;
        let classes = logits.len() / batch.targets().len().max(1);
        Ok(logits.chunks(classes.max(1)).map(<[f32]>::to_vec).collect())
    }
}
