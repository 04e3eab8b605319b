//! Micro-batches that gave no finite gradient: computed once more elsewhere, and if they fail again the job stops.

use super::input_output::CoordinatorOutput;
use super::limits::FAILURES_PENDING_MAX;
use super::machine::{Coordinator, Pass};
use super::proposals::ProposalKey;
use super::reports::JobReports;
use crate::ids::{Epoch, NodeId};
use crate::ledger::limits::FAILED_MICROBATCHES_MAX;
use crate::ledger::{JobRecord, LedgerCommand, MicrobatchFailure};

/// Sample ids named in the reason of a failed job.
const SAMPLES_SHOWN: usize = 16;

/// Longest reason of a failed micro-batch, bytes: two of them and their samples fit into the reason of a failed job.
pub(super) const FAILURE_REASON_BYTES_MAX: usize = 512;

/// A failure that a member reported.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PendingFailure {
    pub(super) node: NodeId,
    pub(super) epoch: Epoch,
    samples: Vec<u32>,
    reason: String,
}

impl PendingFailure {
    pub(super) fn new(node: NodeId, epoch: Epoch, samples: Vec<u32>, reason: String) -> Self {
        Self { node, epoch, samples, reason }
    }
}

impl JobReports {
    pub(super) fn microbatch_failed(&mut self, at: (u64, u32), failure: PendingFailure) {
        let is_newer = self.failures.get(&at).is_none_or(|known| known.epoch < failure.epoch);
        if at.0 >= self.stable.0 && is_newer {
            self.failures.insert(at, failure);
        }
        if self.failures.len() > FAILURES_PENDING_MAX {
            self.failures.pop_last();
        }
    }
}

impl Coordinator {
    /// Records first failures and ends the job at a second one. Whether the job is to end.
    pub(super) fn decide_failures(&mut self, pass: &mut Pass<'_>, job: &JobRecord) -> bool {
        let Some(reports) = &mut self.reports else { return false };
        // Whoever is at a later step has the results of this one: nobody needs the micro-batch any more.
        let newest = job.failed_microbatches.iter().map(|failure| failure.step).max().unwrap_or(0);
        reports.failures.retain(|(step, microbatch), failure| {
            *step >= newest
                && job.failure_of(*step, *microbatch).is_none_or(|first| first.epoch < failure.epoch)
        });
        let mut room = FAILED_MICROBATCHES_MAX.saturating_sub(job.failed_microbatches.len());
        for ((step, microbatch), failure) in &reports.failures {
            if let Some(first) = job.failure_of(*step, *microbatch) {
                let reason = failed_twice(job, first, failure);
                if self.proposals.is_due(pass.now, ProposalKey::End(job.id)) {
                    let command = LedgerCommand::FailJob { job: job.id, reason };
                    pass.out.push(CoordinatorOutput::Propose(command));
                }
                return true;
            }
            if room == 0 || *microbatch >= job.plan.microbatches {
                continue;
            }
            room -= 1;
            if self.proposals.is_due(pass.now, ProposalKey::Failure(job.id, *step, *microbatch)) {
                pass.out.push(CoordinatorOutput::Propose(LedgerCommand::FailMicrobatch {
                    job: job.id,
                    step: *step,
                    microbatch: *microbatch,
                    samples: failure.samples.clone(),
                    node: failure.node,
                    reason: failure.reason.clone(),
                }));
            }
        }
        false
    }
}

fn failed_twice(job: &JobRecord, first: &MicrobatchFailure, second: &PendingFailure) -> String {
    let shown: Vec<String> = first.samples.iter().take(SAMPLES_SHOWN).map(u32::to_string).collect();
    let more = if first.samples.len() > SAMPLES_SHOWN { ", …" } else { "" };
    let checkpoint = job.checkpoints.last().map_or("there is no checkpoint".to_owned(), |entry| {
        format!("the last good checkpoint is that of step {} (chain {})", entry.step, entry.chain.short())
    });
    format!(
        "step {}, micro-batch {} (samples {}{more}) failed twice: on {}: {}; on {}: {}; {checkpoint}",
        first.step,
        first.microbatch,
        shown.join(", "),
        first.node.friendly_name(),
        first.reason,
        second.node.friendly_name(),
        second.reason,
    )
}
