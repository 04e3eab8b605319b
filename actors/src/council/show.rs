//! What the council's driver shows: to the coordinator its group, to the daemon the ledger.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use traind_protocol::coordinator::CoordinatorInput;
use traind_protocol::ids::{NodeId, SeatId};
use traind_protocol::ledger::{JobRecord, JobStatus};
use traind_protocol::succession::QuorumLossPolicy;
use traind_protocol::wire::control::{ControlMessage, JobWaits, WAITING_JOBS_MAX};

use super::driver::{CouncilDriver, Next};
use super::{Published, Why};

/// Time from one word on what jobs wait for to the next, ms: as old as an answer to "why" may be.
const WAITS_INTERVAL_MS: u64 = 1_000;

/// Waits of one job that are taken from a coordinator: its own, and a few for each of its members.
const JOB_WAITS_MAX: usize = 8 * traind_protocol::coordinator::limits::WAITS_MAX;

impl CouncilDriver {
    /// Tells the coordinator about the group when that changed.
    pub(super) fn show_seats(&mut self) {
        let Some(council) = &self.council else { return };
        let (voters, learners) = (council.voters(), council.learners());
        // Voters too: one of them takes the lead from a coordinator that drains.
        let caught_up: BTreeSet<SeatId> =
            voters.union(&learners).copied().filter(|&seat| council.is_caught_up(seat)).collect();
        let shown = (voters.clone(), learners.clone(), caught_up.clone());
        if shown != self.seats_shown {
            self.seats_shown = shown;
            self.dirty = true;
            self.next.push_back(Next::Coordinator(CoordinatorInput::Seats { voters, learners, caught_up }));
        }
    }

    pub(super) fn publish(&self) {
        let Some(council) = &self.council else { return };
        let ledger = council.replicated();
        let why = if self.leading { self.why() } else { self.why_heard.clone() };
        let mut live: BTreeSet<NodeId> = self.peers.keys().copied().collect();
        live.insert(self.parts.me.node);
        self.published.send_replace(Arc::new(Published {
            ledger: ledger.clone(),
            coordinator: self.coordinator_node(),
            term: council.term(),
            detours: self.detours,
            founds_alone: self.parts.on_quorum_loss == QuorumLossPolicy::Continue,
            founds_at: self.succession.founds_at(),
            seat: self.seat,
            voters: council.voters(),
            learners: council.learners(),
            live,
            why,
            lost: self.lost.clone(),
        }));
    }

    /// What jobs wait for, by this node, which coordinates.
    fn why(&self) -> Why {
        let now = self.now();
        let told_by = Some(self.parts.me.node);
        let Some(ledger) = self.ledger() else { return Why { told_by, told_at: now, jobs: BTreeMap::new() } };
        let is_open = |job: &&JobRecord| matches!(job.status, JobStatus::Queued | JobStatus::Running);
        let told = |job: &JobRecord| (job.id, self.coordinator.why(now, ledger, job.id));
        let mut open: Vec<&JobRecord> = ledger.jobs.values().filter(is_open).collect();
        open.sort_by_key(|job| job.status != JobStatus::Running);
        let jobs = open.into_iter().take(WAITING_JOBS_MAX).map(told).collect();
        Why { told_by, told_at: now, jobs }
    }

    /// Tells everyone what jobs wait for, if this node coordinates and the last time is long enough ago.
    pub(super) fn tell_why(&mut self) {
        let now = self.now();
        if !self.leading || now < self.why_due {
            return;
        }
        self.why_due = now.plus(WAITS_INTERVAL_MS);
        let why = self.why();
        self.dirty |= !why.jobs.is_empty();
        if !why.jobs.is_empty() || self.why_was_told {
            self.why_was_told = !why.jobs.is_empty();
            let waits = JobWaits { jobs: why.jobs.into_iter().collect() };
            // It is said again in a second.
            let _ = self.parts.network.broadcast_control(ControlMessage::Waits(waits));
        }
    }

    /// The coordinator said what jobs wait for.
    pub(super) fn hear_why(&mut self, from: NodeId, waits: JobWaits) {
        let is_bounded = waits.jobs.len() <= WAITING_JOBS_MAX
            && waits.jobs.iter().all(|(_, waits)| waits.len() <= JOB_WAITS_MAX);
        if self.leading || self.coordinator_node() != Some(from) || !is_bounded {
            return;
        }
        let jobs = waits.jobs.into_iter().collect();
        self.why_heard = Why { told_by: Some(from), told_at: self.now(), jobs };
        self.dirty = true;
    }
}
