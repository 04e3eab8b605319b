//! What the council's driver shows: to the coordinator its group, to the daemon the ledger.

use std::collections::BTreeSet;
use std::sync::Arc;

use traind_protocol::coordinator::CoordinatorInput;
use traind_protocol::ids::{NodeId, SeatId};
use traind_protocol::ledger::JobStatus;

use super::Published;
use super::driver::{CouncilDriver, Next};

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
        let why = ledger
            .jobs
            .values()
            .filter(|job| self.leading && matches!(job.status, JobStatus::Queued | JobStatus::Running))
            .map(|job| (job.id, self.coordinator.why(ledger, job.id)))
            .collect();
        let mut live: BTreeSet<NodeId> = self.peers.keys().copied().collect();
        live.insert(self.parts.me.node);
        self.published.send_replace(Arc::new(Published {
            ledger: ledger.clone(),
            coordinator: self.coordinator_node(),
            term: council.term(),
            seat: self.seat,
            voters: council.voters(),
            learners: council.learners(),
            live,
            why,
        }));
    }
}
