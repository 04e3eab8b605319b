//! The queue of jobs: one runs, the others say what they wait for.

use std::collections::BTreeSet;

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

    /// The job that starts on `nodes` nodes once none runs: the first in the queue that needs no more of them. One
    /// that waits for nodes holds up nobody.
    #[must_use]
    pub fn next_job(&self, nodes: usize) -> Option<&JobRecord> {
        self.queued_jobs().into_iter().find(|job| job.plan.nodes_min as usize <= nodes)
    }

    /// What a queued job waits for while the nodes `live` are here; `None` if it is not queued or starts now.
    #[must_use]
    pub fn job_queue_reason(&self, job: JobId, live: &BTreeSet<NodeId>) -> Option<String> {
        let record = self.jobs.get(&job).filter(|record| record.status == JobStatus::Queued)?;
        if let Some(running) = self.running_job() {
            return Some(format!("waits for job {} ({}), which runs on all nodes", running.name, running.id));
        }
        let here = live.iter().filter(|node| self.nodes.contains_key(node)).count();
        let needed = record.plan.nodes_min as usize;
        if here < needed {
            let (nodes, are) =
                (if needed == 1 { "node" } else { "nodes" }, if here == 1 { "is" } else { "are" });
            return Some(format!("waits for {needed} {nodes}, {here} {are} here"));
        }
        let next = self.next_job(here).filter(|next| next.id != job)?;
        Some(format!("waits for job {} ({}), which is next", next.name, next.id))
    }
}
