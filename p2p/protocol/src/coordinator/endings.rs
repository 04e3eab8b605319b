//! The end of a job: all members hold the final state and agree on it, or they do not.

use super::checkpoints::writers;
use super::input_output::CoordinatorOutput;
use super::limits::{FINAL_CHECKPOINT_WAIT_MS, FINAL_COPIES_WAIT_MS};
use super::machine::{Coordinator, Pass};
use super::proposals::ProposalKey;
use super::reports::FinishedState;
use crate::ids::NodeId;
use crate::ledger::{JobRecord, JobResult, LedgerCommand};
use crate::view::View;

impl Coordinator {
    /// Ends the job if every member of its newest view has finished. Whether it is to end.
    pub(super) fn decide_finish(&mut self, pass: &mut Pass<'_>, job: &JobRecord, view: &View) -> bool {
        let Some(reports) = &mut self.reports else { return false };
        let finished: Vec<(NodeId, FinishedState)> = view
            .members
            .iter()
            .filter_map(|member| {
                let state = reports.finished.get(&(member.life(), member.tenure))?;
                Some((member.node, *state))
            })
            .collect();
        if finished.len() < view.members.len() {
            return false;
        }
        let Some((_, state)) = finished.first().copied() else { return false };
        let same = |other: &FinishedState| {
            (other.step, other.chain, other.digest) == (state.step, state.chain, state.digest)
        };
        let step = state.step;
        let (stable, stable_chain, _) = reports.stable;
        let contradicts_stable = stable >= step && stable_chain != state.chain;
        if contradicts_stable || !finished.iter().all(|(_, other)| same(other)) {
            self.end(pass, LedgerCommand::FailJob { job: job.id, reason: disagreement(&finished) }, job);
            return true;
        }
        if reports.stable.0 < step {
            reports.set_stable(step, state.chain, view.epoch);
        }
        let loss = reports.point_at(step).map_or(f64::NAN, |point| point.loss);
        self.decide_evaluations(pass, job);
        self.decide_checkpoints(pass, job, view, true);
        if self.commit_stable(pass, job) && !self.waits_for_final_checkpoint(pass, job, view, step) {
            let FinishedState { step, chain, digest, test_correct, test_total } = state;
            let result = JobResult { step, chain, digest, loss, test_correct, test_total };
            self.end(pass, LedgerCommand::FinishJob { job: job.id, result }, job);
        }
        true
    }

    /// What came out of the job must be on a disk before it ends: afterwards nobody listens to reports on it.
    fn waits_for_final_checkpoint(
        &mut self,
        pass: &mut Pass<'_>,
        job: &JobRecord,
        view: &View,
        step: u64,
    ) -> bool {
        let writers = writers(pass, job, view, step);
        let recorded = job.checkpoints.iter().find(|entry| entry.step == step);
        let lacking = recorded.map(|entry| writers.difference(&entry.holders).copied().collect::<Vec<_>>());
        if lacking.as_ref().is_some_and(Vec::is_empty) {
            return false;
        }
        let since = match self.all_finished {
            Some((id, epoch, since)) if (id, epoch) == (job.id, view.epoch) => since,
            _ => pass.now,
        };
        self.all_finished = Some((job.id, view.epoch, since));
        let (until, what, then) = match lacking {
            None => {
                let what = "the final state to be written to a disk".to_owned();
                (since.plus(FINAL_CHECKPOINT_WAIT_MS), what, "the job ends without it")
            }
            Some(nodes) => {
                let names: Vec<String> = nodes.iter().map(NodeId::friendly_name).collect();
                let what = format!("waits for {} to write the final state too", names.join(", "));
                (since.plus(FINAL_COPIES_WAIT_MS), what, "another node copies it")
            }
        };
        let waits = pass.now < until;
        if waits {
            self.wait(pass, what, since, Some((until, then)));
        }
        waits
    }

    fn end(&mut self, pass: &mut Pass<'_>, command: LedgerCommand, job: &JobRecord) {
        if self.proposals.is_due(pass.now, ProposalKey::End(job.id)) {
            pass.out.push(CoordinatorOutput::Propose(command));
        }
    }
}

fn disagreement(finished: &[(NodeId, FinishedState)]) -> String {
    let words: Vec<String> = finished
        .iter()
        .map(|(node, state)| {
            format!(
                "{} has digest {} (chain {})",
                node.friendly_name(),
                state.digest.short(),
                state.chain.short()
            )
        })
        .collect();
    format!("members finished with different states: {}", words.join(", "))
}
