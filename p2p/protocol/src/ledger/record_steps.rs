//! Committed steps, checkpoints, failed micro-batches.

use std::collections::BTreeSet;

use super::limits::{FAILED_MICROBATCHES_MAX, FAILED_SAMPLES_MAX, REASON_BYTES_MAX, cut};
use super::{
    CheckpointEntry, CommittedRange, EvaluationEntry, JobRecord, Ledger, MicrobatchFailure, Rejected,
};
use crate::ids::{Chain, Epoch, JobId, NodeId};
use crate::wire::control::EvaluationTotals;

impl Ledger {
    pub(super) fn commit_steps(
        &mut self,
        job: JobId,
        from: u64,
        to: u64,
        epoch: Epoch,
        chain: Chain,
    ) -> Result<(), Rejected> {
        let record = self.running_mut(job)?;
        let (committed, _) = record.committed_to();
        let of_this_lineage =
            record.view.as_ref().is_some_and(|view| view.founding_epoch <= epoch && epoch <= view.epoch);
        let epoch_grows = record.committed.last().is_none_or(|last| last.epoch <= epoch);
        if from != committed || to <= from || to > record.plan.steps || !of_this_lineage || !epoch_grows {
            return Err(Rejected::StepsNotNext { committed, from });
        }
        record.push_committed(CommittedRange { from_step: from, to_step: to, epoch, chain });
        record.failed_microbatches.retain(|failure| failure.step >= to);
        let samples = record.plan.samples_per_step();
        self.lineage.count_samples(job, to, samples);
        Ok(())
    }

    pub(super) fn record_checkpoint(
        &mut self,
        job: JobId,
        mut entry: CheckpointEntry,
    ) -> Result<(), Rejected> {
        for &node in &entry.holders {
            if !self.nodes.contains_key(&node) {
                return Err(Rejected::NodeNotRegistered { node });
            }
        }
        entry.assigned.clear();
        let is_kept = self.jobs.get(&job).is_some_and(|known| self.would_keep(known, entry.step));
        let record = self.job_mut(job)?;
        let step = entry.step;
        let refuse = |what| Err(Rejected::CheckpointRefused { step, what });
        if step == 0 {
            return hold_initial(record, entry);
        }
        let Some(range) =
            record.committed.iter().find(|range| range.from_step < step && step <= range.to_step)
        else {
            return refuse("the step is not committed");
        };
        if range.to_step == step && range.chain != entry.chain {
            return refuse("another chain is committed");
        }
        if entry.holders.is_empty() {
            return refuse("nobody holds it");
        }
        match record.checkpoints.binary_search_by_key(&step, |known| known.step) {
            Ok(position) => {
                let known = &mut record.checkpoints[position];
                if known.state() != entry.state() {
                    return refuse("another state of this step is known");
                }
                known.add_holders(entry.holders);
            }
            Err(_) if !is_kept => return refuse("older than all that are kept"),
            Err(position) => {
                record.checkpoints.insert(position, entry.clone());
                self.take_from_aside(job, &entry);
                self.retain_checkpoints(job, None);
            }
        }
        Ok(())
    }

    pub(super) fn drop_checkpoint(
        &mut self,
        job: JobId,
        step: u64,
        holder: Option<NodeId>,
    ) -> Result<(), Rejected> {
        if let Some(keeping) = self.keeping.get_mut(&job) {
            keeping.lose_aside(step, holder);
        }
        let record = self.job_mut(job)?;
        if let Some(initial) = record.initial.as_mut().filter(|_| step == 0) {
            initial.holders.retain(|node| holder.is_some_and(|holder| holder != *node));
            return Ok(());
        }
        let Ok(position) = record.checkpoints.binary_search_by_key(&step, |known| known.step) else {
            return Err(Rejected::CheckpointRefused { step, what: "it is not in the ledger" });
        };
        let holders = &mut record.checkpoints[position].holders;
        match holder {
            Some(node) => {
                holders.remove(&node);
            }
            None => holders.clear(),
        }
        if holders.is_empty() {
            record.checkpoints.remove(position);
        }
        Ok(())
    }

    pub(super) fn assign_checkpoint(
        &mut self,
        job: JobId,
        step: u64,
        nodes: BTreeSet<NodeId>,
    ) -> Result<(), Rejected> {
        for &node in &nodes {
            if !self.nodes.contains_key(&node) {
                return Err(Rejected::NodeNotRegistered { node });
            }
        }
        let record = self.job_mut(job)?;
        let refuse = |what| Err(Rejected::CheckpointRefused { step, what });
        if nodes.len() > record.plan.checkpoint_replicas as usize {
            return refuse("more nodes than there shall be copies");
        }
        let mut entries = record.checkpoints.iter_mut().chain(&mut record.initial);
        let Some(entry) = entries.find(|entry| entry.step == step) else {
            return refuse("it is not in the ledger");
        };
        if !nodes.is_disjoint(&entry.holders) {
            return refuse("a node holds it already");
        }
        entry.assigned = nodes;
        Ok(())
    }

    pub(super) fn record_evaluation(
        &mut self,
        job: JobId,
        step: u64,
        totals: EvaluationTotals,
    ) -> Result<(), Rejected> {
        let record = self.running_mut(job)?;
        let newest = record.evaluations.last().map(|entry| entry.step);
        if newest == Some(step) {
            return Ok(());
        }
        if step > record.committed_to().0 || newest.is_some_and(|newest| step < newest) {
            return Err(Rejected::EvaluationRefused { step });
        }
        record.push_evaluation(EvaluationEntry { step, totals });
        self.note_test(job, step, totals);
        Ok(())
    }

    pub(super) fn fail_microbatch(
        &mut self,
        job: JobId,
        (step, microbatch): (u64, u32),
        mut samples: Vec<u32>,
        node: NodeId,
        mut reason: String,
    ) -> Result<(), Rejected> {
        let record = self.running_mut(job)?;
        let known = record.failure_of(step, microbatch).is_some();
        let newest = record.failed_microbatches.iter().map(|failure| failure.step).max();
        let past = step < record.committed_to().0 || newest.is_some_and(|newest| step < newest);
        if known || past || microbatch >= record.plan.microbatches {
            return Err(Rejected::FailureNotNew { step, microbatch });
        }
        record.failed_microbatches.retain(|failure| failure.step == step);
        if record.failed_microbatches.len() >= FAILED_MICROBATCHES_MAX {
            return Err(Rejected::LimitReached {
                what: "failed micro-batches of a step",
                max: FAILED_MICROBATCHES_MAX,
            });
        }
        samples.truncate(FAILED_SAMPLES_MAX);
        cut(&mut reason, REASON_BYTES_MAX);
        let epoch = record.view.as_ref().map_or(Epoch(0), |view| view.epoch);
        record.failed_microbatches.push(MicrobatchFailure { step, microbatch, samples, node, reason, epoch });
        Ok(())
    }
}

/// Members of a job that started from an imported state may hold it too, and whoever fetched it before.
fn hold_initial(record: &mut JobRecord, entry: CheckpointEntry) -> Result<(), Rejected> {
    let refuse = |what| Err(Rejected::CheckpointRefused { step: 0, what });
    if record.has_ended() {
        return refuse("the job has ended");
    }
    match &mut record.initial {
        None => refuse("the seed makes it"),
        Some(known) if known.state() != entry.state() => refuse("another state was imported"),
        Some(known) => {
            known.add_holders(entry.holders);
            Ok(())
        }
    }
}
