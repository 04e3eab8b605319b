//! The checkpoint actor: takes captured states and has them written by the store's own thread, beside training.
//!
//! Hears: sessions with a captured state, the published ledger for what to keep. Tells: the session when its
//! checkpoint is on disk. When the store is behind, a checkpoint is left out; nothing waits.

mod resting;
mod scrubber;
mod writer;

use std::sync::Arc;

use actix::prelude::*;
use tokio::sync::{mpsc, oneshot};
use traind_protocol::ids::{Chain, Digest, JobId};
use traind_store::Store;

use crate::session::{CapturedState, SessionInput};
pub(crate) use resting::RestingCheckpoints;
use writer::WriterTask;

/// States that may wait to be written: each is one more state of the job in memory.
const CHECKPOINTS_WAITING_MAX: usize = 2;

/// Niceness of the threads here. They take what training leaves, and one part in 29 of what it does not: a checkpoint of
/// 600 MB, half a second of work, is written within a quarter of a minute whatever else runs.
const NICENESS: i32 = 15;

/// A captured state to be written.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct WriteCheckpoint {
    /// The job.
    pub job: JobId,
    /// Steps applied.
    pub step: u64,
    /// Chain of the state.
    pub chain: Chain,
    /// Digest of the state; computed by the store's thread where it is not known.
    pub digest: Option<Digest>,
    /// The state; training goes on beside it.
    pub state: CapturedState,
    /// Who wants to know.
    pub reply: mpsc::Sender<SessionInput>,
}

/// Checkpoints of a job that the ledger names; others that are older than the newest of these go.
#[derive(Message, Debug)]
#[rtype(result = "()")]
pub struct KeepCheckpoints {
    /// The job.
    pub job: JobId,
    /// Steps to keep, ascending.
    pub steps: Vec<u64>,
}

/// Is the store's thread there? The answer comes when it has worked off what waits before it.
#[derive(Message, Debug)]
#[rtype(result = "bool")]
pub struct PingStore;

/// Hands work to the store's thread.
pub struct Checkpoints {
    tasks: mpsc::Sender<WriterTask>,
}

impl Checkpoints {
    /// Starts the writing thread.
    ///
    /// # Errors
    /// When the operating system gives no thread.
    pub fn new(store: Arc<Store>) -> std::io::Result<Self> {
        let (tasks, queue) = mpsc::channel(CHECKPOINTS_WAITING_MAX);
        let scrubbed = Arc::downgrade(&store);
        std::thread::Builder::new().name("scrub".to_owned()).spawn(move || {
            yield_to_training();
            scrubber::run(&scrubbed);
        })?;
        std::thread::Builder::new().name("store".to_owned()).spawn(move || {
            yield_to_training();
            writer::run(&store, queue);
        })?;
        Ok(Self { tasks })
    }
}

/// Lets the other threads of the process go first; on Linux niceness is each thread's own.
fn yield_to_training() {
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::warn!(%error, "checkpoints are written with the priority of training");
    }
}

impl Actor for Checkpoints {
    type Context = Context<Self>;

    fn started(&mut self, context: &mut Self::Context) {
        context.set_mailbox_capacity(CHECKPOINTS_WAITING_MAX);
    }
}

impl Handler<WriteCheckpoint> for Checkpoints {
    type Result = ();

    fn handle(&mut self, message: WriteCheckpoint, _context: &mut Self::Context) {
        let step = message.step;
        if self.tasks.try_send(WriterTask::Write(message)).is_err() {
            tracing::warn!(step, "checkpoint left out: the store is still writing earlier ones");
        }
    }
}

impl Handler<KeepCheckpoints> for Checkpoints {
    type Result = ();

    fn handle(&mut self, message: KeepCheckpoints, _context: &mut Self::Context) {
        // Left out when the store is busy: the next ledger change asks again.
        let _ = self.tasks.try_send(WriterTask::Keep(message));
    }
}

impl Handler<PingStore> for Checkpoints {
    type Result = ResponseFuture<bool>;

    fn handle(&mut self, _message: PingStore, _context: &mut Self::Context) -> Self::Result {
        let tasks = self.tasks.clone();
        Box::pin(async move {
            let (reply, answer) = oneshot::channel();
            tasks.send(WriterTask::Ping(reply)).await.is_ok() && answer.await.is_ok()
        })
    }
}
