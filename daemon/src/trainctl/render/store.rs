//! What is on a node's disk, and what is wrong with it.

use super::facts;
use super::units::bytes;
use crate::control::api::{DamagedFile, StoreCollected, StoreProgress, StoreReport, StoreVerified};

/// `trainctl store status`.
pub(super) fn report(report: &StoreReport) -> String {
    let mut lines = vec![
        ("data", report.data_dir.clone()),
        ("checkpoints", report.checkpoints.to_string()),
        ("data sets", report.data_sets.to_string()),
        ("chunks", format!("{}, {}", report.chunks, bytes(report.chunk_bytes))),
        ("free", bytes(report.available_bytes)),
    ];
    if report.incoming > 0 {
        lines.push(("incoming", format!("{} manifests whose chunks are still fetched", report.incoming)));
    }
    if report.unnamed > 0 {
        lines.push((
            "unnamed",
            format!(
                "{} chunks, {}: being written, or trainctl store gc",
                report.unnamed,
                bytes(report.unnamed_bytes)
            ),
        ));
    }
    if report.damaged > 0 {
        lines.push(("damaged", format!("{} chunks: trainctl store verify names them", report.damaged)));
    }
    facts(&lines)
}

/// How far `trainctl store verify` is.
pub(super) fn progress(progress: &StoreProgress) -> String {
    let StoreProgress { chunks, chunks_total, bytes: read } = progress;
    format!("{chunks} of {chunks_total} chunks read, {}\n", bytes(*read))
}

/// `trainctl store verify`.
pub(super) fn verified(verified: &StoreVerified) -> String {
    let StoreVerified { chunks, bytes: read, damaged, objects: objects_named } = verified;
    if *damaged == 0 {
        return format!("the store is whole: {chunks} chunks read, {}\n", bytes(*read));
    }
    format!("the store is damaged: {damaged} objects, {chunks} chunks read\n")
        + &objects(objects_named, *damaged)
        + "  next:  look at the disk; nodes that have these chunks give them again: trainctl events\n"
}

/// Damaged objects, a line each.
pub(super) fn objects(objects: &[DamagedFile], damaged: u64) -> String {
    let mut text = String::new();
    for object in objects {
        text.push_str(&format!("  {}: {}", object.file, object.damage));
        if !object.manifests.is_empty() {
            text.push_str(&format!(", named by {}", object.manifests.join(", ")));
        }
        text.push('\n');
    }
    let unnamed = damaged.saturating_sub(objects.len() as u64);
    if unnamed > 0 {
        text.push_str(&format!("  and {unnamed} more\n"));
    }
    text
}

/// `trainctl store gc`.
pub(super) fn collected(collected: &StoreCollected) -> String {
    let StoreCollected { dry_run, chunks, bytes: freed, manifests_damaged } = collected;
    let verb = if *dry_run { "would remove" } else { "removed" };
    let mut text = format!("{verb} {chunks} chunks that nothing names, {}\n", bytes(*freed));
    if *manifests_damaged > 0 {
        text.push_str(&format!(
            "{manifests_damaged} manifests are damaged: no chunk goes while they are there; trainctl store verify names them\n"
        ));
    }
    text
}
