//! Checkpoints of jobs that do not run: what people prune, or take a job back from, goes from the disk too.

use std::collections::BTreeMap;
use std::sync::Arc;

use traind_protocol::ids::JobId;
use traind_protocol::ledger::{JobStatus, Ledger};
use traind_store::Store;

use super::KeepCheckpoints;
use super::writer::keep;

/// What the ledger said last of the checkpoints of each job that does not run.
pub(crate) struct RestingCheckpoints {
    store: Arc<Store>,
    steps: BTreeMap<JobId, Vec<u64>>,
}

impl RestingCheckpoints {
    pub(crate) fn new(store: Arc<Store>) -> Self {
        Self { store, steps: BTreeMap::new() }
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
        if !changed.is_empty() {
            let store = Arc::clone(&self.store);
            tokio::task::spawn_blocking(move || changed.iter().for_each(|message| keep(&store, message)));
        }
    }
}
