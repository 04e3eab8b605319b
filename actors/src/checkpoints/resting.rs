//! What people want of checkpoints, done on the disk: what they pinned is pinned there; of jobs that do not run, what they
//! pruned or took a job back from goes.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

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
    pins: Option<BTreeSet<ManifestId>>,
}

impl RestingCheckpoints {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store, steps: BTreeMap::new(), pins: None }
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
        let pins = ledger.manifests_pinned();
        let pins = (self.pins.as_ref() != Some(&pins)).then_some(pins);
        if let Some(pins) = &pins {
            self.pins = Some(pins.clone());
        }
        if changed.is_empty() && pins.is_none() {
            return;
        }
        let store = Arc::clone(&self.store);
        tokio::task::spawn_blocking(move || {
            // Before anything goes.
            if let Some(pins) = pins
                && let Err(error) = pin(&store, &pins)
            {
                tracing::warn!(error = chain_of(&error), "pins are not kept by the store");
            }
            changed.iter().for_each(|message| keep(&store, message));
        });
    }
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
