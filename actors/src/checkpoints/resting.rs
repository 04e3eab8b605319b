//! What people want of checkpoints, done on the disk: what they pinned is pinned there; of jobs that do not run, what they
//! pruned or took a job back from goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use traind_protocol::ids::{JobId, ManifestId};
use traind_protocol::ledger::{JobStatus, Ledger};
use traind_store::{Store, StoreError};

use super::KeepCheckpoints;
use super::writer::keep;
use crate::session::chain_of;

/// What the ledger said last of the checkpoints of each job that does not run.
pub(crate) struct RestingCheckpoints {
    store: Arc<Store>,
    steps: BTreeMap<JobId, Vec<u64>>,
    /// What was pinned by then; `None` before the first look.
    pins: Option<Arc<BTreeSet<ManifestId>>>,
    /// What the store is to pin. Tasks may overtake each other, so each takes what is newest when it has its turn.
    wanted: Arc<Mutex<Arc<BTreeSet<ManifestId>>>>,
    turn: Arc<Mutex<()>>,
}

impl RestingCheckpoints {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store, steps: BTreeMap::new(), pins: None, wanted: Arc::default(), turn: Arc::default() }
    }

    /// The ledger changed. Must be called on a runtime. A ledger that is behind names older checkpoints, and what is newer
    /// than all that it names stays.
    pub(crate) fn follow(&mut self, ledger: &Ledger) {
        let resting = ledger.jobs.values().filter(|job| job.has_run() && job.status != JobStatus::Running);
        let now: BTreeMap<JobId, Vec<u64>> = resting.map(|job| (job.id, ledger.steps_held(job))).collect();
        let changed = now.iter().filter(|(job, steps)| self.steps.get(job) != Some(*steps));
        let changed: Vec<KeepCheckpoints> =
            changed.map(|(job, steps)| KeepCheckpoints { job: *job, steps: steps.clone() }).collect();
        self.steps = now;
        let pins = Arc::new(ledger.manifests_pinned());
        let repins = self.pins.as_ref() != Some(&pins);
        if changed.is_empty() && !repins {
            return;
        }
        *locked(&self.wanted) = Arc::clone(&pins);
        self.pins = Some(pins);
        let (store, wanted, turn) =
            (Arc::clone(&self.store), Arc::clone(&self.wanted), Arc::clone(&self.turn));
        tokio::task::spawn_blocking(move || {
            let _turn = locked(&turn);
            let pins = Arc::clone(&locked(&wanted));
            // Before anything goes.
            if repins && let Err(error) = pin(&store, &pins) {
                tracing::warn!(error = chain_of(&error), "pins are not kept by the store");
            }
            changed.iter().for_each(|message| keep(&store, message));
        });
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes the store's pins those of the ledger.
fn pin(store: &Store, wanted: &BTreeSet<ManifestId>) -> Result<(), StoreError> {
    let known = store.pinned()?;
    for id in wanted.difference(&known) {
        store.pin(*id, true)?;
    }
    for id in known.difference(wanted) {
        store.pin(*id, false)?;
    }
    Ok(())
}
