//! Applying commands on nodes: who is admitted, who gets no work.

use super::limits::{FAILURE_LABEL_BYTES_MAX, NODE_TEXT_BYTES_MAX, NODES_MAX, cut};
use super::{Drain, DrainUntil, Ledger, NodeRecord, Rejected};
use crate::ids::{NodeId, SeatId};
use crate::wire::control::Registration;

impl Ledger {
    pub(super) fn register(
        &mut self,
        index: u64,
        node: NodeId,
        registration: Registration,
    ) -> Result<(), Rejected> {
        let Registration { boot, mut numeric_class, mut device, threads, mut failure_label, mut version } =
            registration;
        cut(&mut failure_label, FAILURE_LABEL_BYTES_MAX);
        for text in [&mut numeric_class, &mut device, &mut version] {
            cut(text, NODE_TEXT_BYTES_MAX);
        }
        let (seat, drain) = match self.nodes.get(&node) {
            Some(record) if record.boot == boot => return Ok(()),
            // Whatever process a drain was to last for, this one is another.
            Some(record) => {
                (record.seat, record.drain.clone().filter(|drain| drain.until == DrainUntil::Undrain))
            }
            None if self.nodes.len() >= NODES_MAX => {
                return Err(Rejected::LimitReached { what: "nodes", max: NODES_MAX });
            }
            None => {
                self.seats_given += 1;
                (SeatId(self.seats_given), None)
            }
        };
        let record = NodeRecord {
            node,
            seat,
            boot,
            numeric_class,
            device,
            threads,
            failure_label,
            version,
            registered_index: index,
            drain,
            is_leaving: false,
        };
        self.nodes.insert(node, record);
        Ok(())
    }

    /// The node's seat is taken away for ever, and it gets another one.
    pub(super) fn give_new_seat(&mut self, node: NodeId) {
        self.seats_given += 1;
        let seat = SeatId(self.seats_given);
        if let Some(record) = self.nodes.get_mut(&node) {
            record.seat = seat;
        }
    }

    pub(super) fn forget(&mut self, node: NodeId) -> Result<(), Rejected> {
        if !self.nodes.contains_key(&node) {
            return Err(Rejected::NodeNotRegistered { node });
        }
        let view = self.running_job().and_then(|job| job.view.as_ref());
        if view.is_some_and(|view| view.member_on(node).is_some()) {
            return Err(Rejected::NodeInUse { node });
        }
        self.nodes.remove(&node);
        for job in self.jobs.values_mut() {
            for entry in job.checkpoints.iter_mut().chain(&mut job.initial) {
                entry.holders.remove(&node);
                entry.assigned.remove(&node);
            }
            job.checkpoints.retain(|entry| !entry.holders.is_empty());
        }
        Ok(())
    }

    /// A drain for ever stays one, also where its process is to end as well.
    pub(super) fn drain(
        &mut self,
        node: NodeId,
        by: NodeId,
        mut reason: String,
        until: DrainUntil,
    ) -> Result<(), Rejected> {
        let record = self.nodes.get_mut(&node).ok_or(Rejected::NodeNotRegistered { node })?;
        if let DrainUntil::Restart { boot } = until {
            if record.boot != boot {
                return Err(Rejected::NodeNotRegistered { node });
            }
            record.is_leaving = true;
        }
        let lasts = record.drain.as_ref().is_some_and(|drain| drain.until == DrainUntil::Undrain);
        let is_known = record.drain.as_ref().is_some_and(|drain| drain.until == until);
        if !lasts && !is_known {
            cut(&mut reason, NODE_TEXT_BYTES_MAX);
            record.drain = Some(Drain { by, reason, until });
        }
        Ok(())
    }

    pub(super) fn undrain(&mut self, node: NodeId) -> Result<(), Rejected> {
        let record = self.nodes.get_mut(&node).ok_or(Rejected::NodeNotRegistered { node })?;
        record.drain = None;
        record.is_leaving = false;
        Ok(())
    }
}
