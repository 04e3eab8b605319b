//! Copies of checkpoints on this node: fetched where the coordinator chose it, looked after where the ledger counts on it.
//!
//! Hears: the published ledger. Tells: the council, when a copy is here and checked, when one that the ledger names is
//! not, and what was found wrong with chunks. What is said may be lost, so it is said until the ledger shows it.

mod copying;
mod keeping;
#[cfg(test)]
mod tests;
mod verdicts;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, mpsc, watch};
use traind_protocol::ids::{ChunkId, JobId, ManifestId, NodeId};
use traind_protocol::ledger::{CheckpointEntry, JobRecord, Ledger, LedgerCommand};
use traind_store::Store;

use crate::council::{CouncilInbox, Published};
use crate::transfer::Transfers;
pub use copying::CopyError;
pub use verdicts::Verdicts;

/// The ledger is looked at so often where it does not change.
const LOOK_INTERVAL: Duration = Duration::from_secs(1);

/// Copies that are fetched side by side; more wait. Each takes the disk and the link of training.
const COPIES_AT_ONCE_MAX: usize = 2;

/// What copies need of the daemon.
pub struct ReplicaParts {
    /// This node.
    pub node: NodeId,
    /// Where checkpoints are.
    pub store: Arc<Store>,
    /// How chunks come.
    pub transfers: Transfers,
    /// The ledger.
    pub published: watch::Receiver<Arc<Published>>,
    /// The council's queue.
    pub council: mpsc::Sender<CouncilInbox>,
    /// What was found wrong with chunks.
    pub verdicts: Verdicts,
}

struct Inner {
    parts: ReplicaParts,
    state: Mutex<State>,
    turn: Semaphore,
}

#[derive(Default)]
struct State {
    /// Being fetched, or waiting for that.
    copying: BTreeSet<ManifestId>,
    /// Held here by the ledger's word, and found to be so.
    looked_at: BTreeSet<ManifestId>,
    /// Chunks that are damaged, and when each was asked for last.
    damaged: BTreeMap<ChunkId, Instant>,
}

/// Follows the ledger until it ends. Must be called on a runtime.
pub(crate) fn start(parts: ReplicaParts) {
    let inner = Arc::new(Inner { parts, state: Mutex::default(), turn: Semaphore::new(COPIES_AT_ONCE_MAX) });
    tokio::spawn(run(inner));
}

async fn run(inner: Arc<Inner>) {
    let mut published = inner.parts.published.clone();
    loop {
        let now = published.borrow_and_update().clone();
        copying::follow(&inner, &now.ledger);
        keeping::look_after(&inner, &now.ledger).await;
        if let Some(verdict) = inner.parts.verdicts.next_for(&now.ledger) {
            inner.propose(LedgerCommand::RecordVerdict { verdict });
        }
        if let Ok(Err(_closed)) = tokio::time::timeout(LOOK_INTERVAL, published.changed()).await {
            // The council has ended.
            return;
        }
    }
}

impl Inner {
    /// A full queue loses it; the next look at the ledger says it again.
    fn propose(&self, command: LedgerCommand) {
        let _ = self.parts.council.try_send(CouncilInbox::Propose(command));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All checkpoints that the ledger names.
fn entries<'a>(ledger: &'a Ledger) -> impl Iterator<Item = (JobId, &'a CheckpointEntry)> {
    let of_job = |job: &'a JobRecord| job.checkpoints.iter().chain(&job.initial).map(|entry| (job.id, entry));
    ledger.jobs.values().flat_map(of_job)
}
