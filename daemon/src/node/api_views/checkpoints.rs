//! Checkpoints in the ledger, and why each is kept.

use std::collections::BTreeSet;

use traind_actors::council::Published;
use traind_protocol::ids::{JobId, NodeId};
use traind_protocol::ledger::{CheckpointEntry, JobRecord, KeptBecause};

use super::refs;
use crate::control::api::{CheckpointDetail, CheckpointRow, KeptReason};

/// Those of one job, oldest first, those set aside last; `keep` in the place of the job's own number.
pub(super) fn checkpoint_rows(
    published: &Published,
    record: &JobRecord,
    keep: Option<u32>,
) -> Vec<CheckpointRow> {
    let kept = published.ledger.kept(record, keep);
    let row = |entry: &CheckpointEntry, kept: Vec<KeptReason>| CheckpointRow {
        job: record.id.to_hex(),
        job_name: record.name.clone(),
        step: entry.step,
        digest: entry.digest.to_hex(),
        chain: entry.chain.to_hex(),
        manifest: entry.manifest.to_hex(),
        bytes: entry.bytes,
        holders: refs(entry.holders.iter().copied()),
        fetching: refs(entry.assigned.iter().copied()),
        replicas: record.plan.checkpoint_replicas,
        kept,
    };
    let reasons = |because: &BTreeSet<KeptBecause>| because.iter().copied().map(reason).collect();
    let of_lineage = record.checkpoints.iter().map(|entry| {
        let why = kept.get(&entry.step).map(reasons).unwrap_or_default();
        row(entry, why)
    });
    let keeping = published.ledger.keeping.get(&record.id);
    let aside = keeping.into_iter().flat_map(|keeping| &keeping.aside);
    of_lineage.chain(aside.map(|entry| row(entry, vec![KeptReason::SetAside]))).collect()
}

fn reason(because: KeptBecause) -> KeptReason {
    match because {
        KeptBecause::Newest => KeptReason::Newest,
        KeptBecause::Nth => KeptReason::Nth,
        KeptBecause::Best => KeptReason::Best,
        KeptBecause::Pinned => KeptReason::Pinned,
    }
}

/// Checkpoints of one job or of all.
pub(in crate::node) fn checkpoints(published: &Published, job: Option<JobId>) -> Vec<CheckpointRow> {
    let wanted = published.ledger.jobs.values().filter(|record| job.is_none_or(|job| job == record.id));
    wanted.flat_map(|record| checkpoint_rows(published, record, None)).collect()
}

/// Checkpoints of a job, and why they would be kept if so many of the newest were.
pub(in crate::node) fn checkpoints_kept(
    published: &Published,
    job: JobId,
    keep: Option<u32>,
) -> Vec<CheckpointRow> {
    let record = published.ledger.jobs.get(&job);
    record.map(|record| checkpoint_rows(published, record, keep)).unwrap_or_default()
}

/// One checkpoint of a job: that of `step`, or the newest.
pub(in crate::node) fn checkpoint(
    published: &Published,
    job: JobId,
    step: Option<u64>,
    me: NodeId,
) -> Option<CheckpointDetail> {
    let record = published.ledger.jobs.get(&job)?;
    let newest = record.checkpoints.last().map(|entry| entry.step);
    let step = step.or(newest)?;
    let row = checkpoint_rows(published, record, None).into_iter().find(|row| row.step == step)?;
    let me = me.to_hex();
    let local = row.holders.iter().any(|holder| holder.id == me);
    Some(CheckpointDetail { local, newest: Some(step) == newest, row })
}
