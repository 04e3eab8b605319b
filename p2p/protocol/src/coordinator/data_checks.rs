//! What nodes found where a job's data should be, and what follows for the job.

use std::collections::BTreeMap;

use super::founding::Usable;
use super::limits::CHECKS_MAX;
use crate::ids::{Boot, JobId, NodeId};
use crate::ledger::limits::cut;
use crate::ledger::{JobRecord, JobStatus, Ledger};
use crate::wire::control::{CHECK_REASON_BYTES_MAX, JobCheck};

/// Words of all nodes, the latest of each on each job.
#[derive(Debug, Default)]
pub(super) struct DataChecks {
    /// By the job's place in the queue, the job and the node, at most [`CHECKS_MAX`]: those of the jobs that come
    /// first.
    words: BTreeMap<(u64, JobId, NodeId), Word>,
}

/// What one process found.
#[derive(Debug)]
struct Word {
    boot: Boot,
    outcome: Result<[u8; 32], String>,
}

/// What a node's word means for a job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Its registered process has not said anything yet.
    Unknown,
    /// It has the data that the job was submitted with.
    Same,
    /// It has not, in words.
    Unusable(String),
}

impl DataChecks {
    /// Takes note of a word on a job that may still need it.
    pub(super) fn note(&mut self, ledger: &Ledger, from: NodeId, check: JobCheck) {
        let Some(job) = ledger.jobs.get(&check.job).filter(|job| !job.has_ended()) else { return };
        let mut outcome = check.outcome;
        if let Err(reason) = &mut outcome {
            cut(reason, CHECK_REASON_BYTES_MAX);
        }
        self.words.insert((job.order, job.id, from), Word { boot: check.boot, outcome });
        if self.words.len() > CHECKS_MAX {
            self.words.pop_last();
        }
    }

    /// Forgets words on jobs that have ended and of nodes that are not registered.
    pub(super) fn prune(&mut self, ledger: &Ledger) {
        self.words.retain(|(_, job, node), _| {
            ledger.nodes.contains_key(node) && ledger.jobs.get(job).is_some_and(|job| !job.has_ended())
        });
    }

    /// Jobs in the queue that never ran, each with a node of `able` that was here when it came and cannot use its data,
    /// and why.
    pub(super) fn unusable(&self, ledger: &Ledger, able: &Usable) -> Vec<(JobId, NodeId, String)> {
        let mut found: BTreeMap<JobId, (NodeId, String)> = BTreeMap::new();
        for (_, id, node) in self.words.keys() {
            let Some((boot, _)) = able.get(node) else { continue };
            let Some(job) = ledger.jobs.get(id) else { continue };
            if job.status != JobStatus::Queued || job.has_run() || !ledger.may_refuse(*node, job) {
                continue;
            }
            if let Verdict::Unusable(reason) = self.verdict(job, *node, *boot) {
                found.entry(*id).or_insert((*node, reason));
            }
        }
        found.into_iter().map(|(job, (node, reason))| (job, node, reason)).collect()
    }

    /// What process `boot` of `node` means for `job`.
    pub(super) fn verdict(&self, job: &JobRecord, node: NodeId, boot: Boot) -> Verdict {
        match self.words.get(&(job.order, job.id, node)) {
            Some(word) if word.boot == boot => match &word.outcome {
                Ok(digest) if *digest == job.data_digest => Verdict::Same,
                Ok(digest) => Verdict::Unusable(format!(
                    "{} has other data than {}: digest {}, not {}",
                    node.friendly_name(),
                    job.submitted_by.friendly_name(),
                    short(digest),
                    short(&job.data_digest)
                )),
                Err(reason) => Verdict::Unusable(reason.clone()),
            },
            _ => Verdict::Unknown,
        }
    }
}

/// The first eight hexadecimal digits, for people.
fn short(digest: &[u8; 32]) -> String {
    digest.iter().take(4).map(|byte| format!("{byte:02x}")).collect()
}
