//! What the model says of samples.

use candle_core::{Tensor, Var};

use super::Session;
use crate::training_error::TrainingError;

impl Session {
    /// The logits of samples of the job's data at the current parameters, in their order; one for each class.
    ///
    /// # Errors
    /// [`TrainingError::Compute`] if the tensor library fails.
    ///
    /// # Panics
    /// If the data have no such sample.
    pub fn infer(&self, samples: &[u32]) -> Result<Vec<Vec<f32>>, TrainingError> {
        let parameters: Vec<Tensor> = self.variables.iter().map(Var::as_detached_tensor).collect();
        let (logits, _) = self.logits(&parameters, samples)?;
        logits.to_vec2().map_err(TrainingError::compute("logits"))
    }
}
