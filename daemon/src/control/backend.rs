//! What the control server asks of the daemon behind it.

use std::path::PathBuf;

use futures::future::BoxFuture;
use tempfile::NamedTempFile;
use tokio::sync::{mpsc, watch};

use super::api::{ApiError, FollowEvent, Request, Response, StreamItem};

/// Events that wait for one slow follower; then the backend leaves out [`FollowEvent::Progress`], whose next one
/// says the same. A minute of a quick job's events.
pub const FOLLOW_EVENTS_MAX: usize = 256;

/// Lines of a stream that wait for one slow reader; then the backend leaves lines out and says so with
/// [`StreamItem::Skipped`].
pub const STREAM_ITEMS_MAX: usize = 256;

/// A job that is to be submitted.
#[derive(Debug)]
pub struct Submission {
    /// The job file's text.
    pub spec_toml: String,
    /// The model to start from.
    pub from: Option<StagedModel>,
    /// The imported model to start from, by name.
    pub from_imported: Option<String>,
    /// Whether the job is only checked.
    pub dry_run: bool,
}

/// A model file that a client has sent; its content is as the client meant it, and nothing else is known of it.
#[derive(Debug)]
pub struct StagedModel {
    /// The file, in [`ControlBackend::staging_directory`]; removed when this is dropped.
    pub file: NamedTempFile,
    /// Its length, bytes.
    pub bytes: u64,
    /// BLAKE3 of its bytes, in hexadecimal.
    pub blake3: String,
}

/// A checkpoint as files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Export {
    /// The job's id, in hexadecimal.
    pub job: String,
    /// The job's name.
    pub job_name: String,
    /// Steps applied.
    pub step: u64,
    /// Digest of the state that was exported.
    pub digest: String,
    /// Names without a directory, and contents.
    pub files: Vec<(String, Vec<u8>)>,
}

/// The daemon, as the control server sees it.
pub trait ControlBackend: Send + Sync + 'static {
    /// Answers one request that neither streams nor carries bytes: never called with [`Request::JobSubmit`],
    /// [`Request::JobFollow`], [`Request::JobLogs`], [`Request::JobMetrics`], [`Request::CheckpointExport`],
    /// [`Request::Events`], [`Request::StoreVerify`], [`Request::CheckpointVerify`], [`Request::NodeWait`] or [`Request::NodeDrainFollow`].
    fn handle(&self, request: Request) -> BoxFuture<'static, Result<Response, ApiError>>;

    /// Answers [`Request::JobSubmit`] with [`Response::JobSubmitted`] or, if `dry_run`, [`Response::JobPlanned`].
    fn submit(&self, submission: Submission) -> BoxFuture<'static, Result<Response, ApiError>>;

    /// Answers [`Request::CheckpointExport`]: of `job` (id, prefix or name) the checkpoint at `step` or the newest.
    fn export(&self, job: String, step: Option<u64>) -> BoxFuture<'static, Result<Export, ApiError>>;

    /// Where models that are sent are kept until [`Self::submit`] has read them: on a disk with room, removed by whoever
    /// cleans up after a crash.
    fn staging_directory(&self) -> PathBuf;

    /// Events of `job` (id, prefix or name): first its present state, last [`FollowEvent::Ended`], which is sent even
    /// to a slow follower. A dropped receiver means that nobody listens any more. The channel has room for
    /// [`FOLLOW_EVENTS_MAX`].
    fn follow_job(&self, job: String) -> BoxFuture<'static, Result<mpsc::Receiver<FollowEvent>, ApiError>>;

    /// Answers [`Request::JobLogs`], [`Request::JobMetrics`], [`Request::Events`], [`Request::StoreVerify`] and [`Request::CheckpointVerify`]: last [`StreamItem::StreamEnd`],
    /// which is sent even to a slow reader. A dropped receiver means that nobody listens any more. The channel has
    /// room for [`STREAM_ITEMS_MAX`].
    fn stream(&self, request: Request) -> BoxFuture<'static, Result<mpsc::Receiver<StreamItem>, ApiError>>;

    /// Lets the daemon stop: called when the client has the answer to [`Request::Leave`].
    fn stop(&self);

    /// A value that changes whenever the list of nodes may have: a node came, went, or changed its role.
    fn nodes_changed(&self) -> watch::Receiver<u64>;
}
