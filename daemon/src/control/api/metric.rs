//! The course of a job in numbers.

use serde::{Deserialize, Serialize};

/// The numbers of one stable step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MetricPoint {
    /// Steps applied.
    pub step: u64,
    /// Mean loss over the global batch of that step.
    pub loss: f64,
    /// Learning rate of that step.
    pub learning_rate: Option<f64>,
    /// Norm of the whole mean gradient before clipping.
    pub gradient_norm: Option<f64>,
    /// What the held-out samples said after that step, if they were asked.
    pub evaluation: Option<EvaluationPoint>,
    /// When this daemon heard of it, RFC 3339 in UTC with milliseconds.
    pub at: Option<String>,
}

/// Totals over the held-out samples after one step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluationPoint {
    /// Steps applied.
    pub step: u64,
    /// Right answers.
    pub correct: u64,
    /// Samples asked.
    pub total: u64,
    /// Right answers per sample; `None` without samples.
    pub accuracy: Option<f64>,
    /// Mean loss over the samples, where the daemon knows it.
    pub loss: Option<f64>,
}
