//! A machine and what is broken around it.

use std::collections::{BTreeMap, VecDeque};

use traind_protocol::ids::{Boot, Chain, Epoch, Life, Millis, NodeId};
use traind_protocol::index_set::IndexSet;
use traind_protocol::invariants::Place;
use traind_protocol::sync::{
    Arrival, Standing, SyncBody, SyncInput, SyncMachine, SyncMessage, SyncOptions, SyncOutput, SyncStatus,
};
use traind_protocol::view::View;

use super::PlantedFault;
use crate::toy::ToyModel;

/// The machine of the product, and perhaps a rule that is broken around it.
#[derive(Debug)]
pub(crate) struct Rig {
    machine: SyncMachine<ToyModel>,
    adapter: Option<Adapter>,
}

/// What has to be remembered to break a rule.
#[derive(Debug)]
pub(super) struct Adapter {
    pub(super) rule: PlantedFault,
    pub(super) me: Life,
    /// The view that the machine was given last.
    pub(super) view: Option<View>,
    /// What each peer has told last, in this epoch.
    pub(super) told: BTreeMap<NodeId, Standing>,
    /// Contributions that came, to be given once more.
    pub(super) kept: Vec<(NodeId, SyncMessage)>,
    /// What was computed last of each micro-batch, and in which step.
    pub(super) work: BTreeMap<u32, (u64, Vec<bytes::Bytes>)>,
    /// Sums that others have asked for in this epoch.
    pub(super) needs: Vec<(NodeId, u32, IndexSet)>,
    /// What the trainer was asked for, on this state.
    pub(super) asked: (Option<Chain>, IndexSet),
    /// Where the machine stood when it entered its view or got the state in it.
    pub(super) entered: (Option<Epoch>, u64),
    /// The last place for which words of others were made up.
    pub(super) made_up: Option<(Epoch, u64, bool)>,
}

impl Rig {
    /// A machine as it is, or with `rule` broken.
    #[must_use]
    pub(crate) fn new(mut options: SyncOptions, numbers: ToyModel, rule: Option<PlantedFault>) -> Self {
        if rule == Some(PlantedFault::BootIgnored) {
            options.me.boot = Boot::default();
        }
        let me = options.me;
        let adapter = rule.map(|rule| Adapter {
            rule,
            me,
            view: None,
            told: BTreeMap::new(),
            kept: Vec::new(),
            work: BTreeMap::new(),
            needs: Vec::new(),
            asked: (None, IndexSet::new()),
            entered: (None, 0),
            made_up: None,
        });
        if rule == Some(PlantedFault::SummedBySender) {
            numbers.sum_all_that_comes();
        }
        Self { machine: SyncMachine::new(options, numbers), adapter }
    }

    /// As the machine's.
    pub(crate) fn step(&mut self, now: Millis, input: SyncInput, out: &mut Vec<SyncOutput>) {
        let Some(adapter) = &mut self.adapter else { return self.machine.step(now, input, out) };
        let mut inputs = VecDeque::from(adapter.alter_input(&self.machine, input));
        while let Some(input) = inputs.pop_front() {
            let mut produced = Vec::new();
            let place = self.machine.place();
            let enters = match &input {
                SyncInput::EnterView(view) => Some(view.clone()),
                _ => None,
            };
            self.machine.step(now, input, &mut produced);
            let after = self.machine.place();
            let entered = enters.filter(|_| after.view != place.view);
            inputs.extend(adapter.make_up(&self.machine, &place, entered));
            adapter.alter_outputs(&self.machine, produced, out);
        }
    }

    /// As the machine's.
    #[must_use]
    pub(crate) fn place(&self) -> Place {
        self.machine.place()
    }

    /// As the machine's.
    #[must_use]
    pub(crate) fn status(&self) -> SyncStatus {
        self.machine.status()
    }

    /// As the machine's.
    #[must_use]
    pub(crate) fn numbers(&self) -> &ToyModel {
        self.machine.numbers()
    }

    /// As the machine's.
    pub(crate) fn numbers_mut(&mut self) -> &mut ToyModel {
        self.machine.numbers_mut()
    }
}

impl Adapter {
    /// `body` as `from` would send it in the view that the machine is in.
    pub(super) fn heard(&self, from: NodeId, body: SyncBody) -> Option<SyncInput> {
        let view = self.view.as_ref()?;
        let boot = view.member_on(from)?.boot;
        let (job, incarnation, epoch) = (view.job, view.incarnation, view.epoch);
        let message = SyncMessage { job, incarnation, epoch, boot, body };
        Some(SyncInput::Message { from, message })
    }

    /// The other members of the view.
    pub(super) fn others(&self) -> Vec<NodeId> {
        let members = self.view.iter().flat_map(|view| &view.members);
        members.map(|member| member.node).filter(|node| *node != self.me.node).collect()
    }

    /// A state that says nothing but that its sender is at `place`.
    pub(super) fn standing_at(step: u64, chain: Chain) -> Standing {
        let (synced, arrival, held, entry) = (true, Arrival::default(), IndexSet::new(), None);
        Standing { synced, arrival, step, chain, held, entry }
    }
}
