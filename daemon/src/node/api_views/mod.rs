//! Pure renderings of the ledger for the control socket.

mod checkpoints;
mod follow;
mod job;
mod nodes;
mod why;

use std::collections::{BTreeMap, BTreeSet};

use traind_actors::council::Published;
use traind_protocol::ids::NodeId;
use traind_protocol::ledger::{EvaluationEntry, JobRecord, JobStatus as LedgerStatus};
use traind_protocol::wire::control::EvaluationTotals;

use super::history::{History, JobHistory};
use crate::control::api::{
    Council, EvaluationPoint, JobResult, JobRow, JobStatus, JobSummary, NodeRef, Pause, Status,
};

pub(super) use checkpoints::{checkpoint, checkpoints, checkpoints_kept};
pub(super) use follow::{ended, progress, view_changed};
pub(super) use job::job_detail;
pub(super) use nodes::{NetworkFacts, node_detail, nodes};
pub(super) use why::job_why;

pub(super) fn refs(nodes: impl IntoIterator<Item = NodeId>) -> Vec<NodeRef> {
    nodes.into_iter().map(NodeRef::from).collect()
}

pub(in crate::node) fn job_status(record: &JobRecord) -> JobStatus {
    match record.status {
        LedgerStatus::Queued => JobStatus::Queued,
        LedgerStatus::Running if record.pausing.is_some() => JobStatus::Pausing,
        LedgerStatus::Running => JobStatus::Running,
        LedgerStatus::Paused { .. } => JobStatus::Paused,
        LedgerStatus::Refused { .. } => JobStatus::Refused,
        LedgerStatus::Done => JobStatus::Finished,
        LedgerStatus::Failed { .. } => JobStatus::Failed,
        LedgerStatus::Cancelled { .. } => JobStatus::Cancelled,
    }
}

/// Why a job waits, failed or was cancelled.
pub(super) fn reason(published: &Published, record: &JobRecord) -> Option<String> {
    match &record.status {
        // Only the coordinator knows what nodes have said of the job's data.
        LedgerStatus::Queued => published
            .ledger
            .job_queue_reason(record.id, &published.live)
            .or_else(|| why(published, record))
            .or_else(|| Some("waits for the nodes to check that they can run it".to_owned())),
        LedgerStatus::Running => why(published, record),
        LedgerStatus::Done => None,
        LedgerStatus::Failed { reason } => Some(reason.clone()),
        LedgerStatus::Paused { by } => Some(format!("paused by trainctl on {}", by.friendly_name())),
        LedgerStatus::Refused { by, reason } => Some(format!("refused by {}: {reason}", by.friendly_name())),
        LedgerStatus::Cancelled { by } => Some(format!("by trainctl on {}", by.friendly_name())),
    }
}

/// What the job waits for, as the coordinator said last.
fn why(published: &Published, record: &JobRecord) -> Option<String> {
    let waits = published.why.jobs.get(&record.id).filter(|waits| !waits.is_empty())?;
    Some(waits.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
}

/// Whether nothing but the nodes' checks stands between a queued job and its start.
pub(super) fn checking(published: &Published, record: &JobRecord) -> bool {
    record.status == LedgerStatus::Queued
        && published.ledger.job_queue_reason(record.id, &published.live).is_none()
}

/// Who paused a job that pauses or is paused.
pub(super) fn pause(record: &JobRecord) -> Option<Pause> {
    let by = match record.status {
        LedgerStatus::Paused { by } => Some(by),
        _ => record.pausing,
    };
    by.map(|by| Pause { by: by.into() })
}

/// The latest test on the held-out samples.
pub(in crate::node) fn evaluations(record: &JobRecord) -> Vec<EvaluationPoint> {
    let point = |entry: &EvaluationEntry| {
        let EvaluationTotals { correct, total, loss } = entry.totals;
        let accuracy = (total > 0).then(|| correct as f64 / total as f64);
        EvaluationPoint { step: entry.step, correct, total, accuracy, loss: Some(loss) }
    };
    record.evaluations.iter().map(point).collect()
}

pub(in crate::node) fn stable_step(record: &JobRecord, past: &JobHistory) -> u64 {
    match record.status {
        // All that was stable is committed then, and what was heard may be of a lineage that people gave up.
        LedgerStatus::Paused { .. } | LedgerStatus::Queued => record.committed_to().0,
        _ => record.committed_to().0.max(past.stable_step),
    }
}

pub(super) fn result(record: &JobRecord) -> Option<JobResult> {
    record.result.as_ref().map(|result| JobResult {
        digest: result.digest.to_hex(),
        chain: result.chain.to_hex(),
        test_correct: result.test_correct,
        test_total: result.test_total,
    })
}

/// One line of the list of jobs, for each job in the order of submission.
pub(in crate::node) fn jobs(published: &Published, history: &History) -> Vec<JobRow> {
    let mut records: Vec<&JobRecord> = published.ledger.jobs.values().collect();
    records.sort_by_key(|record| record.order);
    let row = |record: &JobRecord| {
        let past = history.job(record.id);
        JobRow {
            id: record.id.to_hex(),
            name: record.name.clone(),
            status: job_status(record),
            reason: reason(published, record),
            step: stable_step(record, &past),
            steps: record.plan.steps,
            loss: past.last_loss().or(record.result.as_ref().map(|result| result.loss)),
            nodes: count(record.view.as_ref().map_or(0, |view| view.members.len())),
            submitted_by: record.submitted_by.into(),
            checking: checking(published, record),
        }
    };
    records.into_iter().map(row).collect()
}

pub(super) fn count(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// How the swarm is; the caller adds what it alone knows of its own daemon.
pub(in crate::node) fn status(published: &Published, history: &History, me: NodeId) -> Status {
    let seats =
        |seats: &BTreeSet<_>| refs(seats.iter().filter_map(|&seat| published.ledger.node_of_seat(seat)));
    let running = published.ledger.running_job().map(|record| {
        let past = history.job(record.id);
        JobSummary {
            id: record.id.to_hex(),
            name: record.name.clone(),
            status: job_status(record),
            step: stable_step(record, &past),
            steps: record.plan.steps,
            loss: past.last_loss(),
            epoch: record.view.as_ref().map_or(0, |view| view.epoch.0),
            members: count(record.view.as_ref().map_or(0, |view| view.members.len())),
        }
    });
    Status {
        node: me.into(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        swarm: None,
        coordinator: published.coordinator.map(NodeRef::from),
        term: published.term,
        council: Council { voters: seats(&published.voters), learners: seats(&published.learners) },
        nodes_live: count(published.ledger.nodes.keys().filter(|node| published.live.contains(node)).count()),
        nodes_known: count(published.ledger.nodes.len()),
        job: running,
        jobs_queued: count(published.ledger.queued_jobs().len()),
        device: String::new(),
        threads: 0,
        numeric_class: String::new(),
        addresses: Vec::new(),
        data_dir: String::new(),
        uptime_ms: 0,
        counters: BTreeMap::new(),
    }
}
