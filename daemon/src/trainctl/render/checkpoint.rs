//! Checkpoints as a table.

use super::node::names;
use super::table::table;
use super::units::{bytes, short};
use crate::control::api::CheckpointRow;

/// `trainctl checkpoint ls`.
pub(super) fn checkpoints(checkpoints: &[CheckpointRow]) -> String {
    table(
        ["JOB", "ID", "STEP", "SIZE", "HOLDERS", "CHAIN", "DIGEST"],
        checkpoints.iter().map(|checkpoint| {
            [
                checkpoint.job_name.clone(),
                checkpoint.job.clone(),
                checkpoint.step.to_string(),
                bytes(checkpoint.bytes),
                names(&checkpoint.holders),
                short(&checkpoint.chain),
                checkpoint.digest.clone(),
            ]
        }),
    )
}
