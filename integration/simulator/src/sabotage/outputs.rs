//! Outputs altered, held back or made up.

use traind_protocol::index_set::IndexSet;
use traind_protocol::sync::{Arrival, Standing, SyncBody, SyncMachine, SyncMessage, SyncOutput};

use super::PlantedFault as Rule;
use super::rig::Adapter;
use crate::toy::ToyModel;

impl Adapter {
    /// Gives on what the machine said, altered.
    pub(super) fn alter_outputs(
        &mut self,
        machine: &SyncMachine<ToyModel>,
        produced: Vec<SyncOutput>,
        out: &mut Vec<SyncOutput>,
    ) {
        let place = machine.place();
        for output in produced {
            match output {
                SyncOutput::Send { to, message } => self.alter_sent(place.step, to, message, out),
                SyncOutput::OfferState { to, mut snapshot } => {
                    if self.rule == Rule::LastResultsDropped {
                        snapshot.last.clear();
                    }
                    out.push(SyncOutput::OfferState { to, snapshot });
                }
                SyncOutput::Compute { step, base, microbatches } => {
                    out.extend(self.compute(step, base, microbatches));
                }
                SyncOutput::CancelCompute => {
                    self.asked = (None, IndexSet::new());
                    out.push(SyncOutput::CancelCompute);
                }
                SyncOutput::Applied { epoch, step, chain } => {
                    out.push(SyncOutput::Applied { epoch, step, chain });
                    let halts = self.view.as_ref().is_some_and(|view| view.halt);
                    if self.rule == Rule::LeaseTakenAtApply && !halts {
                        out.extend(self.compute(step, chain, self.lease()));
                    }
                }
                SyncOutput::Halted { epoch, step, chain } => {
                    out.push(SyncOutput::Halted { epoch, step, chain });
                    if self.rule == Rule::HaltedComputes {
                        out.extend(self.compute(step, chain, self.lease()));
                    }
                }
                other => out.push(other),
            }
        }
    }

    fn lease(&self) -> IndexSet {
        self.view.as_ref().map(|view| view.lease(self.me.node)).unwrap_or_default()
    }

    /// Asks for what was not asked for on this state.
    fn compute(
        &mut self,
        step: u64,
        base: traind_protocol::ids::Chain,
        microbatches: IndexSet,
    ) -> Option<SyncOutput> {
        if self.asked.0 != Some(base) {
            self.asked = (Some(base), IndexSet::new());
        }
        let takes_more = matches!(self.rule, Rule::LeaseTakenAtApply | Rule::HaltedComputes);
        let microbatches = if takes_more { microbatches.minus(&self.asked.1) } else { microbatches };
        self.asked.1.extend_from(&microbatches);
        (!microbatches.is_empty()).then_some(SyncOutput::Compute { step, base, microbatches })
    }

    fn alter_sent(
        &mut self,
        current_step: u64,
        to: traind_protocol::ids::NodeId,
        mut message: SyncMessage,
        out: &mut Vec<SyncOutput>,
    ) {
        let halts = self.view.as_ref().is_some_and(|view| view.halt);
        match (self.rule, &mut message.body) {
            (Rule::HeldForgotten, SyncBody::State { standing, .. }) => standing.held = IndexSet::new(),
            (
                Rule::ComputingUntold,
                SyncBody::State { standing: Standing { entry: Some(entry), .. }, .. },
            ) => {
                entry.computing = IndexSet::new();
            }
            (
                Rule::HaltStepMoves,
                SyncBody::State { standing: Standing { step, entry: Some(entry), .. }, .. },
            ) => {
                entry.halt_step = *step + 1;
            }
            (
                Rule::BegunForgotten,
                SyncBody::State { standing: Standing { step, entry: Some(entry), .. }, .. },
            ) if halts => {
                if self.entered.0 != Some(message.epoch) {
                    self.entered = (Some(message.epoch), *step);
                }
                entry.halt_step = self.entered.1;
            }
            (Rule::AwaitsUnheard, SyncBody::State { awaits, .. }) => *awaits = Arrival::default().next(),
            (Rule::KeptResultsDropped, SyncBody::Result { step, .. }) if *step + 1 < current_step => return,
            (Rule::LastResultsDropped, SyncBody::Result { step, .. }) if *step + 1 == current_step => return,
            (Rule::EmptyLeasesNotAwaited, SyncBody::Contribution { microbatches, .. })
                if microbatches.is_empty() =>
            {
                return;
            }
            (Rule::WholeLeaseAwaited, SyncBody::Contribution { part, microbatches, .. }) => {
                let was_asked = self.needs.contains(&(to, *part, microbatches.clone()));
                if !was_asked && *microbatches != self.lease() {
                    return;
                }
            }
            (Rule::SupplierIgnoresComputing, SyncBody::NeedContribution { .. }) => {
                return self.ask_lease_holder(to, message, out);
            }
            _ => {}
        }
        out.push(SyncOutput::Send { to, message });
    }

    /// Asks the holder of the lease for what `to` has not computed yet.
    fn ask_lease_holder(
        &mut self,
        to: traind_protocol::ids::NodeId,
        message: SyncMessage,
        out: &mut Vec<SyncOutput>,
    ) {
        let SyncBody::NeedContribution { step, part, microbatches } = &message.body else { return };
        let holder = |microbatch: u32| self.view.as_ref().and_then(|view| view.lease_holder(microbatch));
        let entry = self.told.get(&to).and_then(|standing| standing.entry.as_ref());
        let all_there = entry.is_some_and(|entry| microbatches.is_subset(&entry.computed));
        let first = microbatches.iter().next().and_then(holder);
        match first.filter(|node| !all_there && *node != self.me.node) {
            Some(node) => {
                let of_holder: IndexSet =
                    microbatches.iter().filter(|microbatch| holder(*microbatch) == Some(node)).collect();
                let rest = microbatches.minus(&of_holder);
                for (to, microbatches) in [(node, of_holder), (to, rest)] {
                    if !microbatches.is_empty() {
                        let body = SyncBody::NeedContribution { step: *step, part: *part, microbatches };
                        out.push(SyncOutput::Send { to, message: SyncMessage { body, ..message.clone() } });
                    }
                }
            }
            None => out.push(SyncOutput::Send { to, message }),
        }
    }
}
