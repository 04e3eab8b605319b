//! What this daemon has heard of jobs beside the ledger: losses and counters, which are never entries of the ledger.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use traind_protocol::ids::{Boot, Epoch, JobId, NodeId};
use traind_protocol::wire::control::{Progress, StepPoint, UnwrittenCheckpoint, WorkCounters};

use crate::control::api::LossPoint;

/// Jobs whose history is kept, the newest ones.
const JOBS_KEPT_MAX: usize = 32;

/// Steps kept of one job. Beyond it every second one goes, so that the whole course stays visible.
const POINTS_KEPT_MAX: usize = 4096;

/// Losses and counters of one job.
#[derive(Clone, Debug, Default)]
pub(super) struct JobHistory {
    /// Stable steps, as the coordinator said last.
    pub(super) stable_step: u64,
    /// The newest view then.
    pub(super) epoch: Epoch,
    /// Steps in figures.
    pub(super) points: BTreeMap<u64, StepPoint>,
    /// Nodes that the job does without, why, and until when if a timer ends that.
    kept_out: Vec<(NodeId, String, Option<Instant>)>,
    /// Members that could not write a checkpoint that was theirs to write: the step, and why.
    pub(super) unwritten: Vec<UnwrittenCheckpoint>,
    /// Counters by process, gone ones at their last word.
    pub(super) work: BTreeMap<(NodeId, Boot), WorkCounters>,
}

impl JobHistory {
    /// Loss of the last stable step.
    pub(super) fn last_loss(&self) -> Option<f64> {
        self.last_point().map(|point| point.loss)
    }

    /// The last stable step in figures.
    pub(super) fn last_point(&self) -> Option<&StepPoint> {
        self.points.last_key_value().map(|(_step, point)| point)
    }

    /// Nodes that the job does without, and in words why and for how long still.
    pub(super) fn kept_out(&self) -> impl Iterator<Item = (NodeId, String)> + '_ {
        let now = Instant::now();
        self.kept_out.iter().map(move |(node, reason, until)| {
            let left = until.map(|until| until.saturating_duration_since(now).as_secs_f64().ceil());
            let then = left.map_or(String::new(), |left| format!("; it is taken back in {left} s"));
            (*node, format!("{reason}{then}"))
        })
    }

    /// All losses, oldest first.
    pub(super) fn loss_points(&self) -> Vec<LossPoint> {
        self.points.values().map(|point| LossPoint { step: point.step, loss: point.loss }).collect()
    }
}

/// Histories by job.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    jobs: BTreeMap<JobId, JobHistory>,
    order: Vec<JobId>,
    latest: Option<JobId>,
}

impl History {
    /// Takes in what the coordinator said.
    pub(super) fn note(&mut self, progress: &Progress) {
        self.latest = Some(progress.job);
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
            job.points.retain(|&step, _point| step <= progress.stable_step);
        }
        job.stable_step = progress.stable_step;
        job.epoch = progress.epoch;
        job.points.extend(progress.points.iter().map(|point| (point.step, *point)));
        let now = Instant::now();
        let until = |ms: Option<u64>| ms.and_then(|ms| now.checked_add(Duration::from_millis(ms)));
        let kept_out = progress.kept_out.iter();
        job.kept_out = kept_out.map(|row| (row.node, row.reason.clone(), until(row.ends_in_ms))).collect();
        job.unwritten.clone_from(&progress.unwritten);
        if job.points.len() > POINTS_KEPT_MAX {
            let mut keep = true;
            job.points.retain(|_step, _point| {
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

    /// Why the job that was told of last does without `node`.
    pub(super) fn kept_out(&self, node: NodeId) -> Option<String> {
        let job = self.jobs.get(&self.latest?)?;
        job.kept_out().find(|(kept, _reason)| *kept == node).map(|(_node, reason)| reason)
    }

    /// What is known of `job`.
    pub(super) fn job(&self, job: JobId) -> JobHistory {
        self.jobs.get(&job).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use traind_protocol::ids::Incarnation;
    use traind_protocol::wire::control::KeptOut;

    use super::*;

    fn progress(stable_step: u64, losses: &[(u64, f64)], computed: u64) -> Progress {
        let point =
            |&(step, loss): &(u64, f64)| StepPoint { step, loss, learning_rate: 0.1, gradient_norm: 1.0 };
        let work = WorkCounters { microbatches_computed: computed, ..WorkCounters::default() };
        Progress {
            job: JobId([1; 8]),
            incarnation: Incarnation(1),
            epoch: Epoch(1),
            stable_step,
            points: losses.iter().map(point).collect(),
            kept_out: vec![KeptOut {
                node: NodeId([2; 32]),
                reason: "it held up step 3 for 6.0 s".to_owned(),
                ends_in_ms: Some(computed * 1000),
            }],
            unwritten: Vec::new(),
            work: vec![(NodeId([2; 32]), Boot(3), work)],
        }
    }

    #[test]
    fn counters_never_shrink_and_a_new_lineage_takes_losses_back() {
        let mut history = History::default();
        history.note(&progress(2, &[(1, 2.0), (2, 1.5)], 8));
        history.note(&progress(1, &[(1, 2.0)], 4));
        let job = history.job(JobId([1; 8]));
        assert_eq!(job.points.keys().copied().collect::<Vec<_>>(), [1]);
        assert_eq!(job.work.values().next().map(|work| work.microbatches_computed), Some(8));
        assert_eq!(job.last_loss(), Some(2.0));
    }

    #[test]
    fn who_is_kept_out_is_told_with_the_time_that_is_left() {
        let mut history = History::default();
        history.note(&progress(2, &[], 100));
        let words = history.kept_out(NodeId([2; 32])).unwrap();
        // A second may pass meanwhile.
        let possible =
            [100, 99].map(|left| format!("it held up step 3 for 6.0 s; it is taken back in {left} s"));
        assert!(possible.contains(&words), "{words}");
        history.note(&progress(2, &[], 0));
        assert!(history.kept_out(NodeId([2; 32])).unwrap().ends_with("; it is taken back in 0 s"));
        assert_eq!(history.kept_out(NodeId([3; 32])), None);
    }
}
