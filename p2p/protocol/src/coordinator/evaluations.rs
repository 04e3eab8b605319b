//! What the held-out samples gave: recorded once its step is stable.

use super::input_output::CoordinatorOutput;
use super::machine::{Coordinator, Pass};
use super::proposals::ProposalKey;
use crate::ledger::{JobRecord, LedgerCommand};

impl Coordinator {
    /// Records evaluations of stable steps, which commits those steps.
    pub(super) fn decide_evaluations(&mut self, pass: &mut Pass<'_>, job: &JobRecord) {
        let Some(reports) = &mut self.reports else { return };
        let newest = job.evaluations.last().map(|entry| entry.step);
        reports.evaluations.retain(|step, _| newest.is_none_or(|newest| *step > newest));
        let stable = reports.evaluations.range(..=reports.stable.0);
        let pending: Vec<_> = stable.map(|(step, totals)| (*step, *totals)).collect();
        for (step, totals) in pending {
            if step > job.committed_to().0 && !self.commit_stable(pass, job) {
                return;
            }
            if self.proposals.is_due(pass.now, ProposalKey::Evaluation(job.id, step)) {
                let command = LedgerCommand::RecordEvaluation { job: job.id, step, totals };
                pass.out.push(CoordinatorOutput::Propose(command));
            }
        }
    }
}
