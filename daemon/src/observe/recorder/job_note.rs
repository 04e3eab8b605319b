//! What the recorder is told.

use std::time::SystemTime;

use traind_protocol::ids::JobId;

/// A word on a running job. Words overlap: each says the latest points anew, so that a lost one does no harm.
#[derive(Clone, Debug, PartialEq)]
pub struct JobNote {
    /// The job.
    pub job: JobId,
    /// Incarnation of its views. A greater one may continue from an earlier step; words of smaller ones are late.
    pub lineage: u32,
    /// Epoch of its view.
    pub view: u64,
    /// Members of its view.
    pub nodes: u32,
    /// Stable steps. Points beyond are not recorded yet.
    pub stable_step: u64,
    /// The latest points, in any order.
    pub points: Vec<StepPoint>,
    /// The latest evaluations, in any order.
    pub evaluations: Vec<Evaluation>,
    /// When this was heard.
    pub at: SystemTime,
}

/// A training step in figures.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepPoint {
    /// Steps applied, this one included.
    pub step: u64,
    /// Mean loss over the global batch.
    pub loss: f64,
    /// Learning rate.
    pub learning_rate: f64,
    /// Norm of the mean gradient before clipping.
    pub gradient_norm: f64,
}

/// What the held-out samples gave after a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Evaluation {
    /// Steps applied.
    pub step: u64,
    /// Right answers.
    pub correct: u64,
    /// Samples asked.
    pub total: u64,
    /// Mean loss over them, where it is known.
    pub loss: Option<f64>,
}

impl Evaluation {
    /// Right answers per sample; `None` without samples.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of samples are far below 2^53")]
    pub fn accuracy(&self) -> Option<f64> {
        (self.total > 0).then(|| self.correct as f64 / self.total as f64)
    }
}
