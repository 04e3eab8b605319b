//! Reports on their way in: held until the ledger shows what they are about.

use super::divergence;
use super::failures::FAILURE_REASON_BYTES_MAX;
use super::input_output::CoordinatorOutput;
use super::limits::{REPORTS_EARLY_MAX, UNWRITTEN_REASON_BYTES_MAX};
use super::machine::{Coordinator, Pass};
use super::proposals::ProposalKey;
use super::stragglers;
use crate::ids::{JobId, Life, NodeId};
use crate::ledger::limits::{FAILED_SAMPLES_MAX, cut};
use crate::ledger::{JobRecord, LedgerCommand};
use crate::view::View;
use crate::wire::control::{Report, ReportEvent};

impl Coordinator {
    /// Keeps a report for the next pass. A full queue drops the oldest: members repeat themselves to a new coordinator,
    /// and one that has the office empties the queue at once.
    pub(super) fn hold(&mut self, from: NodeId, mut report: Report) {
        if let ReportEvent::MicrobatchFailed { samples, reason, .. } = &mut report.event {
            samples.truncate(FAILED_SAMPLES_MAX);
            samples.shrink_to_fit();
            cut(reason, FAILURE_REASON_BYTES_MAX);
            reason.shrink_to_fit();
        }
        if let ReportEvent::CheckpointNotWritten { reason, .. } = &mut report.event {
            cut(reason, UNWRITTEN_REASON_BYTES_MAX);
            reason.shrink_to_fit();
        }
        if let ReportEvent::Applied { sample: Some(sample), .. } = &mut report.event {
            divergence::bound(sample);
        }
        if let ReportEvent::Waiting(wait) = &mut report.event {
            stragglers::bound(wait);
        }
        if self.reports_early.len() >= REPORTS_EARLY_MAX {
            self.reports_early.pop_front();
        }
        self.reports_early.push_back((from, report));
    }

    /// Reads what is on `view` of `job`, keeps what is on a later view, lineage or job, drops the rest.
    pub(super) fn read_reports(&mut self, pass: &Pass<'_>, job: JobId, view: &View) {
        let Some(reports) = &mut self.reports else { return };
        self.progress.is_due |= reports.enter(pass.now, view);
        for (from, report) in std::mem::take(&mut self.reports_early) {
            let Some(reports) = &mut self.reports else { return };
            let is_later = if report.job == job {
                (report.incarnation, report.epoch) > (view.incarnation, view.epoch)
            } else {
                pass.ledger.jobs.get(&report.job).is_none_or(|other| !other.has_ended())
            };
            if is_later {
                self.reports_early.push_back((from, report));
            } else if report.job != job {
                continue;
            } else if let ReportEvent::Outside { is_idle } = report.event {
                let life = Life { node: from, boot: report.boot };
                self.outside(pass, view, life, is_idle);
            } else {
                reports.receive(pass.now, view, from, report);
                self.progress.is_due = true;
            }
        }
    }

    /// Makes the ledger show who has the state: only then do views count on them.
    pub(super) fn propose_synced(&mut self, pass: &mut Pass<'_>, job: &JobRecord) {
        let Some(reports) = &self.reports else { return };
        for (life, tenure) in reports.synced.difference(&job.synced) {
            if self.proposals.is_due(pass.now, ProposalKey::Synced(job.id, *life, *tenure)) {
                let command = LedgerCommand::RecordSynced { job: job.id, life: *life, tenure: *tenure };
                pass.out.push(CoordinatorOutput::Propose(command));
            }
        }
    }
}
