//! Checkpoints: a table of all, everything about one, and what was exported.

use std::path::Path;

use super::facts;
use super::node::names;
use super::table::Column::{Always, Wide};
use super::table::table_in_width;
use super::units::{bytes, short};
use crate::control::api::{CheckpointDetail, CheckpointExport, CheckpointRow};

/// `trainctl checkpoint ls`.
pub(super) fn checkpoints(checkpoints: &[CheckpointRow], is_wide: bool) -> String {
    table_in_width(
        [
            Always("JOB"),
            Always("ID"),
            Always("STEP"),
            Always("SIZE"),
            Always("HOLDERS"),
            Wide("CHAIN"),
            Always("DIGEST"),
        ],
        is_wide,
        checkpoints.iter().map(|checkpoint| {
            let digest = &checkpoint.digest;
            [
                checkpoint.job_name.clone(),
                checkpoint.job.clone(),
                checkpoint.step.to_string(),
                bytes(checkpoint.bytes),
                names(&checkpoint.holders),
                checkpoint.chain.clone(),
                if is_wide { digest.clone() } else { short(digest) },
            ]
        }),
    )
}

/// `trainctl checkpoint show`.
pub(super) fn detail(detail: &CheckpointDetail) -> String {
    let CheckpointDetail { row, local, newest } = detail;
    let newest = if *newest { ", the newest" } else { "" };
    let held = if *local { " (this node too)" } else { " (not this node)" };
    let fetching = match row.fetching.as_slice() {
        [] => String::new(),
        nodes => format!("; {} to get it", names(nodes)),
    };
    facts(&[
        ("job", format!("{}  {}", row.job_name, row.job)),
        ("step", format!("{}{newest}", row.step)),
        ("size", bytes(row.bytes)),
        ("held by", format!("{}{held}{fetching}", names(&row.holders))),
        ("copies", format!("{} of {} wanted", row.holders.len(), row.replicas)),
        ("digest", row.digest.clone()),
        ("chain", row.chain.clone()),
        ("manifest", row.manifest.clone()),
    ])
}

/// `trainctl checkpoint export`.
pub(in super::super) fn exported(export: &CheckpointExport, directory: &Path) -> String {
    let files = export.files.iter().map(|file| format!("{} ({})", file.name, bytes(file.bytes)));
    format!(
        "exported {} at step {} to {}: {}\n",
        export.job_name,
        export.step,
        directory.display(),
        files.collect::<Vec<_>>().join(", ")
    )
}
