//! What can be seen from outside: figures for Prometheus, curves for TensorBoard, lines of JSON, the latest log
//! records and events. Nothing here decides anything, and nothing here may hold training up.

mod append_file;
mod event_ring;
mod log_ring;
mod metrics;
mod recorder;
mod ring;
mod tensorboard;

pub use event_ring::{EVENTS_KEPT_MAX, EventRecord, EventRing};
pub use log_ring::{LOG_RECORD_BYTES_MAX, LOG_RECORDS_KEPT_MAX, LogRecord, LogRing, LogRingLayer};
pub use metrics::{
    JobMetrics, JobWork, METRICS, METRICS_CONNECTIONS_MAX, METRICS_REQUEST_BYTES_MAX, MetricKind, MetricSpec,
    MetricsServer, MetricsServerError, MetricsSnapshot, MetricsSource, P2P_PREFIX, render_openmetrics,
    render_text, resident_memory_bytes,
};
pub use recorder::{
    Evaluation, EvaluationLine, JOBS_KEPT_MAX, JobNote, JobRecorder, MetricLine, NOTES_QUEUED_MAX,
    PointsReader, Recorder, RecorderCounts, RecorderHandle, RecorderSettings, ReturnedLine, StepLine,
    StepPoint, job_directory, points_path, read_points, tensorboard_directory,
};
pub use ring::{FOLLOW_RECORDS_MAX, Ring, RingItem, RingReader, RingRecord};
pub use tensorboard::TensorboardWriter;
