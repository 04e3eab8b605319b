//! The answers.

use serde::{Deserialize, Serialize};

#[cfg(doc)]
use super::Request;
use super::{
    ApiError, CheckpointDetail, CheckpointExport, CheckpointImported, CheckpointRow, CheckpointsPruned,
    ConfigEntry, DataDetail, DataRow, DataVerified, JobDetail, JobPlanned, JobRow, JobSamples, JobWhy,
    NodeDetail, NodeRef, NodeRow, Status, StoreCollected, StoreReport, VersionInfo,
};

/// The answers.
#[expect(clippy::large_enum_variant, reason = "one answer lives at a time, and not for long")]
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
    /// To [`Request::JobSubmit`] with `dry_run`: the job could be submitted.
    JobPlanned(JobPlanned),
    /// To [`Request::JobList`].
    JobList {
        /// Oldest first.
        jobs: Vec<JobRow>,
    },
    /// To [`Request::JobShow`].
    JobDetail(JobDetail),
    /// To [`Request::JobWhy`].
    JobWhy(JobWhy),
    /// To [`Request::JobSamples`].
    JobSamples(JobSamples),
    /// To [`Request::JobCancel`]: the cancellation is in the ledger.
    JobCancelled {
        /// Its id.
        job: String,
    },
    /// To [`Request::JobPause`]: the pause is in the ledger.
    JobPausing {
        /// Its id.
        job: String,
    },
    /// To [`Request::JobResume`]: the pause is no longer in the ledger.
    JobResumed {
        /// Its id.
        job: String,
    },
    /// To [`Request::CheckpointList`].
    CheckpointList {
        /// By job, oldest first.
        checkpoints: Vec<CheckpointRow>,
    },
    /// To [`Request::CheckpointShow`].
    CheckpointDetail(CheckpointDetail),
    /// To [`Request::CheckpointExport`]; the bytes of its files follow.
    CheckpointExport(CheckpointExport),
    /// To [`Request::CheckpointPin`]: it is in the ledger.
    CheckpointPinned(CheckpointRow),
    /// To [`Request::CheckpointPrune`].
    CheckpointsPruned(CheckpointsPruned),
    /// To [`Request::CheckpointImport`]: it is in the ledger.
    CheckpointImported(CheckpointImported),
    /// To [`Request::CheckpointRollback`]: the job is paused there.
    JobRolledBack {
        /// Its id.
        job: String,
        /// Stable steps before.
        from_step: u64,
        /// Stable steps now.
        step: u64,
    },
    /// To [`Request::NodeShow`], [`Request::NodeDrain`] and [`Request::NodeUndrain`].
    NodeDetail(Box<NodeDetail>),
    /// To [`Request::Leave`]: the node is no longer in the ledger, the daemon stops.
    Left {
        /// The node that was.
        node: NodeRef,
    },
    /// To [`Request::DataList`].
    DataList {
        /// By name.
        data: Vec<DataRow>,
    },
    /// To [`Request::DataAdd`]: it is in the ledger.
    DataAdded(DataRow),
    /// To [`Request::DataShow`].
    DataDetail(DataDetail),
    /// To [`Request::DataVerify`].
    DataVerified(DataVerified),
    /// To [`Request::DataRemove`]: it is no longer in the ledger.
    DataRemoved {
        /// Its name.
        name: String,
    },
    /// To [`Request::StoreStatus`].
    StoreStatus(StoreReport),
    /// To [`Request::StoreCollect`].
    StoreCollected(StoreCollected),
    /// To [`Request::StoreRebuildIndex`].
    StoreIndexRebuilt {
        /// Manifests that it was made from.
        manifests: u64,
    },
    /// To [`Request::ConfigShow`].
    Config {
        /// All settings, in the order of their explanation.
        entries: Vec<ConfigEntry>,
    },
    /// To [`Request::Version`].
    Version(VersionInfo),
    /// To anything that was refused.
    Error(ApiError),
}
