//! Micro-batches that gave no finite gradient: computed once more elsewhere, and if they fail again the job stops.

use std::collections::BTreeMap;

use super::input_output::CoordinatorOutput;
use super::limits::FAILURES_PENDING_OF_ONE_MAX;
use super::machine::{Coordinator, Pass};
use super::member_reports::MemberReports;
use super::proposals::ProposalKey;
use super::reports::JobReports;
use crate::ids::{Epoch, Life, NodeId};
use crate::ledger::limits::FAILED_MICROBATCHES_MAX;
use crate::ledger::{JobRecord, LedgerCommand, MicrobatchFailure};
use crate::view::{Member, View};

/// Sample ids named in the reason of a failed job.
const SAMPLES_SHOWN: usize = 16;

/// Longest reason of a failed micro-batch, bytes: two of them and their samples fit into the reason of a failed job.
pub(super) const FAILURE_REASON_BYTES_MAX: usize = 512;

/// So many failed micro-batches of a step on one node say that it is the node, and leave room for those of others.
pub(super) const FAILED_OF_ONE_MAX: usize = FAILED_MICROBATCHES_MAX / 2;

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
    pub(super) fn microbatch_failed(&mut self, step: u64, microbatch: u32, failure: PendingFailure) {
        let (at, node) = ((step, microbatch, failure.node), failure.node);
        let is_newer = self.failures.get(&at).is_none_or(|known| known.epoch < failure.epoch);
        if (self.stable.0..self.steps).contains(&step) && is_newer {
            self.failures.insert(at, failure);
        }
        let mut of_it = self.failures.keys().filter(|(_, _, of)| *of == node).rev();
        let last = of_it.next().copied().filter(|_| of_it.count() >= FAILURES_PENDING_OF_ONE_MAX);
        last.map(|last| self.failures.remove(&last));
    }

    /// Whether `node` may be at `step`, by the word of others that have the state. What one says of a later step, which would put
    /// failures of this one in the past, waits until another has come there: whoever is ahead holds the results that lead there.
    fn may_be_at(&self, job: &JobRecord, node: NodeId, step: u64) -> bool {
        let has_state = |node: NodeId, known: &MemberReports| {
            job.synced.contains(&(Life { node, boot: known.boot }, known.tenure))
        };
        let others =
            self.members.iter().filter(|(other, known)| **other != node && has_state(**other, known));
        let reached = others.map(|(_, known)| known.step()).max();
        reached.is_none_or(|reached| step <= reached.unwrap_or(0).max(self.stable.0))
    }

    /// Members whose word on micro-batches of `job` says more of themselves, and why: one failed there again, or failed there
    /// although another has the lease of it, or many did in one step. What that says of the micro-batch, another member has to say.
    fn failing(&self, job: &JobRecord, view: &View) -> BTreeMap<NodeId, String> {
        let mut failing = BTreeMap::new();
        for ((step, microbatch, node), failure) in &self.failures {
            let first = job.failure_of(*step, *microbatch).filter(|first| first.epoch < failure.epoch);
            if first.is_some_and(|first| !is_second(view, first, *microbatch, *node)) {
                let why = format!("micro-batch {microbatch} of step {step} failed there again");
                failing.entry(*node).or_insert(why);
            }
        }
        for MicrobatchFailure { step, node, .. } in &job.failed_microbatches {
            let of_it = job.failed_microbatches.iter().filter(|failure| failure.node == *node).count();
            if of_it >= FAILED_OF_ONE_MAX {
                let why = format!("{of_it} micro-batches of step {step} failed there");
                failing.entry(*node).or_insert(why);
            }
        }
        failing
    }
}

/// Whether a failure of `microbatch` on `node` after the `first` is that of another member, which has the lease.
fn is_second(view: &View, first: &MicrobatchFailure, microbatch: u32, node: NodeId) -> bool {
    first.node != node && view.lease_holder(microbatch) == Some(node)
}

impl Coordinator {
    /// Records first failures and ends the job at a second one, which is of another node where there is another. Whether the
    /// job is to end.
    pub(super) fn decide_failures(&mut self, pass: &mut Pass<'_>, job: &JobRecord) -> bool {
        let Some(reports) = &mut self.reports else { return false };
        // Whoever is at a later step has the results of this one: nobody needs the micro-batch any more.
        let newest = job.failed_microbatches.iter().map(|failure| failure.step).max().unwrap_or(0);
        reports.failures.retain(|(step, microbatch, _), failure| {
            *step >= newest
                && job.failure_of(*step, *microbatch).is_none_or(|first| first.epoch < failure.epoch)
        });
        let mut room = FAILED_MICROBATCHES_MAX.saturating_sub(job.failed_microbatches.len());
        for ((step, microbatch, node), failure) in &reports.failures {
            if let Some(first) = job.failure_of(*step, *microbatch) {
                let is_second =
                    job.view.as_ref().is_some_and(|view| is_second(view, first, *microbatch, *node));
                if !is_second && has_others(job, *node) {
                    continue;
                }
                let reason = failed_twice(job, first, failure);
                if self.proposals.is_due(pass.now, ProposalKey::End(job.id)) {
                    let command = LedgerCommand::FailJob { job: job.id, reason };
                    pass.out.push(CoordinatorOutput::Propose(command));
                }
                return true;
            }
            if room == 0 || *microbatch >= job.plan.microbatches || !reports.may_be_at(job, *node, *step) {
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

    /// Takes members out of `staying` whose word on micro-batches says more of themselves, if another has the state, and says so in
    /// words. Their nodes wait as those of members that hold up a step do.
    pub(super) fn part_from_failing(
        &mut self,
        pass: &Pass<'_>,
        job: &JobRecord,
        view: &View,
        staying: &mut Vec<Member>,
        reasons: &mut Vec<String>,
    ) {
        let Some(reports) = &self.reports else { return };
        for (node, why) in reports.failing(job, view) {
            let others = staying.iter().any(|member| member.node != node && job.is_synced(member));
            let Some(position) = staying.iter().position(|member| member.node == node && others) else {
                continue;
            };
            let member = staying.remove(position);
            reasons.push(format!("{}: {why}", node.friendly_name()));
            if let Some((_, delay_ms)) = self.straggled.count(&member) {
                self.admissions.refuse_setback(node, pass.now, delay_ms, why);
                self.admissions.must_answer(member.life(), pass.now);
            }
        }
    }
}

/// Whether another node than `node` has the state.
fn has_others(job: &JobRecord, node: NodeId) -> bool {
    job.synced.iter().any(|(life, _)| life.node != node)
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
