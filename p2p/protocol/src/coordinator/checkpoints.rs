//! Checkpoints that members wrote: recorded once they are known to be of a stable state, many holders at once.

use std::collections::BTreeSet;

use super::input_output::CoordinatorOutput;
use super::limits::{CHECKPOINT_BATCH_MS, CHECKPOINTS_PENDING_MAX, COMMIT_DELAY_MS};
use super::machine::{Coordinator, Pass};
use super::proposals::ProposalKey;
use super::reports::JobReports;
use crate::ids::{Chain, Digest, ManifestId, Millis, NodeId};
use crate::ledger::{CheckpointEntry, JobRecord, LedgerCommand};
use crate::replicas::choose_writers;
use crate::view::View;

/// A state of which a checkpoint was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct WrittenState {
    pub(super) step: u64,
    pub(super) chain: Chain,
    pub(super) digest: Digest,
    pub(super) manifest: ManifestId,
    pub(super) bytes: u64,
}

impl WrittenState {
    fn is_of(&self, entry: &CheckpointEntry) -> bool {
        (self.step, self.chain, self.digest, self.manifest, self.bytes) == entry.state()
    }
}

/// Who wrote it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PendingCheckpoint {
    first_at: Millis,
    holders: BTreeSet<NodeId>,
}

impl PendingCheckpoint {
    /// Whether anybody is left.
    pub(super) fn lose_holder(&mut self, node: NodeId) -> bool {
        self.holders.remove(&node);
        !self.holders.is_empty()
    }
}

impl JobReports {
    pub(super) fn checkpoint_written(&mut self, now: Millis, node: NodeId, state: WrittenState) {
        // The state of step 0 is the seed's unless it was imported: nobody needs a checkpoint of it.
        if state.step == 0 && !self.is_imported {
            return;
        }
        let fresh = || PendingCheckpoint { first_at: now, holders: BTreeSet::new() };
        self.checkpoints.entry(state).or_insert_with(fresh).holders.insert(node);
        if self.checkpoints.len() > CHECKPOINTS_PENDING_MAX {
            self.checkpoints.pop_first();
        }
    }

    /// One chain has one digest: a checkpoint that differs from the recorded one of its step shows a broken node.
    fn name_differing_checkpoints(&mut self, job: &JobRecord) {
        let differs = |state: &WrittenState| {
            job.origins().find(|entry| entry.step == state.step && !state.is_of(entry))
        };
        let divergence = &mut self.divergence;
        self.checkpoints.retain(|state, pending| {
            let Some(entry) = differs(state) else { return true };
            let names: Vec<String> = pending.holders.iter().map(NodeId::friendly_name).collect();
            divergence.get_or_insert(format!(
                "{} wrote a checkpoint of step {} with digest {}, recorded is {}",
                names.join(", "),
                state.step,
                state.digest.short(),
                entry.digest.short()
            ));
            false
        });
    }
}

impl Coordinator {
    /// Records checkpoints of stable steps. `at_once`: do not wait for other holders, the job is about to end.
    pub(super) fn decide_checkpoints(
        &mut self,
        pass: &mut Pass<'_>,
        job: &JobRecord,
        view: &View,
        at_once: bool,
    ) {
        let Some(reports) = &mut self.reports else { return };
        let is_known = |state: &WrittenState, pending: &PendingCheckpoint| {
            let outdated = state.step > 0 && !pass.ledger.would_keep(job, state.step);
            let is_in =
                |entry: &CheckpointEntry| state.is_of(entry) && pending.holders.is_subset(&entry.holders);
            outdated || job.origins().any(is_in)
        };
        reports.name_differing_checkpoints(job);
        reports.checkpoints.retain(|state, pending| !is_known(state, pending));
        let mut due = Vec::new();
        for (state, pending) in &reports.checkpoints {
            let is_stable = |node: &&NodeId| {
                pass.ledger.nodes.contains_key(node)
                    && reports.is_stable_state(**node, state.step, state.chain)
            };
            let holders: BTreeSet<NodeId> = pending.holders.iter().filter(is_stable).copied().collect();
            if state.step > reports.stable.0 || holders.is_empty() {
                continue;
            }
            let is_complete = writers(pass, job, view, state.step).is_subset(&holders);
            let batch_ends_at = pending.first_at.plus(CHECKPOINT_BATCH_MS);
            if at_once || is_complete || pass.now >= batch_ends_at {
                due.push((*state, holders));
            } else {
                pass.wake_at(batch_ends_at);
            }
        }
        for (state, holders) in due {
            let WrittenState { step, chain, digest, manifest, bytes } = state;
            if step > job.committed_to().0 && !self.commit_stable(pass, job) {
                continue;
            }
            let recorded = job.origins().find(|entry| entry.step == step);
            let key = ProposalKey::Checkpoint(job.id, step, recorded.map_or(0, |entry| entry.holders.len()));
            if self.proposals.is_due(pass.now, key) {
                let assigned = BTreeSet::new();
                let entry = CheckpointEntry { step, chain, digest, manifest, bytes, holders, assigned };
                let command = LedgerCommand::RecordCheckpoint { job: job.id, entry };
                pass.out.push(CoordinatorOutput::Propose(command));
            }
        }
    }

    /// Stable steps get into the ledger also where no checkpoint and no view takes them along.
    pub(super) fn commit_in_time(&mut self, pass: &mut Pass<'_>, job: &JobRecord) {
        let Some(reports) = &mut self.reports else { return };
        let (committed, _) = job.committed_to();
        if reports.stable.0 <= committed {
            reports.uncommitted = None;
            return;
        }
        let known = reports.uncommitted.filter(|(behind, _)| *behind == committed);
        let (_, since) = *reports.uncommitted.insert(known.unwrap_or((committed, pass.now)));
        let due = since.plus(COMMIT_DELAY_MS);
        if pass.now < due {
            return pass.wake_at(due);
        }
        self.commit_stable(pass, job);
    }

    /// Makes the ledger show the stable steps. Whether it does, or will before anything proposed from now on.
    pub(super) fn commit_stable(&mut self, pass: &mut Pass<'_>, job: &JobRecord) -> bool {
        let Some(reports) = &self.reports else { return false };
        let (to, chain, epoch) = reports.stable;
        let (from, _) = job.committed_to();
        if to <= from {
            return true;
        }
        if pass.steps_proposed == Some(to) {
            return true;
        }
        if !self.proposals.is_due(pass.now, ProposalKey::Steps(job.id, from)) {
            return false;
        }
        pass.steps_proposed = Some(to);
        let command = LedgerCommand::CommitSteps { job: job.id, from, to, epoch, chain };
        pass.out.push(CoordinatorOutput::Propose(command));
        true
    }
}

/// Who writes the checkpoint of `step` in `view`.
pub(super) fn writers(pass: &Pass<'_>, job: &JobRecord, view: &View, step: u64) -> BTreeSet<NodeId> {
    let labels = pass.ledger.failure_labels(view);
    choose_writers(view, &labels, step, job.plan.checkpoint_replicas)
}
