//! Keeps the curves of jobs on disk: `DATA_DIR/jobs/ID/metrics.jsonl` and `DATA_DIR/jobs/ID/tensorboard/`.

mod job_note;
mod job_recorder;
mod line;
mod points_file;
mod points_reader;
mod recorder_thread;
mod retention;
mod settings;

use std::path::{Path, PathBuf};

use traind_protocol::ids::JobId;

pub use job_note::{Evaluation, JobNote, StepPoint};
pub use job_recorder::JobRecorder;
pub use line::{EvaluationLine, MetricLine, ReturnedLine, StepLine};
pub use points_reader::{PointsReader, read_points};
pub use recorder_thread::{NOTES_QUEUED_MAX, Recorder, RecorderCounts, RecorderHandle};
pub use retention::JOBS_KEPT_MAX;
pub use settings::RecorderSettings;

/// Name of the file of points.
const POINTS: &str = "metrics.jsonl";

/// Name of the directory of event files.
const TENSORBOARD: &str = "tensorboard";

/// Where the curves of a job are kept.
#[must_use]
pub fn job_directory(data_dir: &Path, job: JobId) -> PathBuf {
    jobs_directory(data_dir).join(job.to_hex())
}

/// The points of a job, for [`read_points`].
#[must_use]
pub fn points_path(data_dir: &Path, job: JobId) -> PathBuf {
    job_directory(data_dir, job).join(POINTS)
}

/// What `tensorboard --logdir` takes.
#[must_use]
pub fn tensorboard_directory(data_dir: &Path, job: JobId) -> PathBuf {
    job_directory(data_dir, job).join(TENSORBOARD)
}

fn jobs_directory(data_dir: &Path) -> PathBuf {
    data_dir.join("jobs")
}
