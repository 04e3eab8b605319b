//! Checkpoints: a table of all, everything about one, and what was exported.

use std::path::Path;

use super::facts;
use super::node::names;
use super::store;
use super::table::Column::{Always, Wide};
use super::table::table_in_width;
use super::units::{bytes, short};
use crate::control::api::{
    CheckpointDetail, CheckpointExport, CheckpointImported, CheckpointRow, CheckpointVerified,
    CheckpointsPruned, KeptReason,
};

/// `trainctl checkpoint ls`.
pub(super) fn checkpoints(checkpoints: &[CheckpointRow], is_wide: bool) -> String {
    table_in_width(
        [
            Always("JOB"),
            Always("ID"),
            Always("STEP"),
            Always("SIZE"),
            Always("HOLDERS"),
            Always("KEPT"),
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
                kept(checkpoint),
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
        ("kept", kept(row)),
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

/// Why a checkpoint is kept.
fn kept(row: &CheckpointRow) -> String {
    let words: Vec<&str> = row.kept.iter().copied().map(KeptReason::words).collect();
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}

/// `trainctl checkpoint pin` and `unpin`.
pub(super) fn pinned(row: &CheckpointRow) -> String {
    let is_pinned = row.kept.iter().any(|why| matches!(why, KeptReason::Pinned | KeptReason::SetAside));
    let state = if is_pinned { "pinned" } else { "not pinned" };
    format!("{}@{} is {state} (kept: {})\n", row.job_name, row.step, kept(row))
}

/// `trainctl checkpoint prune`.
pub(super) fn pruned(pruned: &CheckpointsPruned) -> String {
    let CheckpointsPruned { job_name, dry_run, removed, kept: stays, .. } = pruned;
    let verb = if *dry_run { "would forget" } else { "forgot" };
    let mut text = format!("{verb} {} checkpoints of {job_name}\n", removed.len());
    for row in removed {
        text.push_str(&format!(
            "  {verb} step {}, {} on {}\n",
            row.step,
            bytes(row.bytes),
            names(&row.holders)
        ));
    }
    for row in stays {
        text.push_str(&format!("  keeps step {}: {}\n", row.step, kept(row)));
    }
    text
}

/// `trainctl checkpoint verify`.
pub(super) fn verified(verified: &CheckpointVerified) -> String {
    let CheckpointVerified {
        job_name,
        step,
        digest,
        digest_matches,
        chunks,
        bytes: read,
        damaged,
        objects,
        ..
    } = verified;
    let name = format!("{job_name}@{step}");
    if verified.is_whole() {
        return format!(
            "{name} is whole on this node: {chunks} chunks read, {}, digest {digest}\n",
            bytes(*read)
        );
    }
    let mut text = format!("{name} cannot be restored from this node: {damaged} objects are damaged\n");
    if *digest_matches == Some(false) {
        text.push_str(&format!("  its state has not the digest {digest}\n"));
    }
    text.push_str(&store::objects(objects, *damaged));
    text.push_str(&format!("  next:  trainctl checkpoint ls {job_name} says who else has it\n"));
    text
}

/// `trainctl checkpoint import`.
pub(super) fn imported(imported: &CheckpointImported) -> String {
    match imported {
        CheckpointImported::Checkpoint(row) => {
            format!("{}@{} is on record again, and pinned\n", row.job_name, row.step)
        }
        CheckpointImported::Model { name, bytes: length, files } => format!(
            "imported {name} ({}, {}): trainctl job submit JOB.toml --from set:{name}\n",
            bytes(*length),
            files.join(", ")
        ),
    }
}
