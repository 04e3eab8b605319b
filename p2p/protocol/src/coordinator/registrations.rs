//! Admitting nodes and their new processes.

use super::input_output::CoordinatorOutput;
use super::limits::REGISTRATIONS_PENDING_MAX;
use super::machine::{Coordinator, Pass};
use super::proposals::ProposalKey;
use crate::ids::NodeId;
use crate::ledger::limits::{FAILURE_LABEL_BYTES_MAX, NODE_TEXT_BYTES_MAX, NODES_MAX, cut};
use crate::ledger::{Ledger, LedgerCommand};
use crate::wire::control::{ControlMessage, Registration};

impl Coordinator {
    pub(super) fn register(&mut self, from: NodeId, mut registration: Registration, turn: u64) {
        let Registration { numeric_class, device, version, .. } = &mut registration;
        for text in [numeric_class, device, version] {
            cut(text, NODE_TEXT_BYTES_MAX);
        }
        cut(&mut registration.failure_label, FAILURE_LABEL_BYTES_MAX);
        let has_room = self.registrations.len() < REGISTRATIONS_PENDING_MAX;
        if from != self.me && (has_room || self.registrations.contains_key(&from)) {
            self.registrations.insert(from, (registration, turn));
        }
    }

    /// Proposes what is new and answers what is done. This node comes first: the founder's seat is the first one.
    pub(super) fn decide_registrations(&mut self, pass: &mut Pass<'_>) {
        let mine = self.options.registration.clone();
        if pass.ledger.nodes.get(&self.me).is_none_or(|record| record.boot != mine.boot) {
            self.propose_registration(pass, self.me, mine, 0);
        }
        if !pass.ledger.nodes.contains_key(&self.me) {
            return;
        }
        for (node, (registration, turn)) in std::mem::take(&mut self.registrations) {
            let known = pass.ledger.nodes.get(&node);
            let seated = pass.ledger.lineage.seated.get(&node);
            let is_seated = turn == 0 || seated == Some(&(registration.boot, turn));
            if let Some(record) = known.filter(|record| record.boot == registration.boot && is_seated) {
                let (seat, boot, council) = (record.seat, record.boot, pass.ledger.lineage.council);
                let message = ControlMessage::Registered { seat, boot, council, turn };
                pass.out.push(CoordinatorOutput::Send { to: node, message });
                continue;
            }
            // A process that is gone asks again when it is back. Who comes over counts as gone until it has; that it is
            // connected is for the driver to see.
            if turn == 0 && self.liveness.boot(node) != Some(registration.boot) {
                continue;
            }
            if known.is_none() && pass.ledger.nodes.len() >= NODES_MAX {
                self.make_room(pass);
            } else {
                self.propose_registration(pass, node, registration.clone(), turn);
            }
            self.registrations.insert(node, (registration, turn));
        }
    }

    fn propose_registration(
        &mut self,
        pass: &mut Pass<'_>,
        node: NodeId,
        registration: Registration,
        turn: u64,
    ) {
        if self.proposals.is_due(pass.now, ProposalKey::Register(node, registration.boot, turn)) {
            let command = match turn {
                0 => LedgerCommand::RegisterNode { node, registration },
                _ => LedgerCommand::ReseatNode { node, registration, turn },
            };
            pass.out.push(CoordinatorOutput::Propose(command));
        }
    }

    /// Forgets the node that registered longest ago among those that are not here and take part in nothing.
    fn make_room(&mut self, pass: &mut Pass<'_>) {
        let Some(node) = longest_gone(pass.ledger, |node| self.liveness.is_connected(node)) else { return };
        if self.proposals.is_due(pass.now, ProposalKey::Forget(node)) {
            pass.out.push(CoordinatorOutput::Propose(LedgerCommand::ForgetNode { node }));
        }
    }
}

fn longest_gone(ledger: &Ledger, is_connected: impl Fn(NodeId) -> bool) -> Option<NodeId> {
    let view = ledger.running_job().and_then(|job| job.view.as_ref());
    let takes_part = |node: NodeId| view.is_some_and(|view| view.member_on(node).is_some());
    let gone = ledger.nodes.values().filter(|record| !is_connected(record.node) && !takes_part(record.node));
    gone.min_by_key(|record| record.seat).map(|record| record.node)
}
