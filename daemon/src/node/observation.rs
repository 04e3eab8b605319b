//! What is kept of what happens: events, log lines, curves, figures for Prometheus. Nothing here decides anything.

use std::sync::Arc;
use std::time::SystemTime;

use anyhow::Context as _;
use tokio::sync::watch;
use traind_actors::council::{CouncilView, Published};
use traind_protocol::ids::JobId;
use traind_protocol::ledger::JobRecord;
use traind_protocol::wire::control::Progress;

use super::ledger_events::{LedgerEvent, between};
use crate::observe::{
    Evaluation, EventRecord, EventRing, JobNote, LogRing, Recorder, RecorderHandle, RecorderSettings,
    StepPoint,
};
use crate::settings::Settings;

/// Field of the log record that says that nothing more of its job will come.
pub(super) const LAST_OF_JOB: &str = "last_of_job";

/// What is kept, and who keeps it.
pub(super) struct Observation {
    /// Log records.
    pub(super) logs: LogRing,
    /// Events of the swarm.
    pub(super) events: EventRing,
    recorder: Recorder,
}

impl Observation {
    /// Starts to keep what `view` shows. Must be called on the actix system.
    ///
    /// # Errors
    /// When there is no thread for the recorder.
    pub(super) fn start(settings: &Settings, logs: LogRing, view: &CouncilView) -> anyhow::Result<Self> {
        let settings = RecorderSettings {
            data_dir: settings.data_dir.clone(),
            tensorboard: settings.metrics.tensorboard,
        };
        let recorder = Recorder::start(settings).context("starting the recorder of curves")?;
        let events = EventRing::new();
        actix::spawn(note_events(view.published.clone(), events.clone()));
        actix::spawn(note_progress(view.clone(), recorder.handle()));
        Ok(Self { logs, events, recorder })
    }

    /// Who writes curves.
    pub(super) fn recorder(&self) -> RecorderHandle {
        self.recorder.handle()
    }

    /// Writes what was noted so far.
    pub(super) async fn stop(self) {
        // A recorder that panicked has nothing more to write.
        let _ = tokio::task::spawn_blocking(move || self.recorder.stop()).await;
    }
}

/// Notes what happens; what concerns a job goes to the log too.
async fn note_events(mut published: watch::Receiver<Arc<Published>>, events: EventRing) {
    let mut before = published.borrow_and_update().clone();
    for event in between(&Published::default(), &before) {
        events.push(record(&event));
    }
    while published.changed().await.is_ok() {
        let after = published.borrow_and_update().clone();
        for event in between(&before, &after) {
            if let Some(job) = event.job {
                let has_ended = after.ledger.jobs.get(&job).is_none_or(JobRecord::has_ended);
                tracing::info!(job = %job, { LAST_OF_JOB } = has_ended, "{}", event.message);
            }
            events.push(record(&event));
        }
        before = after;
    }
}

fn record(event: &LedgerEvent) -> EventRecord {
    // A word of our own always serialises.
    let kind = serde_json::to_value(event.kind).ok().and_then(|kind| kind.as_str().map(str::to_owned));
    EventRecord {
        at: SystemTime::now(),
        kind: kind.unwrap_or_default(),
        message: event.message.clone(),
        node: event.node.map(|node| node.to_hex()),
        job: event.job.map(|job| job.to_hex()),
        step: event.step,
    }
}

/// Tells the recorder what the coordinator tells of running jobs, and of one that has ended its last evaluation.
async fn note_progress(view: CouncilView, recorder: RecorderHandle) {
    let (mut progress, published) = (view.progress, view.published);
    while progress.changed().await.is_ok() {
        let Some(progress) = progress.borrow_and_update().clone() else { continue };
        let evaluations = evaluations(&published.borrow(), progress.job);
        // A note that finds no room is said again by the next one.
        let _ = recorder.try_note(note(&progress, nodes(&published.borrow(), progress.job), evaluations));
    }
}

fn nodes(published: &Published, job: JobId) -> u32 {
    let view = published.ledger.jobs.get(&job).and_then(|record| record.view.as_ref());
    view.map_or(0, |view| u32::try_from(view.members.len()).unwrap_or(u32::MAX))
}

fn evaluations(published: &Published, job: JobId) -> Vec<Evaluation> {
    let record = published.ledger.jobs.get(&job);
    let entries = record.into_iter().flat_map(|record| &record.evaluations);
    let evaluation = |entry: &traind_protocol::ledger::EvaluationEntry| Evaluation {
        step: entry.step,
        correct: entry.totals.correct,
        total: entry.totals.total,
        loss: Some(entry.totals.loss),
    };
    entries.map(evaluation).collect()
}

fn note(progress: &Progress, nodes: u32, evaluations: Vec<Evaluation>) -> JobNote {
    let point = |point: &traind_protocol::wire::control::StepPoint| StepPoint {
        step: point.step,
        loss: point.loss,
        learning_rate: point.learning_rate,
        gradient_norm: point.gradient_norm,
    };
    JobNote {
        job: progress.job,
        lineage: progress.incarnation.0,
        view: progress.epoch.0,
        nodes,
        stable_step: progress.stable_step,
        points: progress.points.iter().map(point).collect(),
        evaluations,
        at: SystemTime::now(),
    }
}
