//! Applying what people want of checkpoints, and when the next one is due.

use super::keeping::Rollback;
use super::limits::{DUE_SAVES_MAX, JOBS_MAX, OPEN_JOBS_BYTES_MAX, PINS_MAX, STARTED_JOBS_MAX};
use super::{CheckpointEntry, JobRecord, JobStatus, Ledger, Rejected};
use crate::ids::{JobId, NodeId};
use crate::view::Origin;

impl Ledger {
    /// Pins a checkpoint, or frees it. The same twice changes nothing more: commands may be repeated.
    pub(super) fn pin_checkpoint(
        &mut self,
        job: JobId,
        step: u64,
        by: NodeId,
        is_pinned: bool,
    ) -> Result<(), Rejected> {
        let record = self.jobs.get(&job).ok_or(Rejected::JobUnknown { job })?;
        if !is_pinned {
            if let Some(keeping) = self.keeping.get_mut(&job) {
                keeping.pins.remove(&step);
                keeping.aside.retain(|entry| entry.step != step);
            }
            return Ok(());
        }
        let mut keeping = self.keeping_of(job);
        let is_here = record.checkpoints.iter().chain(&keeping.aside).any(|entry| entry.step == step);
        if !is_here {
            return Err(Rejected::CheckpointRefused { step, what: "it is not in the ledger" });
        }
        if !keeping.pins.contains_key(&step) && keeping.pins.len() >= PINS_MAX {
            return Err(Rejected::LimitReached { what: "pinned checkpoints of a job", max: PINS_MAX });
        }
        keeping.pins.entry(step).or_insert(by);
        self.keeping.insert(job, keeping);
        Ok(())
    }

    /// Records a checkpoint that came from outside, and pins it: the rules alone may not keep it.
    pub(super) fn import_checkpoint(
        &mut self,
        job: JobId,
        entry: CheckpointEntry,
        by: NodeId,
    ) -> Result<(), Rejected> {
        let step = entry.step;
        if step == 0 {
            return Err(Rejected::CheckpointRefused {
                step,
                what: "it is the state that the job started from",
            });
        }
        let before = self.keeping.get(&job).cloned();
        let keeping = self.keeping.entry(job).or_default();
        if !keeping.pins.contains_key(&step) && keeping.pins.len() >= PINS_MAX {
            return Err(Rejected::LimitReached { what: "pinned checkpoints of a job", max: PINS_MAX });
        }
        keeping.pins.entry(step).or_insert(by);
        let recorded = self.record_checkpoint(job, entry);
        if recorded.is_err() {
            match before {
                Some(before) => self.keeping.insert(job, before),
                None => self.keeping.remove(&job),
            };
        }
        recorded
    }

    /// Forgets checkpoints that the rules do not keep, with `keep` newest ones; 0 for as many as the job says.
    pub(super) fn prune_checkpoints(&mut self, job: JobId, keep: u32) -> Result<(), Rejected> {
        let record = self.jobs.get(&job).ok_or(Rejected::JobUnknown { job })?;
        if keep > 0 && record.status == JobStatus::Running {
            // Members say again what they have written, and it would be on record again without its files.
            let what = "a running job keeps as many as it asked for";
            return Err(Rejected::CheckpointRefused { step: record.committed_to().0, what });
        }
        self.retain_checkpoints(job, (keep > 0).then_some(keep));
        Ok(())
    }

    /// Takes a job that does not run back to one of its checkpoints, or to its beginning. It is paused then, and its next
    /// view founds a lineage there; epochs and lineages go on growing (V1).
    pub(super) fn roll_back(&mut self, job: JobId, step: u64, by: NodeId) -> Result<(), Rejected> {
        let record = self.jobs.get(&job).ok_or(Rejected::JobUnknown { job })?;
        let refuse = |what| Err(Rejected::RollbackRefused { step, what });
        match record.status {
            JobStatus::Running | JobStatus::Queued => {
                return refuse("the job is not paused and has not ended");
            }
            _ if !record.has_run() => return refuse("the job never ran"),
            _ => {}
        }
        let known = record.origins().find(|entry| entry.step == step);
        let origin = match known {
            Some(entry) => Origin::Checkpoint { step, chain: entry.chain, digest: entry.digest },
            None if step == 0 => Origin::Seed,
            None => return refuse("there is no such checkpoint"),
        };
        let (from_step, _) = record.committed_to();
        if matches!(record.status, JobStatus::Paused { .. }) && from_step == step {
            return Ok(());
        }
        if record.has_ended() {
            self.check_room_for(record)?;
        }
        let incarnation = record.newest_epoch().1;
        let mut keeping = self.keeping_of(job);
        keeping.note_rollback(Rollback { by, from_step, to_step: step, incarnation });
        self.keeping.insert(job, keeping);
        self.return_job(job, &origin);
        let record = self.job_mut(job)?;
        record.status = JobStatus::Paused { by };
        record.pausing = None;
        record.view = None;
        record.synced.clear();
        record.result = None;
        Ok(())
    }

    /// A job that had ended counts among those that have not from here on.
    fn check_room_for(&self, record: &JobRecord) -> Result<(), Rejected> {
        let open: Vec<&JobRecord> = self.jobs.values().filter(|job| !job.has_ended()).collect();
        let bytes = |job: &JobRecord| job.name.len() + job.spec_toml.len();
        let limits = [
            ("jobs that have not ended", open.len() + 1, JOBS_MAX),
            (
                "bytes of jobs that have not ended",
                open.iter().copied().map(bytes).sum::<usize>() + bytes(record),
                OPEN_JOBS_BYTES_MAX,
            ),
            (
                "jobs that ran and have not ended",
                open.iter().filter(|job| job.has_run()).count() + 1,
                STARTED_JOBS_MAX,
            ),
        ];
        match limits.into_iter().find(|(_, count, max)| count > max) {
            Some((what, _, max)) => Err(Rejected::LimitReached { what, max }),
            None => Ok(()),
        }
    }

    /// Members of a running job save the state after `step`.
    pub(super) fn schedule_checkpoint(&mut self, job: JobId, step: u64) -> Result<(), Rejected> {
        let record = self.running_mut(job)?;
        let (committed, steps) = (record.committed_to().0, record.plan.steps);
        let keeping = self.keeping.entry(job).or_default();
        if keeping.due.last() == Some(&step) {
            return Ok(());
        }
        if step <= committed || step > steps || keeping.due.last().is_some_and(|last| step <= *last) {
            let what = "its step is past, or not after the one that is due";
            return Err(Rejected::CheckpointRefused { step, what });
        }
        keeping.due.push(step);
        let surplus = keeping.due.len().saturating_sub(DUE_SAVES_MAX);
        keeping.due.drain(..surplus);
        Ok(())
    }
}
