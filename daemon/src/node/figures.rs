//! The figures that Prometheus scrapes.

use std::sync::Arc;

use futures::future::BoxFuture;
use traind_actors::council::Published;
use traind_protocol::ids::{Boot, NodeId};
use traind_protocol::ledger::JobRecord;

use super::api_views;
use super::backend::Backend;
use super::history::History;
use crate::observe::{JobMetrics, JobWork, MetricsSnapshot, MetricsSource, resident_memory_bytes};

/// Answers scrapes from what the control socket shows.
pub(super) struct Figures {
    /// The daemon.
    pub(super) backend: Arc<Backend>,
}

impl MetricsSource for Figures {
    fn snapshot(&self) -> BoxFuture<'static, MetricsSnapshot> {
        let backend = Arc::clone(&self.backend);
        Box::pin(async move { backend.metrics_snapshot() })
    }
}

/// Figures of all jobs, oldest first.
pub(super) fn jobs(published: &Published, history: &History, me: (NodeId, Boot)) -> Vec<JobMetrics> {
    let mut records: Vec<&JobRecord> = published.ledger.jobs.values().collect();
    records.sort_by_key(|record| record.order);
    records.into_iter().map(|record| job(record, history, me)).collect()
}

fn job(record: &JobRecord, history: &History, me: (NodeId, Boot)) -> JobMetrics {
    let past = history.job(record.id);
    let (point, tested) = (past.last_point(), api_views::evaluations(record).pop());
    let work = past.work.get(&me).copied().unwrap_or_default();
    let status = serde_json::to_value(api_views::job_status(record)).ok();
    JobMetrics {
        id: record.id.to_hex(),
        name: record.name.clone(),
        status: status.and_then(|status| status.as_str().map(str::to_owned)).unwrap_or_default(),
        step: api_views::stable_step(record, &past),
        steps: record.plan.steps,
        loss: past.last_loss(),
        learning_rate: point.map(|point| point.learning_rate),
        gradient_norm: point.map(|point| point.gradient_norm),
        evaluation_accuracy: tested.and_then(|tested| tested.accuracy),
        evaluation_loss: tested.and_then(|tested| tested.loss),
        members: record.view.as_ref().map_or(0, |view| view.members.len() as u64),
        epoch: record.view.as_ref().map_or(0, |view| view.epoch.0),
        view_changes: traind_protocol::ids::Epoch(record.epochs).count(),
        work: JobWork {
            microbatches_computed: work.microbatches_computed,
            microbatches_taken_over: work.microbatches_taken_over,
            exchange_bytes_sent: work.exchange_bytes_sent,
            steps_applied: work.steps_applied,
        },
        checkpoints: record.checkpoints.len() as u64,
        checkpoint_bytes: record.checkpoints.last().map(|entry| entry.bytes),
    }
}

impl Backend {
    /// How the daemon is at this moment, for a scrape.
    fn metrics_snapshot(&self) -> MetricsSnapshot {
        let status = self.present_status();
        let (published, history) = (self.published(), self.history());
        let actors = self.actors();
        MetricsSnapshot {
            version: status.version,
            numeric_class: status.numeric_class,
            uptime: std::time::Duration::from_millis(status.uptime_ms),
            nodes_live: u64::from(status.nodes_live),
            nodes_known: u64::from(status.nodes_known),
            council_term: status.term,
            is_coordinator: published.coordinator == Some(actors.node),
            jobs: jobs(&published, &history, (actors.node, actors.boot)),
            p2p: status.counters,
            recorder: self.recorder_counts(),
            resident_memory_bytes: resident_memory_bytes(),
        }
    }
}
