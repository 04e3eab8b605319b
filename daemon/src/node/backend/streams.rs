//! Answers that come line by line: logs, figures, events.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::mpsc;
use traind_actors::council::Published;
use traind_protocol::ids::{JobId, NodeId};
use traind_protocol::ledger::JobRecord;
use traind_protocol::wire::control::StepPoint;

use super::super::api_views;
use super::super::observation::LAST_OF_JOB;
use super::{Backend, find};
use crate::control::STREAM_ITEMS_MAX;
use crate::control::api::{
    ApiError, EvaluationPoint, EventKind, EventLine, LogLevel, LogLine, MetricPoint, NodeRef, Request,
    StreamItem,
};
use crate::observe::{
    EventRecord, LogRecord, MetricLine, Ring, RingItem, RingRecord, StepLine, points_path, read_points,
};

type Items = mpsc::Sender<StreamItem>;

impl Backend {
    /// Opens the stream that answers `request`.
    pub(super) fn open_stream(&self, request: Request) -> Result<mpsc::Receiver<StreamItem>, ApiError> {
        let (items, receiver) = mpsc::channel(STREAM_ITEMS_MAX);
        match request {
            Request::JobLogs { job, tail, follow } => {
                let published = self.published();
                let job = find(&published, &job)?;
                let follow = follow && !has_ended(&published, job);
                tokio::spawn(job_logs(self.facts.logs.clone(), self.actors.node, job, (tail, follow), items));
            }
            Request::Events { tail, follow } => {
                let events = self.facts.events.clone();
                tokio::spawn(stream(events, (tail, follow), items, |_| true, event_line, |_| false));
            }
            Request::JobMetrics { job, since_step, follow } => {
                let job = find(&self.published(), &job)?;
                tokio::spawn(self.clone().metrics(job, since_step.unwrap_or(0), follow, items));
            }
            Request::StoreVerify => return Ok(self.store_verify()),
            Request::CheckpointVerify { job, step } => {
                return self.checkpoint_verify(find(&self.published(), &job)?, step);
            }
            _ => return Err(ApiError::bad_request("this request is not answered by a stream")),
        }
        Ok(receiver)
    }

    /// First what is on disk, then steps as they become stable. A step that is tested later is said again with its test.
    async fn metrics(self, job: JobId, since_step: u64, follow: bool, items: Items) {
        let mut history = self.history.clone();
        let mut published = self.actors.view.published.clone();
        let (path, recorder) = (points_path(&self.data_dir, job), self.facts.recorder.clone());
        let recorded = tokio::task::spawn_blocking(move || {
            recorder.settle();
            // Nothing recorded yet is no error, and a file that cannot be read leaves what is in memory.
            read_points(&path, since_step).map(|points| points.flatten().collect::<Vec<_>>())
        });
        let recorded = recorded.await.ok().and_then(Result::ok).unwrap_or_default();
        let mut evaluations = evaluations(&published.borrow_and_update(), job);
        let mut last = since_step;
        for line in recorded {
            let MetricLine::Step(line) = line else { continue };
            last = last.max(line.step);
            let evaluation = evaluations.iter().find(|point| point.step == line.step).copied();
            if items.send(StreamItem::MetricPoint(recorded_point(line, evaluation))).await.is_err() {
                return;
            }
        }
        loop {
            let known = history.borrow_and_update().job(job);
            for point in known.points.range(last.saturating_add(1)..).map(|(_step, point)| point) {
                let evaluation = evaluations.iter().find(|tested| tested.step == point.step).copied();
                last = point.step;
                if items.send(StreamItem::MetricPoint(metric_point(point, evaluation))).await.is_err() {
                    return;
                }
            }
            if !follow || has_ended(&published.borrow_and_update(), job) {
                // A reader that is gone needs no end.
                let _ = items.send(StreamItem::StreamEnd).await;
                return;
            }
            tokio::select! {
                changed = history.changed() => if changed.is_err() { return },
                changed = published.changed() => if changed.is_err() { return },
                () = items.closed() => return,
            }
            let now = super::streams::evaluations(&published.borrow(), job);
            for tested in now.iter().filter(|tested| !evaluations.contains(tested) && tested.step <= last) {
                if let Some(point) = known.points.get(&tested.step)
                    && items.send(StreamItem::MetricPoint(metric_point(point, Some(*tested)))).await.is_err()
                {
                    return;
                }
            }
            evaluations = now;
        }
    }
}

