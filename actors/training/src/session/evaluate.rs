//! How good the model is on samples it was not trained on.

use super::{Session, engine::Tested};
use crate::{
    batch::Batch,
    evaluation::Evaluation,
    layers::{IGNORED, RowScore},
    training_error::TrainingError,
};

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
        let mut evaluation = Evaluation::default();
        let samples = &self.held_out[cut(u64::from(slice))..cut(u64::from(slice) + 1)];
        for samples in samples.chunks(EVALUATION_SAMPLES) {
            self.evaluate_batch(samples, &mut evaluation)?;
        }
        Ok(evaluation)
    }

    pub(super) fn tested(&self) -> Tested<'_> {
        let average = self.spec.ema.map(|_| self.state.tested(&self.spec));
        Tested { parameters: &self.state.vectors.parameters, average }
    }

    fn evaluate_batch(&self, samples: &[u32], evaluation: &mut Evaluation) -> Result<(), TrainingError> {
        // Always the same shape, by repeating the last sample: another one could round otherwise.
        let mut shaped = samples.to_vec();
        shaped.resize(EVALUATION_SAMPLES, samples[samples.len() - 1]);
        let batch = self.batch(&shaped);
        let scores = self.engine.scores(self.tested(), &batch)?;
        let rows = samples.len() * batch.rows_per_sample();
        add(&batch, &scores[..rows], evaluation);
        Ok(())
    }
}

/// Counts rows that something is asked of.
fn add(batch: &Batch, scores: &[RowScore], evaluation: &mut Evaluation) {
    for (score, target) in scores.iter().zip(batch.targets()) {
        evaluation.correct += u64::from(score.is_correct);
        evaluation.loss_sum += score.loss;
        evaluation.total += u64::from(*target != IGNORED);
    }
}
