//! What this daemon has heard of jobs beside the ledger: losses and counters, which are never entries of the ledger.

use std::collections::BTreeMap;

use traind_protocol::ids::{Boot, JobId, NodeId};
use traind_protocol::wire::control::{Progress, WorkCounters};

use crate::control::api::LossPoint;

/// Jobs whose history is kept, the newest ones.
const JOBS_KEPT_MAX: usize = 32;

/// Losses kept of one job. Beyond it every second one goes, so that the whole course stays visible.
const LOSSES_KEPT_MAX: usize = 4096;

/// Losses and counters of one job.
#[derive(Clone, Debug, Default)]
pub(super) struct JobHistory {
    /// Stable steps, as the coordinator said last.
    pub(super) stable_step: u64,
    /// Mean loss by step.
    pub(super) losses: BTreeMap<u64, f64>,
    /// Counters by process, gone ones at their last word.
    pub(super) work: BTreeMap<(NodeId, Boot), WorkCounters>,
}

impl JobHistory {
    /// Loss of the last stable step.
    pub(super) fn last_loss(&self) -> Option<f64> {
        self.losses.last_key_value().map(|(_step, loss)| *loss)
    }

    /// All losses, oldest first.
    pub(super) fn loss_points(&self) -> Vec<LossPoint> {
        self.losses.iter().map(|(&step, &loss)| LossPoint { step, loss }).collect()
    }
}

/// Histories by job.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    jobs: BTreeMap<JobId, JobHistory>,
    order: Vec<JobId>,
}

impl History {
    /// Takes in what the coordinator said.
    pub(super) fn note(&mut self, progress: &Progress) {
        if !self.jobs.contains_key(&progress.job) {
            self.order.push(progress.job);
            if self.order.len() > JOBS_KEPT_MAX {
                let oldest = self.order.remove(0);
                self.jobs.remove(&oldest);
            }
        }
        let job = self.jobs.entry(progress.job).or_default();
        if progress.stable_step < job.stable_step {
            // A new lineage from a checkpoint: what came after it never was.
            job.losses.retain(|&step, _loss| step <= progress.stable_step);
        }
        job.stable_step = progress.stable_step;
        job.losses.extend(progress.losses.iter().copied());
        if job.losses.len() > LOSSES_KEPT_MAX {
            let mut keep = true;
            job.losses.retain(|_step, _loss| {
                keep = !keep;
                keep
            });
        }
        for &(node, boot, work) in &progress.work {
            let known = job.work.entry((node, boot)).or_default();
            if work.microbatches_computed >= known.microbatches_computed
                && work.steps_applied >= known.steps_applied
            {
                *known = work;
            }
        }
    }

    /// What is known of `job`.
    pub(super) fn job(&self, job: JobId) -> JobHistory {
        self.jobs.get(&job).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use traind_protocol::ids::{Epoch, Incarnation};

    use super::*;

    fn progress(stable_step: u64, losses: Vec<(u64, f64)>, computed: u64) -> Progress {
        let work = WorkCounters { microbatches_computed: computed, ..WorkCounters::default() };
        Progress {
            job: JobId([1; 8]),
            incarnation: Incarnation(1),
            epoch: Epoch(1),
            stable_step,
            losses,
            work: vec![(NodeId([2; 32]), Boot(3), work)],
        }
    }

    #[test]
    fn counters_never_shrink_and_a_new_lineage_takes_losses_back() {
        let mut history = History::default();
        history.note(&progress(2, vec![(1, 2.0), (2, 1.5)], 8));
        history.note(&progress(1, vec![(1, 2.0)], 4));
        let job = history.job(JobId([1; 8]));
        assert_eq!(job.losses.keys().copied().collect::<Vec<_>>(), [1]);
        assert_eq!(job.work.values().next().map(|work| work.microbatches_computed), Some(8));
        assert_eq!(job.last_loss(), Some(2.0));
    }
}
