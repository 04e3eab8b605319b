//! The council actor: a shell over the thread that drives the consensus group and the coordinator.
//!
//! Hears: network events, proposals, reports. Tells: everyone who watches the published ledger and the progress.
//! Persisting waits for the disk, so the driver has a thread of its own; this actor only passes on.

mod driver;
mod heard;
mod messages;
mod published;
mod registration;
mod show;
mod succession;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::thread::JoinHandle;

use actix::prelude::*;
use tokio::sync::{mpsc, oneshot, watch};
use traind_protocol::ids::{Life, SwarmId};
use traind_protocol::succession::QuorumLossPolicy;
use traind_protocol::wire::control::{Progress, Registration};
use traind_store::Store;

pub use driver::{CouncilError, SEAT_KEY};
pub use messages::{COUNCIL_INBOX_MAX, CouncilInbox, PingCouncil, Propose, StopRegistering};
pub use published::{Loss, Published, Why};

use crate::clock::Clock;
use crate::fatal::Fatal;

/// Messages that may wait for this actor; it only passes them on.
const COUNCIL_MAILBOX_MAX: usize = 256;

/// What the council needs of the daemon.
pub struct CouncilParts {
    /// This process.
    pub me: Life,
    /// What this node tells when it registers.
    pub registration: Registration,
    /// The swarm to found, for the first node of one.
    pub found: Option<SwarmId>,
    /// What this node does where a majority of its council is lost.
    pub on_quorum_loss: QuorumLossPolicy,
    /// The daemon's clock.
    pub clock: Clock,
    /// The network.
    pub network: traind_p2p::Handle,
    /// The store, for the log.
    pub store: Arc<Store>,
    /// How the daemon learns that it cannot go on.
    pub fatal: Fatal,
}

/// The watching sides of what the council's driver shows.
#[derive(Clone, Debug)]
pub struct CouncilView {
    /// Ledger and council.
    pub published: watch::Receiver<Arc<Published>>,
    /// The coordinator's word on the running job.
    pub progress: watch::Receiver<Option<Progress>>,
}

/// Passes on to the council's thread.
pub struct CouncilActor {
    inbox: mpsc::Sender<CouncilInbox>,
    thread: Option<JoinHandle<()>>,
}

impl CouncilActor {
    /// Starts the council's thread; `inbox` and `inputs` are the two ends of its queue.
    ///
    /// # Errors
    /// When the log on disk cannot be read, or there is no thread for it.
    pub fn open(
        parts: CouncilParts,
        inbox: mpsc::Sender<CouncilInbox>,
        inputs: mpsc::Receiver<CouncilInbox>,
    ) -> Result<(Self, CouncilView), CouncilError> {
        let (published, published_seen) = watch::channel(Arc::new(Published::default()));
        let (progress, progress_seen) = watch::channel(None);
        let driver = driver::CouncilDriver::open(parts, published, progress)?;
        let thread = std::thread::Builder::new()
            .name("council".to_owned())
            .spawn(move || driver.run(inputs))
            .map_err(CouncilError::Thread)?;
        let view = CouncilView { published: published_seen, progress: progress_seen };
        Ok((Self { inbox, thread: Some(thread) }, view))
    }
}

impl Actor for CouncilActor {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(COUNCIL_MAILBOX_MAX);
    }
}

impl Handler<Propose> for CouncilActor {
    type Result = bool;

    fn handle(&mut self, message: Propose, _context: &mut Self::Context) -> bool {
        self.inbox.try_send(CouncilInbox::Propose(message.0)).is_ok()
    }
}

impl Handler<StopRegistering> for CouncilActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _message: StopRegistering, _context: &mut Self::Context) -> Self::Result {
        let inbox = self.inbox.clone();
        Box::pin(async move {
            // A council that has stopped registers no more.
            let _ = inbox.send(CouncilInbox::StopRegistering).await;
        })
    }
}

impl Handler<PingCouncil> for CouncilActor {
    type Result = ResponseFuture<bool>;

    fn handle(&mut self, _message: PingCouncil, _context: &mut Self::Context) -> Self::Result {
        let inbox = self.inbox.clone();
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            inbox.send(CouncilInbox::Ping(reply)).await.is_ok() && answer.await.is_ok()
        })
    }
}

/// The daemon stops: the council's thread ends after what it has in hand.
#[derive(Message)]
#[rtype(result = "()")]
pub struct StopCouncil;

impl Handler<StopCouncil> for CouncilActor {
    type Result = ResponseFuture<()>;

    fn handle(&mut self, _message: StopCouncil, _context: &mut Self::Context) -> Self::Result {
        let (inbox, thread) = (self.inbox.clone(), self.thread.take());
        Box::pin(async move {
            // A thread that has ended needs no stop.
            let _ = inbox.send(CouncilInbox::Stop).await;
            if let Some(thread) = thread {
                let _ = tokio::task::spawn_blocking(move || thread.join()).await;
            }
        })
    }
}
