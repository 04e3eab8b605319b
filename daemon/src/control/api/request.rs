//! What can be asked, and the answers.

use serde::{Deserialize, Serialize};

use super::{ApiError, CheckpointRow, JobDetail, JobRow, NodeRow, Status};

/// What can be asked. A job is named by its id, a unique prefix of it, or its name if only one job has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Request {
    /// How the daemon and its swarm are.
    Status,
    /// All nodes of the ledger, live or not.
    NodeList,
    /// Answers [`Response::NodeList`] as soon as that many nodes are live. The server does this one by itself.
    NodeWait {
        /// Nodes that must be live.
        live: u32,
        /// Gives up after that many milliseconds.
        timeout_ms: u64,
    },
    /// Submits a job.
    JobSubmit {
        /// The job file's text.
        spec_toml: String,
    },
    /// All jobs, oldest first.
    JobList,
    /// Everything about one job.
    JobShow {
        /// The job.
        job: String,
    },
    /// Events of one job until it ended.
    JobFollow {
        /// The job.
        job: String,
    },
    /// Stops a job for good.
    JobCancel {
        /// The job.
        job: String,
    },
    /// Checkpoints in the ledger.
    CheckpointList {
        /// Of this job only.
        job: Option<String>,
    },
}

/// The answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Response {
    /// To [`Request::Status`].
    Status(Status),
    /// To [`Request::NodeList`] and [`Request::NodeWait`].
    NodeList {
        /// Sorted by friendly name.
        nodes: Vec<NodeRow>,
    },
    /// To [`Request::JobSubmit`]: the job is in the ledger.
    JobSubmitted {
        /// Its id.
        job: String,
        /// Its name.
        name: String,
    },
    /// To [`Request::JobList`].
    JobList {
        /// Oldest first.
        jobs: Vec<JobRow>,
    },
    /// To [`Request::JobShow`].
    JobDetail(JobDetail),
    /// To [`Request::JobCancel`]: the cancellation is in the ledger.
    JobCancelled {
        /// Its id.
        job: String,
    },
    /// To [`Request::CheckpointList`].
    CheckpointList {
        /// By job, oldest first.
        checkpoints: Vec<CheckpointRow>,
    },
    /// To anything that was refused.
    Error(ApiError),
}
