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
    kept: BTreeMap<JobId, KeepCheckpoints>,
    /// What was pinned by then; `None` before the first look.
    pins: Option<Arc<BTreeSet<ManifestId>>>,
    /// What the store is to pin. Tasks may overtake each other, so each takes what is newest when it has its turn.
    wanted: Arc<Mutex<Arc<BTreeSet<ManifestId>>>>,
    turn: Arc<Mutex<()>>,
}

impl RestingCheckpoints {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store, kept: BTreeMap::new(), pins: None, wanted: Arc::default(), turn: Arc::default() }
    }

    /// The ledger changed. Must be called on a runtime. A ledger that is behind names older checkpoints, and what is newer
    /// than all that it names stays.
    pub(crate) fn follow(&mut self, ledger: &Ledger) {
        let resting = ledger.jobs.values().filter(|job| job.has_run() && job.status != JobStatus::Running);
        let now = resting.map(|job| KeepCheckpoints::of(ledger, job));
        let now: BTreeMap<JobId, KeepCheckpoints> = now.map(|keep| (keep.job, keep)).collect();
        let is_new = |keep: &&KeepCheckpoints| self.kept.get(&keep.job) != Some(*keep);
        let changed: Vec<KeepCheckpoints> = now.values().filter(is_new).cloned().collect();
        self.kept = now;
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
