//! The checkpoint actor: takes captured states and has them written by the store's own thread, beside training.
//!
//! Hears: sessions with a captured state, the published ledger for what to keep. Tells: the session when its
//! checkpoint is on disk. When the store is behind, a checkpoint is left out; nothing waits.

mod resting;
mod scrubber;
mod writer;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use actix::prelude::*;
use tokio::sync::{mpsc, oneshot};
use traind_protocol::ids::{Chain, Digest, JobId};
use traind_protocol::ledger::{JobRecord, Ledger};
use traind_store::Store;

use crate::session::{CapturedState, SessionInput};
pub(crate) use resting::RestingCheckpoints;
use writer::WriterTask;

/// States that may wait to be written: each is one more state of the job in memory.
const CHECKPOINTS_WAITING_MAX: usize = 2;

/// How often the store's thread is looked at while it is busy: a chunk takes it a fraction of this.
const PROGRESS_LOOK: Duration = Duration::from_millis(500);

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

/// Checkpoints of a job that the ledger names; others that are older than the newest of its lineage go.
#[derive(Message, Clone, Debug, PartialEq, Eq)]
#[rtype(result = "()")]
pub struct KeepCheckpoints {
    /// The job.
    pub job: JobId,
    /// Steps to keep, also those that were set aside with a lineage that was given up.
    pub steps: BTreeSet<u64>,
    /// The newest that the job may go on from, if there is one. What is newer was written here and is not yet on record.
    pub newest: Option<u64>,
}

impl KeepCheckpoints {
    /// What `ledger` says of the checkpoints of `job`.
    #[must_use]
    pub fn of(ledger: &Ledger, job: &JobRecord) -> Self {
        let branches = ledger.lineage.branches.iter().filter(|branch| branch.job == job.id);
        let branches = branches.map(|branch| branch.state.step);
        let steps = ledger.steps_held(job).into_iter().chain(branches).collect();
        let newest = job.checkpoints.last().or(job.initial.as_ref()).map(|entry| entry.step);
        Self { job: job.id, steps, newest }
    }
}

/// Is the store's thread there? The answer comes when it has worked off what waits before it, or gets on with it.
#[derive(Message, Debug)]
#[rtype(result = "bool")]
pub struct PingStore;

/// Hands work to the store's thread.
pub struct Checkpoints {
    tasks: mpsc::Sender<WriterTask>,
    store: Arc<Store>,
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
        let written = Arc::clone(&store);
        std::thread::Builder::new().name("store".to_owned()).spawn(move || {
            yield_to_training();
            writer::run(&written, queue);
        })?;
        Ok(Self { tasks, store })
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
        Box::pin(is_at_work(self.tasks.clone(), Arc::clone(&self.store)))
    }
}

/// Whether the store's thread answers, or gets on with what it has in hand: a large checkpoint takes longer than anybody waits.
async fn is_at_work(tasks: mpsc::Sender<WriterTask>, store: Arc<Store>) -> bool {
    let puts_before = store.chunks().puts();
    let asked = async {
        let (reply, answer) = oneshot::channel();
        tasks.send(WriterTask::Ping(reply)).await.is_ok() && answer.await.is_ok()
    };
    let gets_on = async {
        while store.chunks().puts() == puts_before {
            tokio::time::sleep(PROGRESS_LOOK).await;
        }
    };
    tokio::select! {
        answered = asked => answered,
        () = gets_on => true,
    }
}

#[cfg(test)]
mod tests {
    use traind_protocol::ids::{Chain, Digest, JobId};

    use super::*;

    const JOB: JobId = JobId([5; 8]);

    fn store_with(steps: &[u64]) -> (tempfile::TempDir, Arc<Store>) {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(directory.path()).unwrap();
        for step in steps {
            store.write_checkpoint(JOB, *step, Chain([1; 32]), Digest([2; 32]), &[7; 100]).unwrap();
        }
        (directory, Arc::new(store))
    }

    #[test]
    fn what_was_written_since_a_rollback_stays_beside_a_later_one_that_was_set_aside() {
        let (_directory, store) = store_with(&[100, 200, 250, 500]);
        let steps = |store: &Store| -> Vec<u64> {
            store.list_checkpoints(Some(JOB)).unwrap().iter().map(|record| record.step).collect()
        };
        // Taken back to 200; 500 was pinned, and 250 is not on record yet.
        let keep = |newest| KeepCheckpoints { job: JOB, steps: BTreeSet::from([200, 500]), newest };
        writer::keep(&store, &keep(None));
        assert_eq!(steps(&store), [100, 200, 250, 500]);
        writer::keep(&store, &keep(Some(200)));
        assert_eq!(steps(&store), [200, 250, 500]);
        // On record and not kept any more.
        writer::keep(&store, &keep(Some(300)));
        assert_eq!(steps(&store), [200, 500]);
    }

    #[actix::test]
    async fn a_thread_that_is_busy_is_at_work_as_long_as_it_gets_on() {
        let (_directory, store) = store_with(&[]);
        // Nobody takes anything from this queue, and it is full.
        let (tasks, queue) = mpsc::channel(1);
        let (reply, _answer) = oneshot::channel();
        tasks.try_send(WriterTask::Ping(reply)).unwrap();
        let asked = is_at_work(tasks.clone(), Arc::clone(&store));
        assert!(tokio::time::timeout(2 * PROGRESS_LOOK, asked).await.is_err(), "it hangs");
        let asked = is_at_work(tasks.clone(), Arc::clone(&store));
        let putting = async {
            // Once it has looked.
            tokio::task::yield_now().await;
            store.chunks().put(&mut store.chunks().lease(), &[1; 10]).unwrap();
        };
        let (is_at_work_now, ()) = tokio::join!(asked, putting);
        assert!(is_at_work_now);
        drop(queue);
        assert!(!is_at_work(tasks, store).await, "the thread is gone");
    }
}
