//! Halting a job at the border of a step: why, and what has to be on record before it loses its view.

use super::input_output::CoordinatorOutput;
use super::limits::HALT_HOLDERS_MS;
use super::liveness::Fate;
use super::machine::{Coordinator, Pass};
use super::proposals::ProposalKey;
use crate::ids::{Chain, Digest, Life, NodeId};
use crate::ledger::{JobRecord, LedgerCommand};
use crate::view::{Member, View};

/// A member's word on where it stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HaltedState {
    pub(super) step: u64,
    pub(super) chain: Chain,
    pub(super) digest: Digest,
}

impl Coordinator {
    /// Why the job should stop at the border of a step, in words, if it should: somebody wants it to pause, or those
    /// who stay all leave and nobody could come instead.
    pub(super) fn why_halt(
        &self,
        pass: &Pass<'_>,
        job: &JobRecord,
        staying: &[Member],
        joinable: &[Life],
    ) -> Option<String> {
        if let Some(by) = job.pausing {
            return Some(format!("paused on {}", by.friendly_name()));
        }
        let leaves =
            |member: &&Member| pass.ledger.nodes.get(&member.node).is_some_and(|record| record.is_leaving);
        let (leavers, others): (Vec<&Member>, Vec<&Member>) = staying.iter().partition(leaves);
        let has_heir = others.iter().any(|member| {
            // A member that only fetches the state yet goes on later, unless it drains too.
            job.is_synced(member) || pass.ledger.takes_work(member.node)
        });
        let is_here = |member: &&Member| self.liveness.fate(pass.ledger, member.life()) == Fate::Alive;
        if leavers.is_empty() || !leavers.iter().all(is_here) || has_heir || !joinable.is_empty() {
            return None;
        }
        let names: Vec<String> = leavers.iter().map(|member| member.node.friendly_name()).collect();
        let verb = if names.len() == 1 { "leaves" } else { "leave" };
        Some(format!("{} {verb} and nobody can go on: halts at the border of a step", names.join(" and ")))
    }

    /// Takes the view away from a job whose members have all stopped at one step, once its state is on record. Whether
    /// it is to lose its view or to end.
    pub(super) fn decide_halt(&mut self, pass: &mut Pass<'_>, job: &JobRecord, view: &View) -> bool {
        let Some(state) = self.halted_state(pass, job, view) else { return false };
        match state {
            Ok(state) => self.commit_halt(pass, job, view, state),
            Err(reason) => {
                if self.proposals.is_due(pass.now, ProposalKey::End(job.id)) {
                    let command = LedgerCommand::FailJob { job: job.id, reason };
                    pass.out.push(CoordinatorOutput::Propose(command));
                }
                true
            }
        }
    }

    /// Where all members of `view` stopped, or in words how they contradict each other; `None` while some are on their
    /// way. At the last step the job is done instead.
    fn halted_state(
        &mut self,
        pass: &mut Pass<'_>,
        job: &JobRecord,
        view: &View,
    ) -> Option<Result<HaltedState, String>> {
        let reports = self.reports.as_ref()?;
        let state_of = |member: &Member| reports.halted.get(&member.node).copied();
        let states: Vec<(NodeId, HaltedState)> =
            view.members.iter().filter_map(|member| Some((member.node, state_of(member)?))).collect();
        let missing = view.members.iter().filter(|member| state_of(member).is_none());
        let missing: Vec<(String, _)> = missing
            .map(|member| {
                let since = reports.members.get(&member.node).map_or(pass.now, |known| known.advanced_at);
                (member.node.friendly_name(), since)
            })
            .collect();
        for (name, since) in &missing {
            self.wait(pass, format!("waits for {name} to halt"), *since, None);
        }
        let (_, first) = states.first().copied()?;
        let same_step = states.iter().all(|(_, state)| state.step == first.step);
        if !missing.is_empty() || !same_step || first.step >= job.plan.steps {
            return None;
        }
        if states.iter().all(|(_, state)| *state == first) {
            return Some(Ok(first));
        }
        let words: Vec<String> = states
            .iter()
            .map(|(node, state)| {
                let (digest, chain) = (state.digest.short(), state.chain.short());
                format!("{} has digest {digest} (chain {chain})", node.friendly_name())
            })
            .collect();
        let (step, words) = (first.step, words.join(", "));
        Some(Err(format!("members halted after step {step} with different states: {words}")))
    }

    fn commit_halt(&mut self, pass: &mut Pass<'_>, job: &JobRecord, view: &View, state: HaltedState) -> bool {
        let HaltedState { step, chain, .. } = state;
        let Some(reports) = &mut self.reports else { return false };
        if (reports.stable.0, reports.stable.1) != (step, chain) {
            return false;
        }
        if step > 0 {
            let newest = job.checkpoints.last().filter(|entry| (entry.step, entry.chain) == (step, chain));
            let Some(entry) = newest else {
                let what = format!("waits for a checkpoint of step {step}, where the job halted");
                self.wait(pass, what, pass.now, None);
                return false;
            };
            let recorded_at = match reports.halt_recorded {
                Some((known, at)) if known == step => at,
                _ => pass.now,
            };
            reports.halt_recorded = Some((step, recorded_at));
            let lacks = |member: &&Member| !entry.holders.contains(&member.node);
            let names: Vec<String> =
                view.members.iter().filter(lacks).map(|member| member.node.friendly_name()).collect();
            let until = recorded_at.plus(HALT_HOLDERS_MS);
            if !names.is_empty() && pass.now < until {
                let what = format!("waits for {} to write the checkpoint of step {step}", names.join(", "));
                self.wait(pass, what, recorded_at, Some((until, "the halt is committed without them")));
                return false;
            }
        }
        if self.commit_stable(pass, job)
            && self.proposals.is_due(pass.now, ProposalKey::Halt(job.id, view.epoch))
        {
            let command = LedgerCommand::CommitHalt { job: job.id, epoch: view.epoch, step, chain };
            pass.out.push(CoordinatorOutput::Propose(command));
        }
        true
    }
}
