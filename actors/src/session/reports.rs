//! What a member has to tell the coordinator. Reports are facts that stay true, so they are kept and said again: to a
//! new coordinator, in a new view, and once a second in case one was lost on the way.

use std::collections::BTreeMap;

use traind_protocol::ids::{Boot, Chain, Digest, Epoch, Incarnation, JobId};
use traind_protocol::wire::control::{Report, ReportEvent};

/// Checkpoints whose report is repeated; the ledger keeps no more of one job.
const CHECKPOINTS_REPEATED_MAX: usize = 16;

/// Failed micro-batches whose report is repeated: one ends the job at its second failure.
const FAILURES_REPEATED_MAX: usize = 8;

/// The latest facts of one session.
#[derive(Debug)]
pub(super) struct Reports {
    job: JobId,
    boot: Boot,
    incarnation: Incarnation,
    epoch: Epoch,
    tenure: Option<Epoch>,
    synced: Option<(Epoch, u64, Chain)>,
    applied: Option<ReportEvent>,
    checkpoints: BTreeMap<u64, (Chain, Digest, u64)>,
    failures: Vec<ReportEvent>,
    finished: Option<ReportEvent>,
}

impl Reports {
    /// Nothing to tell yet.
    #[must_use]
    pub(super) fn new(job: JobId, boot: Boot) -> Self {
        Self {
            job,
            boot,
            incarnation: Incarnation::default(),
            epoch: Epoch::default(),
            tenure: None,
            synced: None,
            applied: None,
            checkpoints: BTreeMap::new(),
            failures: Vec::new(),
            finished: None,
        }
    }

    /// A view was entered: from now on facts are told as of this epoch. Facts of another tenure are no longer facts:
    /// a member that is admitted again has to get the state first.
    pub(super) fn enter(&mut self, incarnation: Incarnation, epoch: Epoch, tenure: Option<Epoch>) {
        if tenure != self.tenure {
            self.forget();
        }
        self.tenure = tenure;
        self.incarnation = incarnation;
        self.epoch = epoch;
        self.failures.clear();
    }

    /// The tenure ended: nothing that was told holds any more but what is on disk.
    pub(super) fn forget(&mut self) {
        self.synced = None;
        self.applied = None;
        self.finished = None;
        self.failures.clear();
    }

    /// Keeps a fact and gives the report to send now.
    pub(super) fn record(&mut self, event: ReportEvent) -> Report {
        match &event {
            ReportEvent::Synced { step, chain } => self.synced = Some((self.epoch, *step, *chain)),
            ReportEvent::Applied { .. } => self.applied = Some(event.clone()),
            ReportEvent::CheckpointWritten { step, chain, digest, bytes } => {
                self.checkpoints.insert(*step, (*chain, *digest, *bytes));
                while self.checkpoints.len() > CHECKPOINTS_REPEATED_MAX {
                    self.checkpoints.pop_first();
                }
            }
            ReportEvent::MicrobatchFailed { .. } => {
                if self.failures.len() < FAILURES_REPEATED_MAX {
                    self.failures.push(event.clone());
                }
            }
            ReportEvent::Finished { .. } => self.finished = Some(event.clone()),
        }
        self.report(event)
    }

    /// Everything that still has to be known, as of the present epoch.
    pub(super) fn repeat(&self) -> Vec<Report> {
        let synced = self.synced.iter().map(|&(_, step, chain)| ReportEvent::Synced { step, chain });
        let checkpoints = self.checkpoints.iter().map(|(&step, &(chain, digest, bytes))| {
            ReportEvent::CheckpointWritten { step, chain, digest, bytes }
        });
        synced
            .chain(self.applied.clone())
            .chain(checkpoints)
            .chain(self.failures.iter().cloned())
            .chain(self.finished.clone())
            .map(|event| self.report(event))
            .collect()
    }

    fn report(&self, event: ReportEvent) -> Report {
        Report { job: self.job, incarnation: self.incarnation, epoch: self.epoch, boot: self.boot, event }
    }
}
