//! When the model is tested.

use serde::Serialize;

use super::{job_spec::STEPS, spec_error::SpecError, table_reader::TableReader};

/// When the model is tested on the held-out samples. It is always tested at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct EvaluationSpec {
    /// Steps between tests, up to 10^9; 0 (the default) for none before the end.
    pub every_steps: u64,
}

impl EvaluationSpec {
    pub(super) fn read(root: &TableReader<'_>) -> Result<Self, SpecError> {
        let table = root.section("evaluation", &["every_steps"])?;
        Ok(Self { every_steps: table.integer("every_steps", 0..STEPS.end, Some(0))? })
    }
}
