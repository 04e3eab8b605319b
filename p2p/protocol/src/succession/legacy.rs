//! What a node takes along from a council that ended: jobs, data sets, drains and the states that only it had.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::limits::LEGACY_BYTES_MAX;
use crate::ids::NodeId;
use crate::ledger::{Branch, CheckpointEntry, DrainUntil, JobRecord, KeepRules, Ledger, LedgerCommand};
use crate::wire::{DecodeError, decode, encode};

/// Commands for the council that goes on. Each is proposed until its ledger shows it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Legacy {
    commands: Vec<LedgerCommand>,
}

impl Legacy {
    /// What is in `left` and must not get lost, told by `me`.
    #[must_use]
    pub fn of(left: &Ledger, me: NodeId) -> Self {
        let mut commands = Vec::new();
        for job in left.jobs.values() {
            // Another council may have more of the job: then its state contains this one.
            if let Some(newest) = job.checkpoints.last() {
                let (id, council) = (job.id, left.lineage.council);
                let state = CheckpointEntry { assigned: BTreeSet::new(), ..newest.clone() };
                commands.push(LedgerCommand::KeepBranch { branch: Branch { job: id, council, state } });
            }
            if !job.has_ended() {
                let rules = left.keeping.get(&job.id).map(|keeping| keeping.rules).unwrap_or_default();
                commands.push(submission(job, rules));
            }
        }
        for (name, record) in &left.data_sets {
            if record.holders.contains(&me) {
                let mut record = record.clone();
                record.added_by = me;
                record.holders = [me].into();
                commands.push(LedgerCommand::AddDataSet { name: name.clone(), record });
            }
        }
        for node in left.nodes.values() {
            if let Some(drain) = node.drain.clone().filter(|drain| drain.until == DrainUntil::Undrain) {
                let (node, by, reason, until) = (node.node, drain.by, drain.reason, drain.until);
                commands.push(LedgerCommand::DrainNode { node, by, reason, until });
            }
        }
        for branch in &left.lineage.branches {
            commands.push(LedgerCommand::KeepBranch { branch: branch.clone() });
        }
        Self { commands }
    }

    /// Adds what is left of an earlier one.
    pub(super) fn extend(&mut self, earlier: Option<Self>) {
        let earlier = earlier.map(|earlier| earlier.commands).unwrap_or_default();
        let new: Vec<LedgerCommand> =
            earlier.into_iter().filter(|command| !self.commands.contains(command)).collect();
        self.commands.extend(new);
    }

    /// The commands that `ledger` does not show. Branches come before the submissions of their jobs, so that their files
    /// are kept when the jobs run.
    #[must_use]
    pub fn missing(&self, ledger: &Ledger) -> Vec<LedgerCommand> {
        self.commands.iter().filter(|command| !is_shown(ledger, command)).cloned().collect()
    }

    /// For the disk.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        encode(self)
    }

    /// From the disk.
    ///
    /// # Errors
    /// When `bytes` are none.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        decode(bytes, LEGACY_BYTES_MAX)
    }
}

fn submission(job: &JobRecord, rules: KeepRules) -> LedgerCommand {
    let mut initial = job.initial.clone();
    if let Some(entry) = &mut initial {
        entry.holders = [job.submitted_by].into();
    }
    LedgerCommand::SubmitJob {
        id: job.id,
        name: job.name.clone(),
        spec_toml: job.spec_toml.clone(),
        plan: job.plan.clone(),
        data_digest: job.data_digest,
        initial,
        by: job.submitted_by,
        rules,
    }
}

fn is_shown(ledger: &Ledger, command: &LedgerCommand) -> bool {
    match command {
        LedgerCommand::SubmitJob { id, .. } => ledger.jobs.contains_key(id),
        LedgerCommand::AddDataSet { name, .. } => ledger.data_sets.contains_key(name),
        LedgerCommand::DrainNode { node, .. } => {
            ledger.nodes.get(node).is_some_and(|record| record.drain.is_some())
        }
        LedgerCommand::KeepBranch { branch } => {
            let kept = ledger.lineage.branches.iter();
            let mut kept = kept.filter(|known| (known.job, known.council) == (branch.job, branch.council));
            let is_kept = kept.any(|known| {
                known.state.step == branch.state.step
                    && known.state.holders.is_superset(&branch.state.holders)
            });
            // In sync mode both councils share the bits up to the shorter one.
            let is_contained =
                ledger.jobs.get(&branch.job).is_some_and(|job| job.committed_to().0 >= branch.state.step);
            is_kept || is_contained
        }
        _ => true,
    }
}
