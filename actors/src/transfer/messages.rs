//! What the transfer thread is told, and what it tells.

use bytes::Bytes;
use thiserror::Error;
use tokio::sync::oneshot;
use traind_protocol::ids::{ChunkId, ManifestId, NodeId, StateId};
use traind_protocol::transfer::{Chunk, FetchProgress};
use traind_store::StoreError;

/// Inputs that may wait for the transfer thread: the pieces of all that is asked for at a time, and questions.
pub(super) const TRANSFER_INBOX_MAX: usize = 1024;

/// Results of file work that may wait for the transfer thread: as many as there are chunks in flight.
pub(super) const DONE_MAX: usize = 256;

/// Fetches that go on side by side; more wait in the order they came.
pub(super) const FETCHES_ACTIVE_MAX: usize = 4;

/// A damaged chunk that nobody gave within so long is not waited for, ms: fetches that can go on need its room.
pub(super) const CHUNK_MS_MAX: u64 = 60_000;

/// Fetches in all.
pub(super) const FETCHES_MAX: usize = 256;

/// Who may wait for one fetch.
pub(super) const WAITING_MAX: usize = 64;

/// Threads that read, hash and write chunks: one to serve, one to keep.
pub(super) const FILE_THREADS: usize = 2;

/// What is fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum What {
    /// A manifest and all its chunks.
    Manifest(ManifestId),
    /// One chunk whose file is damaged.
    Chunk(ChunkId),
    /// The state of a job, for this node as a joiner.
    State(StateId),
}

/// Somebody needs something here.
#[derive(Debug)]
pub struct Request {
    /// What.
    pub(super) what: What,
    /// Who may have it; all joined peers if empty.
    pub(super) sources: Vec<NodeId>,
    /// Who wants to know.
    pub(super) reply: Option<oneshot::Sender<Result<FetchSummary, FetchError>>>,
}

/// Inputs of the transfer thread.
#[derive(Debug)]
pub enum TransferInput {
    /// A frame of a peer.
    Frame {
        /// The authenticated sender.
        from: NodeId,
        /// Encoded header.
        header: Bytes,
        /// Payload.
        payload: Bytes,
    },
    /// Our sending path to a peer is new: what was asked before may be lost.
    PathOpened(NodeId),
    /// Somebody needs something here.
    Fetch(Request),
    /// A session needs a state.
    FetchState {
        /// Which.
        state: StateId,
        /// Its chunks.
        chunks: Vec<Chunk>,
        /// Whether those that were named before have it no more.
        only_these: bool,
        /// Who has it, and who wants to know.
        request: Request,
    },
    /// Nobody needs it any more.
    Forget(What),
    /// The file of a chunk is damaged.
    Damaged(ChunkId),
}

/// Why a fetch ended without all of it.
#[derive(Debug, Error)]
pub enum FetchError {
    /// The node stops.
    #[error("the node stops")]
    Stopped,
    /// Nobody needs it any more.
    #[error("it is not needed any more")]
    Forgotten,
    /// There is too much to fetch already.
    #[error("{fetches} fetches are under way or wait")]
    TooMany {
        /// How many.
        fetches: usize,
    },
    /// The disk.
    #[error("what was fetched cannot be kept")]
    Store(#[from] StoreError),
    /// The chunk belongs to no manifest here.
    #[error("no manifest names chunk {chunk}")]
    NoSuchChunk {
        /// The chunk.
        chunk: ChunkId,
    },
    /// Nobody who is connected has it.
    #[error("nobody who is connected gave it")]
    NoSource,
    /// A bug: the file work panicked.
    #[error("the file work panicked")]
    Panicked,
}

/// What a fetch that is done took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FetchSummary {
    /// Bytes of chunks that came and are kept.
    pub bytes: u64,
    /// Bytes that came beside them: twice, or not what they should be.
    pub bytes_wasted: u64,
}

/// A fetch, for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferStatus {
    /// What is fetched.
    pub what: What,
    /// How far it is; `None` while its manifest is asked for or it waits for others.
    pub progress: Option<FetchProgress>,
    /// Nodes that sent what they must not.
    pub distrusted: Vec<NodeId>,
}
