//! What a session is told, and what it tells.

use bytes::Bytes;
use tokio::sync::oneshot;
use traind_protocol::ids::{Chain, Digest, JobId, ManifestId, NodeId, StateId};
use traind_protocol::sync::{StateOffer, SyncStatus};
use traind_protocol::view::View;
use traind_protocol::wire::control::WorkCounters;

/// Inputs of one session, in a queue of at most [`SESSION_INBOX_MAX`].
///
/// The network's reader waits while the queue is full, so a slow session slows its peers down and loses nothing.
#[derive(Debug)]
pub enum SessionInput {
    /// The council committed a view of the job.
    EnterView {
        /// The view.
        view: View,
        /// What its members fail together with, in their order.
        failure_labels: Vec<String>,
    },
    /// A frame of a peer's data connection.
    Frame {
        /// The authenticated sender.
        from: NodeId,
        /// Encoded header.
        header: Bytes,
        /// Payload.
        payload: Bytes,
    },
    /// A peer sent a frame that nobody may send, and lost its connection for it.
    Violated(NodeId),
    /// Our sending path to a peer is new: what was sent before may be lost.
    PathOpened(NodeId),
    /// Reports have to be said again: a new coordinator, or a new path to it.
    RepeatReports,
    /// A checkpoint is on disk.
    CheckpointWritten {
        /// Steps applied.
        step: u64,
        /// Its chain.
        chain: Chain,
        /// Its digest.
        digest: Digest,
        /// Its manifest.
        manifest: ManifestId,
        /// Length of the state.
        bytes: u64,
    },
    /// A checkpoint could not be written.
    CheckpointNotWritten {
        /// Steps applied.
        step: u64,
        /// What was wrong, in words.
        reason: String,
    },
    /// A state that was captured for joiners is cut, and its chunks are held.
    StateCut {
        /// Number of the capture.
        request: u64,
        /// Its name.
        id: StateId,
        /// Its chunks.
        offer: StateOffer,
    },
    /// The state that this node fetched as a joiner is whole.
    StateFetched(FetchedState),
    /// Steps after which the state is saved because it is time, by the ledger; they take the place of those told before.
    SaveAfter(Vec<u64>),
    /// What are you doing? The answer goes to the sender.
    Describe(oneshot::Sender<SessionDescription>),
    /// The job has ended or the daemon stops.
    Stop,
}

/// A state that has come in chunks.
#[derive(Debug)]
pub struct FetchedState {
    /// Its name.
    pub(super) id: StateId,
    /// Its bytes.
    pub(super) state: Bytes,
    /// The results of the step before it.
    pub(super) last: Vec<Bytes>,
}

/// Inputs that may wait for a session: a step's frames from 64 peers with a few parts each.
pub const SESSION_INBOX_MAX: usize = 4096;

/// Commands that may wait for a trainer; the driver keeps the rest, which the protocol bounds.
pub(super) const TRAINER_QUEUE_MAX: usize = 16;

/// Events of a trainer that may wait for the driver: it computes no further ahead than this.
pub(super) const TRAINER_EVENTS_MAX: usize = 16;

/// What a session is doing.
#[derive(Clone, Debug)]
pub struct SessionDescription {
    /// The job.
    pub job: JobId,
    /// State of the sync machine, waits included.
    pub sync: SyncStatus,
    /// What this process did for the job.
    pub work: WorkCounters,
    /// Messages of peers that were refused, by reason.
    pub refused: Vec<(&'static str, u64)>,
}
