//! The ledger: nodes, jobs, views, checkpoints and ranges of committed steps, never an entry per step.
//!
//! Every node applies the same commands in the same order. A command is checked here whoever proposed it, so that no
//! coordinator, however late or confused, can break V1 (one view per epoch, epochs only grow) or the continuity rule
//! (a view keeps one synced member of the view before it).

mod apply;
mod apply_halt;
mod apply_keeping;
mod apply_node;
mod apply_view;
mod command;
mod data_sets;
mod job_history;
mod job_plan;
mod job_record;
mod keeping;
pub mod limits;
mod lineage;
mod node_record;
mod queue;
mod record_steps;
mod rejected;
mod verdicts;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use crate::ids::{JobId, NodeId, SeatId};
use crate::replicated::Replicated;
use crate::view::View;
use crate::wire::{DecodeError, decode, decode_first, encode};

pub use command::LedgerCommand;
pub use data_sets::{DataSetRecord, SET_PREFIX, is_set_name, set_names};
pub use job_plan::JobPlan;
pub use job_record::{
    CheckpointEntry, CommittedRange, EvaluationEntry, JobRecord, JobResult, JobStatus, MicrobatchFailure,
    ViewChange,
};
pub use keeping::{BestBy, KeepRules, Keeping, KeptBecause, Rollback};
pub use lineage::{Branch, GENERATION_MAX, Lineage};
pub use node_record::{Drain, DrainUntil, NodeRecord};
pub use rejected::{Rejected, Rejection};
pub use verdicts::{Finding, Verdict};

/// What the council replicates.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    /// Admitted nodes, at most [`limits::NODES_MAX`].
    pub nodes: BTreeMap<NodeId, NodeRecord>,
    /// Jobs, at most [`limits::JOBS_MAX`].
    pub jobs: BTreeMap<JobId, JobRecord>,
    /// The latest rejected commands, oldest first, at most [`limits::REJECTIONS_MAX`].
    pub rejections: VecDeque<Rejection>,
    /// Commands rejected since the first one.
    pub rejections_total: u64,
    /// Seats given so far; the next node gets the number after it, the first one seat 1.
    seats_given: u64,
    /// Jobs submitted so far: their order in the queue. Not the log index, which starts anew with a new council.
    jobs_submitted: u64,
    /// Data sets by name, at most [`limits::DATA_SETS_MAX`].
    pub data_sets: BTreeMap<String, DataSetRecord>,
    /// What nodes found wrong with chunks, oldest first, at most [`limits::VERDICTS_MAX`].
    pub verdicts: VecDeque<Verdict>,
    /// Verdicts since the first one.
    pub verdicts_total: u64,
    /// What jobs asked for and people want of their checkpoints, for those where that is anything.
    pub keeping: BTreeMap<JobId, Keeping>,
    /// The council and those before it. Behind the rest in a snapshot, where older ones have nothing.
    #[serde(skip)]
    pub lineage: Lineage,
}

impl Ledger {
    /// The seat of `node`, if it is registered.
    #[must_use]
    pub fn seat_of(&self, node: NodeId) -> Option<SeatId> {
        self.nodes.get(&node).map(|record| record.seat)
    }

    /// Whether `node` is registered and may get work.
    #[must_use]
    pub fn takes_work(&self, node: NodeId) -> bool {
        self.nodes.get(&node).is_some_and(NodeRecord::takes_work)
    }

    /// Whether `node` drains for longer than a restart: what it holds may go with it.
    #[must_use]
    pub fn leaves_for_good(&self, node: NodeId) -> bool {
        let drain = self.nodes.get(&node).and_then(|record| record.drain.as_ref());
        drain.is_some_and(|drain| drain.until == DrainUntil::Undrain)
    }

    /// A job of whose checkpoints one would go with `node`, and its step.
    #[must_use]
    pub fn would_lose(&self, node: NodeId) -> Option<(&JobRecord, u64)> {
        let is_only = |entry: &&CheckpointEntry| entry.holders.len() == 1 && entry.holders.contains(&node);
        self.jobs.values().find_map(|job| Some((job, job.checkpoints.iter().find(is_only)?.step)))
    }

    /// Whether `node` was here, in its present process, when `job` was submitted: then the job is refused if the node
    /// cannot use its data. Who comes later is only kept out.
    #[must_use]
    pub fn may_refuse(&self, node: NodeId, job: &JobRecord) -> bool {
        let registered = self.nodes.get(&node).map(|record| record.registered_index);
        registered.is_some_and(|registered| registered <= job.submitted_index)
    }

    /// Jobs that have not ended and would lose their newest state with `node`, and the step of that state.
    #[must_use]
    pub fn held_alone(&self, node: NodeId) -> Vec<(JobId, u64)> {
        let open = self.jobs.values().filter(|job| !job.has_ended());
        let newest = open.filter_map(|job| Some((job.id, job.origins().next()?)));
        newest
            .filter(|(_, entry)| entry.holders.len() == 1 && entry.holders.contains(&node))
            .map(|(job, entry)| (job, entry.step))
            .collect()
    }

    /// What the members of `view` fail together with, in their order; empty for nothing but themselves.
    #[must_use]
    pub fn failure_labels(&self, view: &View) -> Vec<String> {
        let label = |node: NodeId| self.nodes.get(&node).map(|record| record.failure_label.clone());
        view.members.iter().map(|member| label(member.node).unwrap_or_default()).collect()
    }

    /// The node in `seat`.
    #[must_use]
    pub fn node_of_seat(&self, seat: SeatId) -> Option<NodeId> {
        self.nodes.values().find(|record| record.seat == seat).map(|record| record.node)
    }

    /// Whether `node` may be in `seat`, though this ledger may be behind: it is its seat, or one given later. A seat is
    /// given once.
    #[must_use]
    pub fn may_sit(&self, node: NodeId, seat: SeatId) -> bool {
        match self.node_of_seat(seat) {
            Some(owner) => owner == node,
            None => self.seat_of(node).is_none_or(|known| seat > known),
        }
    }

    fn reject(&mut self, index: u64, command: &str, job: Option<JobId>, reason: String) {
        self.rejections_total += 1;
        if self.rejections.len() >= limits::REJECTIONS_MAX {
            self.rejections.pop_front();
        }
        self.rejections.push_back(Rejection { index, command: command.to_owned(), job, reason });
    }
}

impl Replicated for Ledger {
    fn apply(&mut self, index: u64, command: &[u8]) {
        match LedgerCommand::decode(command) {
            Ok(command) => {
                let (kind, job) = (command.kind(), command.job());
                if let Err(rejected) = self.apply_command(index, command) {
                    self.reject(index, kind, job, rejected.to_string());
                }
            }
            Err(error) => self.reject(index, "unknown", None, error.to_string()),
        }
    }

    fn snapshot(&self) -> Vec<u8> {
        [encode(self), encode(&self.lineage)].concat()
    }

    fn restore(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let (mut restored, rest): (Self, _) = decode_first(bytes, limits::LEDGER_SNAPSHOT_BYTES_MAX)?;
        if !rest.is_empty() {
            restored.lineage = decode(rest, limits::LINEAGE_BYTES_MAX)?;
        }
        *self = restored;
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
