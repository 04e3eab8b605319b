//! Everything a session reaches: its peers, the coordinator, the store.

use std::sync::Arc;

use actix::Addr;
use bytes::Bytes;
use tokio::sync::mpsc;
use traind_protocol::ids::{Chain, Digest, Epoch, JobId, Millis, NodeId};
use traind_protocol::ledger::LedgerCommand;
use traind_protocol::wire::control::Report;
use traind_protocol::wire::data::DataFrame;
use traind_store::Store;

use super::captured_state::CapturedState;
use super::messages::SessionInput;
use super::trainer::chain_of;
use crate::checkpoints::{Checkpoints, WriteCheckpoint};
use crate::clock::Clock;
use crate::council::CouncilInbox;
use crate::transfer::Transfers;

/// The ways out of a session.
pub(super) struct SessionLinks {
    /// The daemon's clock.
    pub(super) clock: Clock,
    /// The network.
    pub(super) network: traind_p2p::Handle,
    /// The council's queue, for reports.
    pub(super) council: mpsc::Sender<CouncilInbox>,
    /// The actor that writes checkpoints beside training.
    pub(super) checkpoints: Addr<Checkpoints>,
    /// The store, for reading the origin of an incarnation.
    pub(super) store: Arc<Store>,
    /// How chunks of states come and go.
    pub(super) transfers: Transfers,
    /// The session's own queue, for answers.
    pub(super) inbox: mpsc::Sender<SessionInput>,
}

impl SessionLinks {
    /// The time.
    #[must_use]
    pub(super) fn now(&self) -> Millis {
        self.clock.now()
    }

    /// Queues a frame for a peer.
    ///
    /// # Errors
    /// When there is no path to the peer or its queue is full; the path is then made anew and announced.
    pub(super) fn send(&self, to: NodeId, frame: DataFrame) -> Result<(), traind_p2p::SendError> {
        self.network.try_send_data(to, frame)
    }

    /// Tells the coordinator. A full queue loses the report; it is repeated within a second.
    pub(super) fn report(&self, report: Report) {
        if self.council.try_send(CouncilInbox::LocalReport(report)).is_err() {
            tracing::debug!("report waits: the council's queue is full");
        }
    }

    /// Hands a captured state to the store. Where the store is behind, this checkpoint is left out and said so.
    pub(super) fn write_checkpoint(
        &self,
        job: JobId,
        step: u64,
        chain: Chain,
        digest: Option<Digest>,
        state: CapturedState,
    ) {
        let reply = self.inbox.clone();
        let message = WriteCheckpoint { job, step, chain, digest, state, reply };
        if self.checkpoints.try_send(message).is_err() {
            tracing::warn!(step, "checkpoint left out: the store is still writing earlier ones");
        }
    }

    /// Reads a checkpoint's state.
    ///
    /// # Errors
    /// In words, when it is absent or damaged.
    pub(super) fn read_checkpoint(&self, job: JobId, step: u64, digest: Digest) -> Result<Bytes, String> {
        self.store
            .read_checkpoint_of(job, step, digest)
            .map(|(_record, state)| state.into())
            .map_err(|error| chain_of(&error))
    }

    /// This node cannot restore a checkpoint that the ledger says it holds.
    pub(super) fn disown_checkpoint(&self, job: JobId, step: u64, holder: NodeId) {
        let command = LedgerCommand::DropCheckpoint { job, step, holder: Some(holder) };
        if self.council.try_send(CouncilInbox::Propose(command)).is_err() {
            tracing::error!(step, "the ledger still counts on a checkpoint that this node cannot read");
        }
    }

    /// A peer is in a view that this node has not heard of; the ledger will bring it.
    pub(super) fn view_is_late(&self, epoch: Epoch) {
        tracing::debug!(epoch = epoch.0, "a peer is in a later view");
    }
}
