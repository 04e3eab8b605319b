//! Applying commands that take a job out of its turn and put it back: pause, resume, halt, refusal.

use super::limits::{HALTED_JOBS_BYTES_MAX, REASON_BYTES_MAX, cut};
use super::{JobRecord, JobStatus, Ledger, Rejected};
use crate::ids::{Chain, Epoch, JobId, NodeId};
use crate::wire::encode;

impl Ledger {
    /// The same twice changes nothing more: commands may be repeated.
    pub(super) fn pause(&mut self, job: JobId, by: NodeId) -> Result<(), Rejected> {
        let record = self.job_mut(job)?;
        match record.status {
            JobStatus::Queued => record.status = JobStatus::Paused { by },
            JobStatus::Running => {
                record.pausing.get_or_insert(by);
            }
            JobStatus::Paused { .. } => {}
            _ => return Err(Rejected::JobEnded { job }),
        }
        Ok(())
    }

    pub(super) fn resume(&mut self, job: JobId) -> Result<(), Rejected> {
        let record = self.job_mut(job)?;
        match record.status {
            JobStatus::Paused { .. } => record.status = JobStatus::Queued,
            JobStatus::Running => record.pausing = None,
            JobStatus::Queued => {}
            _ => return Err(Rejected::JobEnded { job }),
        }
        Ok(())
    }

    /// Takes the view away. What was promised by then: all steps are committed, and their state can be restored.
    pub(super) fn commit_halt(
        &mut self,
        job: JobId,
        epoch: Epoch,
        step: u64,
        chain: Chain,
    ) -> Result<(), Rejected> {
        let record = self.running_mut(job)?;
        let refuse = |what| Err(Rejected::HaltRefused { what });
        if record.view.as_ref().is_none_or(|view| !view.halt || view.epoch != epoch) {
            return refuse("the newest view is another or does not halt");
        }
        if record.committed_to() != (step, chain) {
            return refuse("its steps are not all committed");
        }
        // Step 0 comes from the seed or was imported.
        let is_known = |record: &JobRecord| {
            record.checkpoints.last().is_some_and(|entry| (entry.step, entry.chain) == (step, chain))
        };
        if step > 0 && !is_known(record) {
            return refuse("no checkpoint of its last step is on record");
        }
        record.status = match record.pausing.take() {
            Some(by) => JobStatus::Paused { by },
            None => JobStatus::Queued,
        };
        record.view = None;
        record.synced.clear();
        record.failed_microbatches.clear();
        self.shrink_halted_jobs();
        Ok(())
    }

    pub(super) fn refuse(&mut self, job: JobId, by: NodeId, mut reason: String) -> Result<(), Rejected> {
        let record = self.job_mut(job)?;
        if !record.has_ended() && record.has_run() {
            return Err(Rejected::JobHasRun { job });
        }
        cut(&mut reason, REASON_BYTES_MAX);
        self.end_open(job, JobStatus::Refused { by, reason })
    }

    /// Shrinks histories of halted jobs, the largest first, until the limit holds.
    fn shrink_halted_jobs(&mut self) {
        let is_halted = |job: &&JobRecord| {
            job.has_run() && matches!(job.status, JobStatus::Queued | JobStatus::Paused { .. })
        };
        let mut sizes: Vec<(usize, JobId)> =
            self.jobs.values().filter(is_halted).map(|job| (history_bytes(job), job.id)).collect();
        sizes.sort_unstable();
        let mut total: usize = sizes.iter().map(|(bytes, _)| bytes).sum();
        for (bytes, id) in sizes.into_iter().rev() {
            if total <= HALTED_JOBS_BYTES_MAX {
                break;
            }
            if let Some(job) = self.jobs.get_mut(&id) {
                job.shrink_history();
                total = total - bytes + history_bytes(job);
            }
        }
    }
}

/// Encoded length of a record without what is counted elsewhere.
fn history_bytes(job: &JobRecord) -> usize {
    encode(job).len() - job.name.len() - job.spec_toml.len()
}
