//! How good a model is on samples it was not trained on.

use serde::Serialize;

/// Results over held-out samples: all of them, or one slice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Evaluation {
    /// Samples whose largest logit is their class's; of equal logits the first counts.
    pub correct: u64,
    /// Samples that were tested.
    pub total: u64,
    /// Sum of their cross-entropies, in nats.
    pub loss_sum: f64,
}

impl Evaluation {
    /// `correct / total`, from 0 to 1; NaN of no samples.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.total as f64
    }

    /// Mean cross-entropy, in nats; NaN of no samples.
    #[must_use]
    pub fn loss_mean(&self) -> f64 {
        self.loss_sum / self.total as f64
    }
}
