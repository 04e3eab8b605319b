//! The transfer actor: gets chunks from other nodes and gives them chunks, beside everything else.
//!
//! Hears: frames of kind transfer, one at a time, from the thread that routes frames; requests to fetch, from whoever needs
//! a manifest here. Tells: other nodes, through the bulk connections, where chunks give way to training; those who asked,
//! when all is here and checked. A thread of its own drives the machines of `traind_protocol::transfer`; files are read,
//! hashed and written on a few more.

mod connections;
mod driver;
mod fetching;
mod heard;
mod held;
mod messages;
mod serving;
mod states;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use tokio::sync::{mpsc, oneshot, watch};
use traind_protocol::ids::{ChunkId, ManifestId, NodeId, StateId};
use traind_protocol::transfer::Chunk;
use traind_store::Chunks;

use crate::clock::Clock;
use crate::replicas::Verdicts;
pub use held::HeldStates;
pub use messages::{FetchError, FetchSummary, TransferInput, TransferStatus, What};
use messages::{Request, TRANSFER_INBOX_MAX};

/// What moving chunks needs of the daemon.
pub struct TransferParts {
    /// This node.
    pub node: NodeId,
    /// The daemon's clock.
    pub clock: Clock,
    /// The network.
    pub network: traind_p2p::Handle,
    /// Where chunks are.
    pub chunks: Arc<Chunks>,
    /// Who is told what was found wrong with chunks.
    pub verdicts: Verdicts,
}

/// A handle of the running transfers. When the last one is dropped they end.
#[derive(Clone, Debug)]
pub struct Transfers {
    inbox: mpsc::Sender<TransferInput>,
    status: watch::Receiver<Vec<TransferStatus>>,
    frames_dropped: Arc<AtomicU64>,
    held: Arc<HeldStates>,
}

impl Transfers {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the operating system gives none.
    pub fn start(parts: TransferParts) -> std::io::Result<Self> {
        let (inbox, inputs) = mpsc::channel(TRANSFER_INBOX_MAX);
        let (told, status) = watch::channel(Vec::new());
        let frames_dropped = Arc::new(AtomicU64::new(0));
        let damaged = inbox.downgrade();
        parts.chunks.on_damage(Box::new(move |chunk| {
            // Left out while much goes on: whoever reads it again tells again.
            if let Some(inbox) = damaged.upgrade() {
                let _ = inbox.try_send(TransferInput::Damaged(chunk));
            }
        }));
        let held = Arc::new(HeldStates::default());
        driver::start(parts, inputs, told, (Arc::clone(&frames_dropped), Arc::clone(&held)))?;
        Ok(Self { inbox, status, frames_dropped, held })
    }

    /// Gets a manifest and its chunks from `sources`, all joined peers if none is named; returns when all of it is here.
    /// Whoever asks for the same again waits for the same fetch, and its sources are added.
    ///
    /// # Errors
    /// When the disk is full or fails, or the node stops. Sources that fail are made up for, however long that takes.
    pub async fn fetch(
        &self,
        manifest: ManifestId,
        sources: Vec<NodeId>,
    ) -> Result<FetchSummary, FetchError> {
        let (reply, answer) = oneshot::channel();
        let request = Request { what: What::Manifest(manifest), sources, reply: Some(reply) };
        self.inbox.send(TransferInput::Fetch(request)).await.map_err(|_closed| FetchError::Stopped)?;
        answer.await.unwrap_or(Err(FetchError::Stopped))
    }

    /// Gets the chunks of a state into [`Self::held`], which has begun it, from these members; returns when all are there.
    /// Whoever asks for the same again names more of them, or some that are to be asked anew; who asks for another state
    /// gives up the one before.
    ///
    /// # Errors
    /// When another is asked for, it is forgotten or the node stops.
    pub async fn fetch_state(
        &self,
        state: StateId,
        chunks: Vec<Chunk>,
        sources: Vec<NodeId>,
        only_these: bool,
    ) -> Result<FetchSummary, FetchError> {
        let (reply, answer) = oneshot::channel();
        let request = Request { what: What::State(state), sources, reply: Some(reply) };
        let input = TransferInput::FetchState { state, chunks, only_these, request };
        self.inbox.send(input).await.map_err(|_closed| FetchError::Stopped)?;
        answer.await.unwrap_or(Err(FetchError::Stopped))
    }

    /// Nobody needs this state any more.
    pub fn forget_state(&self, state: StateId) {
        // A fetch that goes on keeps nothing, and ends when another state is asked for.
        let _ = self.inbox.try_send(TransferInput::Forget(What::State(state)));
        self.held.release(state);
    }

    /// The chunks of states that are here.
    #[must_use]
    pub fn held(&self) -> &Arc<HeldStates> {
        &self.held
    }

    /// Nobody needs this manifest any more. What has come of it stays in the store as it is.
    pub fn forget(&self, manifest: ManifestId) {
        // A fetch that goes on does no harm.
        let _ = self.inbox.try_send(TransferInput::Forget(What::Manifest(manifest)));
    }

    /// A chunk whose file is damaged is to be got anew from any node.
    pub fn repair(&self, chunk: ChunkId) {
        // Whoever finds it again asks again.
        let _ = self.inbox.try_send(TransferInput::Damaged(chunk));
    }

    /// What is fetched now, and how far it is; a quarter of a second old at most.
    #[must_use]
    pub fn status(&self) -> Vec<TransferStatus> {
        self.status.borrow().clone()
    }

    /// Where frames of kind transfer go. One that does not fit is dropped and counted: what was asked for fits.
    pub(crate) fn route(&self, input: TransferInput) {
        if self.inbox.try_send(input).is_err() {
            self.frames_dropped.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}
