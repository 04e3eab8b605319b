//! The queue of jobs: one runs, the others say what they wait for.

use std::collections::BTreeSet;

use super::limits::STARTED_JOBS_MAX;
use super::{JobRecord, JobStatus, Ledger};
use crate::ids::{JobId, NodeId};

impl Ledger {
    /// The job that runs.
    #[must_use]
    pub fn running_job(&self) -> Option<&JobRecord> {
        self.jobs.values().find(|job| job.status == JobStatus::Running)
    }

    /// The queued jobs in the order in which they start.
    #[must_use]
    pub fn queued_jobs(&self) -> Vec<&JobRecord> {
        let mut queued: Vec<_> = self.jobs.values().filter(|job| job.status == JobStatus::Queued).collect();
        queued.sort_by_key(|job| (job.order, job.id));
        queued
    }

    /// The queued jobs that could start on the nodes `live` once none runs, in their order. One that waits for nodes
    /// holds up nobody.
    pub fn startable_jobs(&self, live: &BTreeSet<NodeId>) -> impl Iterator<Item = &JobRecord> {
        let able: BTreeSet<NodeId> = self.able(live);
        self.queued_jobs().into_iter().filter(move |job| self.lacks(job, &able).is_none())
    }

    /// What a queued job waits for while the nodes `live` are here; `None` if it is not queued or nothing that the
    /// ledger knows of keeps it from starting.
    #[must_use]
    pub fn job_queue_reason(&self, job: JobId, live: &BTreeSet<NodeId>) -> Option<String> {
        let record = self.jobs.get(&job).filter(|record| record.status == JobStatus::Queued)?;
        if let Some(running) = self.running_job() {
            return Some(format!("waits for job {} ({}), which runs on all nodes", running.name, running.id));
        }
        if let Some(lack) = self.lacks(record, &self.able(live)) {
            return Some(lack);
        }
        let next = self.startable_jobs(live).next().filter(|next| next.id != job)?;
        Some(format!("waits for job {} ({}), which is next", next.name, next.id))
    }

    /// Whether so many jobs ran and have not ended that no further one may start.
    pub(super) fn is_full_of_started_jobs(&self) -> bool {
        self.jobs.values().filter(|job| job.has_run() && !job.has_ended()).count() >= STARTED_JOBS_MAX
    }

    /// Those of `live` that are registered and may get work.
    fn able(&self, live: &BTreeSet<NodeId>) -> BTreeSet<NodeId> {
        live.iter().copied().filter(|node| self.takes_work(*node)).collect()
    }

    /// What `job` lacks to start on the nodes `able`, in words.
    fn lacks(&self, job: &JobRecord, able: &BTreeSet<NodeId>) -> Option<String> {
        let (here, needed) = (able.len(), job.plan.nodes_min as usize);
        if here < needed {
            let (nodes, are) =
                (if needed == 1 { "node" } else { "nodes" }, if here == 1 { "is" } else { "are" });
            return Some(format!("waits for {needed} {nodes}, {here} {are} here"));
        }
        if let Some(newest) = job.origins().next()
            && job.origins().all(|entry| entry.holders.is_disjoint(able))
        {
            let names: Vec<String> = newest.holders.iter().map(NodeId::friendly_name).collect();
            let (step, none) = (newest.step, "none is left".to_owned());
            let names = if names.is_empty() { none } else { names.join(", ") };
            return Some(format!("waits for a holder of the checkpoint of step {step} ({names})"));
        }
        if !job.has_run() && self.is_full_of_started_jobs() {
            return Some(format!("waits for one of {STARTED_JOBS_MAX} jobs that halted to go on or end"));
        }
        None
    }
}
