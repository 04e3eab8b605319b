//! A seat in another council, in which this node has nothing durable yet.
//!
//! The old log stays on disk until the other council's ledger is here, and is then replaced in one write. Before that the
//! seat promises nothing: it is new, so nobody counts on it, and it hears no campaign.

use std::collections::BTreeMap;

use super::input_output::{SuccessionOutput, Successor};
use crate::council::{Council, CouncilInput, CouncilOptions, CouncilOutput};
use crate::ids::{CouncilId, Millis, NodeId, SeatId};
use crate::ledger::Ledger;
use crate::ledger::limits::NODES_MAX;

pub(super) struct Prospect {
    id: CouncilId,
    seat: SeatId,
    group: Option<Council<Ledger>>,
    /// Who is in which seat there, as far as they said it.
    seats: BTreeMap<SeatId, NodeId>,
    /// The group with the outputs that bring the ledger.
    successor: Option<Successor>,
}

impl Prospect {
    pub(super) fn new(id: CouncilId, seat: SeatId, me: NodeId, options: CouncilOptions) -> Self {
        let mut ledger = Ledger::default();
        ledger.lineage.council = id;
        let group = Some(Council::join(seat, options, ledger));
        Self { id, seat, group, seats: [(seat, me)].into(), successor: None }
    }

    pub(super) fn is(&self, council: CouncilId, seat: SeatId) -> bool {
        (self.id, self.seat) == (council, seat)
    }

    /// The group that has become a council with a ledger.
    pub(super) fn take_successor(&mut self) -> Option<Successor> {
        self.successor.take()
    }

    /// Whether it is of no use any more.
    pub(super) fn has_failed(&self) -> bool {
        self.group.is_none()
    }

    pub(super) fn deadline(&self) -> Millis {
        self.group.as_ref().map_or(Millis(u64::MAX), Council::deadline)
    }

    pub(super) fn tick(&mut self, now: Millis, out: &mut Vec<SuccessionOutput>) {
        self.step(now, CouncilInput::Tick, out);
    }

    pub(super) fn hear(
        &mut self,
        now: Millis,
        from: NodeId,
        seat: SeatId,
        bytes: Vec<u8>,
        out: &mut Vec<SuccessionOutput>,
    ) {
        if self.seats.len() < NODES_MAX || self.seats.contains_key(&seat) {
            self.seats.insert(seat, from);
        }
        self.step(now, CouncilInput::Message { from: seat, bytes }, out);
    }

    fn step(&mut self, now: Millis, input: CouncilInput, out: &mut Vec<SuccessionOutput>) {
        let Some(mut group) = self.group.take() else { return };
        let mut outputs = Vec::new();
        group.step(now, input, &mut outputs);
        let brings_state = |output: &CouncilOutput| matches!(output, CouncilOutput::Persist(record) if record.snapshot.is_some());
        if let Some(position) = outputs.iter().position(brings_state) {
            let mut outputs = outputs.split_off(position);
            if let Some(CouncilOutput::Persist(record)) = outputs.first_mut() {
                // All of the old log, whatever its indices.
                record.compact_before = Some(u64::MAX);
            }
            let (id, seats) = (self.id, std::mem::take(&mut self.seats));
            self.successor =
                Some(Successor { id, council: group, outputs, seats, legacy: None, continues: true });
            return;
        }
        if outputs.contains(&CouncilOutput::Poisoned) {
            return;
        }
        self.group = Some(group);
        for output in outputs {
            // What is neither durable nor a promise: that it lacks the entries before the leader's.
            if let CouncilOutput::Send { to, bytes } = output
                && let Some(&node) = self.seats.get(&to)
            {
                let (council, from, seat) = (self.id, self.seat, to);
                out.push(SuccessionOutput::Send { to: node, council, from, seat, bytes });
            }
        }
    }
}
