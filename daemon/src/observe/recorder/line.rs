//! Lines of `metrics.jsonl`.

use std::time::SystemTime;

use serde::{Deserialize, Deserializer, Serialize};

/// A line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MetricLine {
    /// What held-out samples gave.
    Evaluation(EvaluationLine),
    /// The job went back.
    Returned(ReturnedLine),
    /// A step. Last here, since the others have what it has and an `event`.
    Step(StepLine),
}

/// A stable step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StepLine {
    /// Steps applied, this one included.
    pub step: u64,
    /// Mean loss over the global batch; not a number is `null` in JSON.
    #[serde(deserialize_with = "number_or_null")]
    pub loss: f64,
    /// Learning rate.
    #[serde(deserialize_with = "number_or_null")]
    pub learning_rate: f64,
    /// Norm of the mean gradient before clipping.
    #[serde(deserialize_with = "number_or_null")]
    pub gradient_norm: f64,
    /// Members of the view when it was heard of.
    pub nodes: u32,
    /// Epoch of that view.
    pub view: u64,
    /// Incarnation of that view.
    pub lineage: u32,
    /// When it was heard of, RFC 3339 in UTC with milliseconds.
    pub at: String,
}

/// What held-out samples gave.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EvaluationLine {
    event: EvaluationWord,
    /// Steps applied.
    pub step: u64,
    /// Right answers.
    pub correct: u64,
    /// Samples asked.
    pub total: u64,
    /// Right answers per sample; `None` without samples.
    pub accuracy: Option<f64>,
    /// Mean loss over them, where it is known.
    pub loss: Option<f64>,
    /// Incarnation of the view.
    pub lineage: u32,
    /// When it was heard of, RFC 3339 in UTC with milliseconds.
    pub at: String,
}

/// Every line before this one with a later step is void.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReturnedLine {
    event: ReturnedWord,
    /// The step that the job goes on from.
    pub to_step: u64,
    /// Incarnation of the view that goes on.
    pub lineage: u32,
    /// When it was heard of, RFC 3339 in UTC with milliseconds.
    pub at: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum EvaluationWord {
    Evaluation,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum ReturnedWord {
    Returned,
}

impl MetricLine {
    /// The step of a point or an evaluation.
    #[must_use]
    pub fn step(&self) -> Option<u64> {
        match self {
            Self::Step(line) => Some(line.step),
            Self::Evaluation(line) => Some(line.step),
            Self::Returned(_) => None,
        }
    }

    /// Incarnation of the view.
    #[must_use]
    pub fn lineage(&self) -> u32 {
        match self {
            Self::Step(line) => line.lineage,
            Self::Evaluation(line) => line.lineage,
            Self::Returned(line) => line.lineage,
        }
    }

    pub(super) fn step_of(point: &super::StepPoint, note: &super::JobNote) -> Self {
        Self::Step(StepLine {
            step: point.step,
            loss: point.loss,
            learning_rate: point.learning_rate,
            gradient_norm: point.gradient_norm,
            nodes: note.nodes,
            view: note.view,
            lineage: note.lineage,
            at: timestamp(note.at),
        })
    }

    pub(super) fn evaluation_of(evaluation: &super::Evaluation, note: &super::JobNote) -> Self {
        Self::Evaluation(EvaluationLine {
            event: EvaluationWord::Evaluation,
            step: evaluation.step,
            correct: evaluation.correct,
            total: evaluation.total,
            accuracy: evaluation.accuracy(),
            loss: evaluation.loss,
            lineage: note.lineage,
            at: timestamp(note.at),
        })
    }

    pub(super) fn returned(to_step: u64, note: &super::JobNote) -> Self {
        let event = ReturnedWord::Returned;
        Self::Returned(ReturnedLine { event, to_step, lineage: note.lineage, at: timestamp(note.at) })
    }
}

fn timestamp(at: SystemTime) -> String {
    // What a clock before 1970 or after 9999 says is not worth an error.
    let latest = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(253_402_300_799);
    humantime::format_rfc3339_millis(at.clamp(SystemTime::UNIX_EPOCH, latest)).to_string()
}

fn number_or_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(deserializer)?.unwrap_or(f64::NAN))
}
