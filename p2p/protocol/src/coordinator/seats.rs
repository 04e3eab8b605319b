//! Keeping the consensus group as `plan_seats` wants it.

use std::collections::BTreeSet;

use super::input_output::CoordinatorOutput;
use super::limits::FORGOTTEN_SEAT_GRACE_MS;
use super::machine::{Coordinator, Pass};
use super::plan_seats::{SeatFacts, plan_seats};
use super::proposals::ProposalKey;
use crate::ids::SeatId;

/// The consensus group as it was last seen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct SeatsSeen {
    pub(super) voters: BTreeSet<SeatId>,
    pub(super) learners: BTreeSet<SeatId>,
    pub(super) caught_up: BTreeSet<SeatId>,
}

impl Coordinator {
    /// Asks for a change of the group where it is not as it should be; nothing before the group was seen.
    pub(super) fn decide_seats(&mut self, pass: &mut Pass<'_>) {
        let (Some(seen), Some(me), Some(elected_at)) =
            (&self.seats, pass.ledger.seat_of(self.me), self.elected_at)
        else {
            return;
        };
        let records = pass.ledger.nodes.values();
        let gone = records.clone().filter(|record| !self.liveness.is_connected(record.node));
        let facts = SeatFacts {
            me,
            registered: records.clone().map(|record| record.seat).collect(),
            live: records
                .filter(|record| self.liveness.is_connected(record.node))
                .map(|record| record.seat)
                .collect(),
            lost_at: gone
                .map(|record| (record.seat, self.liveness.lost_at(record.node).unwrap_or(elected_at)))
                .collect(),
            draining: pass
                .ledger
                .nodes
                .values()
                .filter(|record| !record.takes_work())
                .map(|record| record.seat)
                .collect(),
            voters: seen.voters.clone(),
            caught_up: seen.caught_up.clone(),
        };
        let unregistered: BTreeSet<SeatId> = seen
            .voters
            .union(&seen.learners)
            .copied()
            .filter(|seat| !facts.registered.contains(seat))
            .collect();
        self.forgotten.retain(|seat, _since| unregistered.contains(seat));
        let mut plan = plan_seats(pass.now, &facts);
        for seat in unregistered {
            let since = *self.forgotten.entry(seat).or_insert(pass.now);
            let until = since.plus(FORGOTTEN_SEAT_GRACE_MS);
            if pass.now < until && !plan.voters.contains(&seat) {
                plan.learners.insert(seat);
                pass.wake_at(until);
            }
        }
        if let Some(deadline) = plan.deadline {
            pass.wake_at(deadline);
        }
        if let Some(to) = plan.successor {
            if self.proposals.is_due(pass.now, ProposalKey::Transfer(to)) {
                pass.out.push(CoordinatorOutput::TransferLeadership { to });
            }
            return;
        }
        let as_planned = plan.voters == seen.voters && plan.learners == seen.learners;
        if !as_planned && self.proposals.is_due(pass.now, ProposalKey::Seats) {
            pass.out.push(CoordinatorOutput::ChangeSeats { voters: plan.voters, learners: plan.learners });
        }
    }
}