async fn job_logs(logs: Ring<LogRecord>, node: NodeId, job: JobId, how: (Option<u64>, bool), items: Items) {
    let id = job.to_hex();
    let is_of_job = move |record: &LogRecord| record.is_of_job(&id);
    let line = move |record: &LogRecord| log_line(node, record);
    let is_last = |record: &LogRecord| record.fields.get(LAST_OF_JOB).is_some_and(|last| last == "true");
    stream(logs, how, items, is_of_job, line, is_last).await;
}

/// The newest records and, if wanted, those that come, until the last one or until nobody listens.
async fn stream<T: RingRecord>(
    ring: Ring<T>,
    (tail, follow): (Option<u64>, bool),
    items: Items,
    is_wanted: impl Fn(&T) -> bool,
    item: impl Fn(&T) -> StreamItem,
    is_last: impl Fn(&T) -> bool,
) {
    let count = tail.map_or(T::KEPT_MAX, |tail| usize::try_from(tail).unwrap_or(T::KEPT_MAX));
    let (kept, mut reader) = ring.follow(count, &is_wanted);
    for record in kept {
        if items.send(item(&record)).await.is_err() {
            return;
        }
    }
    let mut goes_on = follow;
    while goes_on {
        let next = tokio::select! {
            next = reader.next() => next,
            () = items.closed() => return,
        };
        let (told, ends) = match next {
            None => break,
            Some(RingItem::Missed(lines)) => (StreamItem::Skipped { lines }, false),
            Some(RingItem::Record(record)) if is_wanted(&record) => (item(&record), is_last(&record)),
            Some(RingItem::Record(_)) => continue,
        };
        if items.send(told).await.is_err() {
            return;
        }
        goes_on = !ends;
    }
    // A reader that is gone needs no end.
    let _ = items.send(StreamItem::StreamEnd).await;
}

fn has_ended(published: &Arc<Published>, job: JobId) -> bool {
    published.ledger.jobs.get(&job).is_none_or(JobRecord::has_ended)
}

fn evaluations(published: &Published, job: JobId) -> Vec<EvaluationPoint> {
    published.ledger.jobs.get(&job).map(api_views::evaluations).unwrap_or_default()
}

fn timestamp(at: SystemTime) -> String {
    humantime::format_rfc3339_millis(at).to_string()
}

fn log_line(node: NodeId, record: &LogRecord) -> StreamItem {
    StreamItem::LogLine(LogLine {
        at: timestamp(record.at),
        node: NodeRef::from(node),
        level: match record.level {
            tracing::Level::ERROR => LogLevel::Error,
            tracing::Level::WARN => LogLevel::Warn,
            tracing::Level::INFO => LogLevel::Info,
            tracing::Level::DEBUG => LogLevel::Debug,
            tracing::Level::TRACE => LogLevel::Trace,
        },
        target: record.target.clone(),
        message: record.message.clone(),
        fields: record
            .fields
            .iter()
            .filter(|(name, _)| *name != LAST_OF_JOB)
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect(),
    })
}

fn event_line(record: &EventRecord) -> StreamItem {
    let kind = serde_json::from_value(serde_json::Value::String(record.kind.clone()));
    let node = record.node.as_deref().and_then(NodeId::from_hex);
    StreamItem::EventLine(EventLine {
        at: timestamp(record.at),
        event: kind.unwrap_or(EventKind::Other),
        message: record.message.clone(),
        node: node.map(NodeRef::from),
        job: record.job.clone(),
        step: record.step,
    })
}

fn recorded_point(line: StepLine, evaluation: Option<EvaluationPoint>) -> MetricPoint {
    MetricPoint {
        step: line.step,
        loss: line.loss,
        learning_rate: Some(line.learning_rate),
        gradient_norm: Some(line.gradient_norm),
        evaluation,
        at: Some(line.at),
    }
}

fn metric_point(point: &StepPoint, evaluation: Option<EvaluationPoint>) -> MetricPoint {
    MetricPoint {
        step: point.step,
        loss: point.loss,
        learning_rate: Some(point.learning_rate),
        gradient_norm: Some(point.gradient_norm),
        evaluation,
        at: None,
    }
}
