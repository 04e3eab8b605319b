//! Copies of checkpoints: where there are fewer than a job asks for, another node is chosen that fetches one.

use std::collections::{BTreeMap, BTreeSet};

use super::input_output::CoordinatorOutput;
use super::limits::{
    HOLDER_GRACE_MS, REPAIR_MS_MAX, REPAIRS_AT_ONCE_MAX, REPLICA_GRACE_MS, REPLICAS_INTERVAL_MS,
};
use super::machine::{Coordinator, Pass};
use super::proposals::ProposalKey;
use crate::ids::{JobId, Millis, NodeId};
use crate::ledger::{CheckpointEntry, JobRecord, LedgerCommand};
use crate::replicas::{Candidate, choose_holders};

/// Checkpoints that have too few holders. Both maps have entries of checkpoints in the ledger alone.
#[derive(Debug, Default)]
pub(super) struct Replicas {
    /// When they are looked at next.
    due_at: Millis,
    /// Since when each lacks holders.
    since: BTreeMap<(JobId, u64), Millis>,
    /// Who was chosen to fetch one, and when.
    chosen: BTreeMap<(JobId, u64, NodeId), Millis>,
}

impl Replicas {
    /// Whether `node` was chosen so long ago that another has to do it.
    fn has_failed(&self, now: Millis, (job, step): (JobId, u64), node: NodeId) -> bool {
        self.chosen.get(&(job, step, node)).is_some_and(|at| now.since(*at) >= REPAIR_MS_MAX)
    }
}

impl Coordinator {
    /// Chooses nodes that fetch checkpoints which too few hold. Members that have the state write it themselves and are
    /// waited for; so is a holder that went away.
    pub(super) fn decide_replicas(&mut self, pass: &mut Pass<'_>) {
        if pass.now < self.replicas.due_at {
            // Something has changed since the last look.
            pass.wake_at(self.replicas.due_at);
            return;
        }
        self.replicas.due_at = pass.now.plus(REPLICAS_INTERVAL_MS);
        let entries: Vec<(&JobRecord, &CheckpointEntry)> = pass
            .ledger
            .jobs
            .values()
            .flat_map(|job| replicated(job).map(move |entry| (job, entry)))
            .collect();
        let mut room =
            REPAIRS_AT_ONCE_MAX.saturating_sub(entries.iter().map(|(_, entry)| entry.assigned.len()).sum());
        let mut lacking = BTreeSet::new();
        // Of one that is away nobody says when it has been away for too long.
        let mut is_away = false;
        for (job, entry) in entries {
            is_away |= entry.holders.iter().any(|node| !self.liveness.is_connected(*node));
            let key = (job.id, entry.step);
            let Some(wanted) = self.wanted(pass, job, entry) else { continue };
            lacking.insert(key);
            if !self.is_holder_here(entry) {
                // That nobody could be asked is no failure of those who tried.
                self.replicas
                    .chosen
                    .retain(|(job, step, node), _| (*job, *step) != key || entry.assigned.contains(node));
            }
            let since = *self.replicas.since.entry(key).or_insert(pass.now);
            for node in entry.assigned.intersection(&wanted) {
                // Chosen by an earlier coordinator, perhaps.
                self.replicas.chosen.entry((job.id, entry.step, *node)).or_insert(pass.now);
            }
            let more = wanted.difference(&entry.assigned).count();
            // Writers are waited for, but nobody is who drains.
            let is_due = pass.now.since(since) >= REPLICA_GRACE_MS
                || entry.holders.iter().any(|node| pass.ledger.leaves_for_good(*node));
            if wanted == entry.assigned || !is_due || more > room {
                continue;
            }
            if self.proposals.is_due(pass.now, ProposalKey::Replicas(job.id, entry.step)) {
                room -= more;
                let command =
                    LedgerCommand::AssignCheckpoint { job: job.id, step: entry.step, nodes: wanted };
                pass.out.push(CoordinatorOutput::Propose(command));
            }
        }
        self.replicas.since.retain(|key, _| lacking.contains(key));
        self.replicas.chosen.retain(|(job, step, _), _| lacking.contains(&(*job, *step)));
        if is_away || !lacking.is_empty() {
            pass.wake_at(self.replicas.due_at);
        }
    }

    /// Who shall fetch this checkpoint; `None` where as many hold it as the job asks for and nobody fetches it.
    fn wanted(&self, pass: &Pass<'_>, job: &JobRecord, entry: &CheckpointEntry) -> Option<BTreeSet<NodeId>> {
        let replicas = job.plan.checkpoint_replicas as usize;
        let present: BTreeSet<NodeId> =
            entry.holders.iter().copied().filter(|node| self.stays(pass, *node)).collect();
        if present.len() >= replicas && entry.assigned.is_empty() {
            return None;
        }
        let key = (job.id, entry.step);
        // Who could be asked for it is not here: it comes back, or nobody can do anything. Who waits for it in vain is free again
        // for others after a while.
        if !self.is_holder_here(entry) {
            let waiting = entry.assigned.iter().copied();
            return Some(waiting.filter(|node| !self.replicas.has_failed(pass.now, key, *node)).collect());
        }
        let may_fetch =
            |node: &NodeId| !entry.holders.contains(node) && !self.replicas.has_failed(pass.now, key, *node);
        let assigned = entry.assigned.iter().filter(|node| may_fetch(node) && self.stays(pass, **node));
        let kept: Vec<Candidate<'_>> =
            present.iter().chain(assigned).map(|node| candidate(pass, *node)).collect();
        let able = self.liveness.able(pass.ledger);
        let candidates: Vec<Candidate<'_>> =
            able.keys().filter(|node| may_fetch(node)).map(|node| candidate(pass, *node)).collect();
        // Who was chosen and is one too many goes on: a copy more does no harm.
        let chosen = choose_holders(key, replicas, &kept, &candidates);
        let wanted: BTreeSet<NodeId> =
            chosen.into_iter().filter(|node| !entry.holders.contains(node)).collect();
        (present.len() < replicas || !wanted.is_empty() || !entry.assigned.is_empty()).then_some(wanted)
    }

    fn is_holder_here(&self, entry: &CheckpointEntry) -> bool {
        entry.holders.iter().any(|node| self.liveness.is_connected(*node))
    }

    /// Whether what `node` holds can be counted on: it is here or was lately, and it does not leave for good.
    fn stays(&self, pass: &Pass<'_>, node: NodeId) -> bool {
        if !pass.ledger.nodes.contains_key(&node) || pass.ledger.leaves_for_good(node) {
            return false;
        }
        let lost_at = self.liveness.lost_at(node).or(self.elected_at).unwrap_or(pass.now);
        self.liveness.is_connected(node) || pass.now.since(lost_at) < HOLDER_GRACE_MS
    }
}

/// Checkpoints of a job that nodes keep for it: the imported state only while there is nothing newer.
fn replicated(job: &JobRecord) -> impl Iterator<Item = &CheckpointEntry> {
    let initial = job.initial.iter().filter(|_| job.checkpoints.is_empty() && !job.has_ended());
    job.checkpoints.iter().chain(initial)
}

fn candidate<'a>(pass: &Pass<'a>, node: NodeId) -> Candidate<'a> {
    let label = pass.ledger.nodes.get(&node).map_or("", |record| record.failure_label.as_str());
    Candidate { node, label }
}
