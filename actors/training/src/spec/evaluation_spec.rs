//! When the model is tested, and when that ends the job.

use std::ops::Range;

use serde::Serialize;

use super::{job_spec::STEPS, spec_error::SpecError, table_reader::TableReader};

/// Tests that a job may wait for a better one.
const PATIENCE: Range<u32> = 0..10_001;

/// When the model is tested on the held-out samples. It is always tested at the end.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct EvaluationSpec {
    /// Steps between tests, up to 10^9; 0 (the default) for none before the end.
    pub every_steps: u64,
    /// The job ends after so many tests without a better loss, up to 10,000; 0 (the default): it does not.
    pub patience: u32,
    /// How much lower a test's loss has to be to be better, in nats; finite, at least 0. Default 0.
    pub improvement_min: f64,
}

impl EvaluationSpec {
    pub(super) fn read(root: &TableReader<'_>) -> Result<Self, SpecError> {
        let table = root.section("evaluation", &["every_steps", "patience", "improvement_min"])?;
        let every_steps = table.integer("every_steps", 0..STEPS.end, Some(0))?;
        let patience = table.integer_u32("patience", PATIENCE, 0)?;
        if patience > 0 && every_steps == 0 {
            let allowed = "0, or more with evaluation.every_steps above 0";
            return Err(table.conflict("patience", patience.to_string(), allowed));
        }
        let is_improvement = |value: f64| value.is_finite() && value >= 0.0;
        let improvement_min =
            table.number("improvement_min", is_improvement, "a finite number from 0 on", 0.0)?;
        Ok(Self { every_steps, patience, improvement_min })
    }
}
