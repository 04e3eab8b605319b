//! One simulated node: the real machine, and a driver as thin as the real one should be.

use std::collections::BTreeMap;

use traind_protocol::ids::{Boot, Chain, Epoch, Incarnation, Life, NodeId};
use traind_protocol::invariants::Place;
use traind_protocol::sync::SyncOptions;
use traind_protocol::view::Origin;

use crate::chunks::Chunks;
use crate::plan::Plan;
use crate::sabotage::{PlantedFault, Rig};
use crate::service::JOB;
use crate::toy::ToyModel;

/// A computation under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Task {
    /// Steps applied.
    pub(crate) step: u64,
    /// Chain of the state.
    pub(crate) base: Chain,
    /// Which micro-batch.
    pub(crate) microbatch: u32,
}

/// A halt that a member has announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Halt {
    /// Epoch of the view that halts.
    pub(crate) epoch: Epoch,
    /// Steps applied.
    pub(crate) step: u64,
}

/// A node, dead or alive.
#[derive(Debug)]
pub(crate) struct SimNode {
    /// Its current or next life.
    pub(crate) life: Life,
    /// The machine; `None` while the node is dead.
    pub(crate) machine: Option<Rig>,
    /// The state that the driver keeps: what is applied, computed on and sent to joiners.
    pub(crate) model: ToyModel,
    /// Steps applied to it.
    pub(crate) step: u64,
    /// Its chain.
    pub(crate) chain: Chain,
    /// Computations under way.
    pub(crate) tasks: Vec<Task>,
    /// An origin that is being loaded.
    pub(crate) loading: Option<Origin>,
    /// Chains of the states this life has held.
    pub(crate) chains: BTreeMap<u64, Chain>,
    /// Where the machine was after its last event.
    pub(crate) place: Option<Place>,
    /// The epoch it has entered, while the outputs of an event are carried out.
    pub(crate) epoch: Option<Epoch>,
    /// The last halt that it announced in its tenure.
    pub(crate) halt: Option<Halt>,
    /// Whether it has applied a step in its tenure.
    pub(crate) has_applied: bool,
    /// Whether it stands still.
    pub(crate) paused: bool,
    /// The step in which a computation failed here.
    pub(crate) failed_in: Option<u64>,
    /// What it keeps of states, gives and gets.
    pub(crate) chunks: Chunks,
    /// Whether it had the state when it entered its view.
    pub(crate) entered_synced: bool,
}

/// The node of an index.
#[must_use]
pub(crate) fn node_id(index: usize) -> NodeId {
    let mut bytes = [0; 32];
    bytes[0] = u8::try_from(index).unwrap_or(u8::MAX);
    NodeId(bytes)
}

/// The index of a node.
#[must_use]
pub(crate) fn node_index(node: NodeId) -> usize {
    usize::from(node.0[0])
}

impl SimNode {
    /// A node in its first life.
    #[must_use]
    pub(crate) fn new(index: usize, plan: &Plan, genesis: Chain, fault: Option<PlantedFault>) -> Self {
        let life = Life { node: node_id(index), boot: Boot(1) };
        let mut node = Self {
            life,
            machine: None,
            model: ToyModel::new(plan.parts),
            step: 0,
            chain: genesis,
            tasks: Vec::new(),
            loading: None,
            chains: BTreeMap::new(),
            place: None,
            epoch: None,
            halt: None,
            has_applied: false,
            paused: false,
            failed_in: None,
            chunks: Chunks::default(),
            entered_synced: false,
        };
        node.start(plan, genesis, fault);
        node
    }

    /// Starts the process of this life.
    pub(crate) fn start(&mut self, plan: &Plan, genesis: Chain, fault: Option<PlantedFault>) {
        let options = SyncOptions {
            job: JOB,
            me: self.life,
            microbatches: plan.microbatches,
            parts: plan.parts,
            kept_bytes_max: plan.kept_bytes_max(),
            sends_early: !plan.seed.is_multiple_of(8),
            steps: plan.steps,
            genesis,
        };
        let numbers = ToyModel::new(plan.parts);
        self.model = ToyModel::new(plan.parts);
        self.step = 0;
        self.chain = genesis;
        self.tasks.clear();
        self.loading = None;
        self.chains = [(0, genesis)].into();
        self.epoch = None;
        self.halt = None;
        self.has_applied = false;
        self.failed_in = None;
        self.chunks = Chunks::default();
        self.entered_synced = false;
        let machine = Rig::new(options, numbers, fault);
        self.place = Some(machine.place());
        self.machine = Some(machine);
    }

    /// The process dies. The next will be another life.
    pub(crate) fn crash(&mut self) {
        self.machine = None;
        self.place = None;
        self.tasks.clear();
        self.loading = None;
        self.chunks = Chunks::default();
        self.paused = false;
        self.life.boot = Boot(self.life.boot.0 + 1);
    }

    /// The machine is at `place` now. Whether it has entered another view in the same tenure.
    pub(crate) fn moves_to(&mut self, place: &Place) -> bool {
        let Some(before) = &self.place else { return false };
        let same_tenure = before.tenure == place.tenure && place.tenure.is_some();
        let same_lineage = before.view.map(|view| view.0) == place.view.map(|view| view.0);
        self.epoch = place.view.map(|view| view.1);
        if before.view != place.view {
            self.entered_synced = place.synced;
        }
        if !(same_tenure && same_lineage) {
            self.halt = None;
            self.has_applied = false;
        }
        same_tenure && same_lineage && before.view != place.view
    }

    /// The view that it has entered last.
    #[must_use]
    pub(crate) fn view_heard(&self) -> (Incarnation, Epoch) {
        self.place.as_ref().and_then(|place| place.view).unwrap_or_default()
    }

    /// Whether there is a process.
    #[must_use]
    pub(crate) fn is_up(&self) -> bool {
        self.machine.is_some()
    }
}
