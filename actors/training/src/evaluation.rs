//! How good a model is on samples it was not trained on.

use serde::Serialize;

/// Results over the held-out samples.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Evaluation {
    /// Samples whose largest logit is their class's; of equal logits the first counts.
    pub correct: u64,
    /// All held-out samples.
    pub total: u64,
    /// Mean cross-entropy, in nats.
    pub loss_mean: f64,
}

impl Evaluation {
    /// `correct / total`, from 0 to 1.
    #[must_use]
    pub fn accuracy(&self) -> f64 {
        self.correct as f64 / self.total as f64
    }
}
