//! How good the model is on samples it was not trained on.

use candle_core::{Tensor, Var};

use super::Session;
use crate::{evaluation::Evaluation, layers::cross_entropy_losses, training_error::TrainingError};

/// Samples that are evaluated at once: enough to fill a matrix product, few enough for any memory.
pub(crate) const EVALUATION_SAMPLES: usize = 64;

impl Session {
    /// Loss and accuracy on all held-out samples at the current state.
    ///
    /// # Errors
    /// [`TrainingError::Compute`] if the tensor library fails. A loss that is not finite is reported as it is.
    pub fn evaluate(&mut self) -> Result<Evaluation, TrainingError> {
        self.evaluate_slice(0, 1)
    }

    /// Loss and accuracy on one of `slices` slices of the held-out samples: those from `total · slice / slices` to before
    /// `total · (slice + 1) / slices`, rounded down. A slice may be empty. Which slices they are cut into changes no
    /// sample's result, so the slices' `correct` and `total` add up to those of [`Self::evaluate`].
    ///
    /// # Errors
    /// [`TrainingError::NoSuchSlice`]; otherwise as [`Self::evaluate`].
    pub fn evaluate_slice(&mut self, slice: u32, slices: u32) -> Result<Evaluation, TrainingError> {
        if slice >= slices {
            return Err(TrainingError::NoSuchSlice { slice, slices });
        }
        let total = self.held_out.len() as u64;
        let cut = |slice: u64| (total * slice / u64::from(slices)) as usize;
        let parameters: Vec<Tensor> = self.variables.iter().map(Var::as_detached_tensor).collect();
        let mut evaluation = Evaluation::default();
        let samples = &self.held_out[cut(u64::from(slice))..cut(u64::from(slice) + 1)];
        for samples in samples.chunks(EVALUATION_SAMPLES) {
            self.evaluate_batch(&parameters, samples, &mut evaluation)?;
        }
        Ok(evaluation)
    }

    fn evaluate_batch(
        &self,
        parameters: &[Tensor],
        samples: &[u32],
        evaluation: &mut Evaluation,
    ) -> Result<(), TrainingError> {
        // Always the same shape, by repeating the last sample: another one could round otherwise.
        let mut shaped = samples.to_vec();
        shaped.resize(EVALUATION_SAMPLES, samples[samples.len() - 1]);
        let (logits, labels) = self.logits(parameters, &shaped)?;
        let losses =
            cross_entropy_losses(&logits, &labels).map_err(TrainingError::compute("held-out loss"))?;
        let rows = logits.to_vec2::<f32>().map_err(TrainingError::compute("held-out logits"))?;
        for ((row, label), loss) in rows.iter().zip(&labels).zip(losses).take(samples.len()) {
            evaluation.correct += u64::from(first_largest(row) == *label);
            evaluation.loss_sum += loss;
            evaluation.total += 1;
        }
        Ok(())
    }
}

/// Index of the largest value, the first of equal ones.
fn first_largest(values: &[f32]) -> u32 {
    let mut best = (0, f32::NEG_INFINITY);
    for (index, value) in (0u32..).zip(values) {
        if *value > best.1 {
            best = (index, *value);
        }
    }
    best.0
}
