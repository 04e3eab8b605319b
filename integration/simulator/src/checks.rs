//! The invariants, after every event.

use traind_protocol::ids::{Chain, Epoch, Incarnation};
use traind_protocol::invariants::{Place, agree, changes_nothing, exactly_once, is_expected, used_once};
use traind_protocol::numbers::Numbers;
use traind_protocol::sync::SyncOutput;

use crate::node::node_index;
use crate::toy::{Fold, Leaf, leaves_of};
use crate::world::World;

impl World {
    /// After an event at `index`, which now stands at `place`: V2, B1, S1.
    pub(crate) fn check(&mut self, index: usize, message: Option<(Incarnation, Epoch)>, place: Place) {
        let node = &mut self.nodes[index];
        let Some(before) = node.place.replace(place.clone()) else { return };
        if (node.step, node.chain) != (place.step, place.chain) {
            self.fail("B1", format!("machine and driver of node {index} are at different states"));
        }
        if let Some(view) = message
            && !changes_nothing(view, &before, &place)
        {
            self.fail("V2", format!("node {index} moved by a message of epoch {}", view.1.0));
        }
        if before != place {
            self.check_agreement(index);
            self.find_stable();
        }
    }

    /// D1 and S1 of parts folded in an event at `index`, before what the event brought about.
    pub(crate) fn check_folds(&mut self, index: usize, folds: Vec<Fold>, out: &[SyncOutput]) {
        for Fold { step, part, leaves } in folds {
            let reached = out.iter().find_map(|output| match output {
                SyncOutput::Apply { step: from, chain, .. } if from + 1 == step => Some(*chain),
                SyncOutput::InstallState { step: at, chain, .. } if *at == step => Some(*chain),
                _ => None,
            });
            let Some(base) = reached.or(self.nodes[index].chains.get(&step).copied()) else {
                return self.fail("D1", format!("node {index} folds step {step} without its state"));
            };
            self.check_leaves(&format!("node {index} folded part {part} of step {step}"), &leaves, base);
            self.report.folds += 1;
            let again = self.folded.entry((step, part, base)).or_default();
            *again += 1;
            self.report.refolds += u64::from(*again > 1);
            if self.is_of_latest_lineage(index) {
                self.claim_stable(step, base, "an owner folds the step after it");
            }
        }
    }

    /// Whether `index` has entered a view of the lineage that lives.
    fn is_of_latest_lineage(&self, index: usize) -> bool {
        let view = self.nodes[index].machine.as_ref().and_then(|machine| machine.place().view);
        view.is_some_and(|view| view.0 == self.service.latest().incarnation)
    }

    /// D2: the samples behind the state that the members have now. A sample is named by its place in the endless
    /// sequence of data epochs: step by step, micro-batch by micro-batch.
    pub(crate) fn check_samples(&mut self) {
        let Some(index) = (0..self.nodes.len()).find(|index| self.is_current(*index)) else { return };
        let per_step = u64::from(self.plan.microbatches);
        let first = self.oracle.state(self.plan.origin_step).0;
        let (mut chain, to) = (self.nodes[index].chain, self.nodes[index].step);
        let mut used = Vec::new();
        while chain != first && chain != self.genesis {
            let Some((before, step, microbatches)) = self.lineage.get(&chain) else {
                return self.fail("D2", format!("nobody has applied what led to a state of step {to}"));
            };
            used.extend(microbatches.iter().map(|microbatch| step * per_step + u64::from(*microbatch)));
            chain = *before;
        }
        let from = if chain == first { self.plan.origin_step } else { 0 };
        if !used_once(used, from * per_step..to * per_step) {
            self.fail("D2", format!("not every sample up to step {to} is used once"));
        }
    }

    fn check_leaves(&mut self, what: &str, leaves: &[Leaf], base: Chain) {
        let pairs: Vec<(u32, Chain)> = leaves.iter().map(|leaf| (leaf.microbatch, leaf.base)).collect();
        if !exactly_once(&pairs, self.plan.microbatches, base) {
            let found: Vec<u32> = leaves.iter().map(|leaf| leaf.microbatch).collect();
            self.fail("D1", format!("{what}: micro-batches {found:?}, or of another state"));
        }
    }

    /// The driver's part of an apply: D1 and B2.
    pub(crate) fn apply(&mut self, index: usize, step: u64, chain: Chain, results: &[bytes::Bytes]) {
        let node = &mut self.nodes[index];
        let (before, base) = (node.step, node.chain);
        node.model.advance(results);
        node.step = step + 1;
        node.chain = chain;
        node.chains.insert(step + 1, chain);
        self.report.steps += 1;
        if before != step {
            self.fail("B1", format!("node {index} applies step {step} to the state of step {before}"));
        }
        for (part, result) in results.iter().enumerate() {
            let leaves = leaves_of(result);
            self.check_leaves(&format!("node {index} applied part {part} of step {step}"), &leaves, base);
        }
        if let Some(result) = results.first() {
            let microbatches = leaves_of(result).iter().map(|leaf| leaf.microbatch).collect();
            self.lineage.insert(chain, (base, step, microbatches));
        }
        if !self.plan.unlike && !is_expected(chain, self.oracle.state(step + 1).0) {
            self.fail("B2", format!("node {index} is at another state than one processor after step {step}"));
        }
    }

    /// Whether `index` is a synced member of the latest view, entered or not.
    pub(crate) fn is_current(&self, index: usize) -> bool {
        let node = &self.nodes[index];
        let Some(place) = node.place.as_ref().filter(|place| place.synced) else { return false };
        let latest = self.service.latest();
        place.view.is_some_and(|view| view.0 == latest.incarnation)
            && latest.member(node.life).is_some_and(|member| Some(member.tenure) == place.tenure)
    }

    fn check_agreement(&mut self, index: usize) {
        if !self.is_current(index) {
            return;
        }
        for other in 0..self.nodes.len() {
            if other == index || !self.is_current(other) {
                continue;
            }
            if let (Some(one), Some(two)) = (&self.nodes[index].place, &self.nodes[other].place)
                && !agree(one, two)
            {
                let (one, two) = (one.step, two.step);
                self.fail("B1", format!("nodes {index} and {other} disagree at steps {one} and {two}"));
            }
        }
    }

    pub(crate) fn check_all_agree(&mut self) {
        if !self.service.views_grow() {
            self.fail("V1", "the council committed a view that is not newer".into());
        }
        for index in 0..self.nodes.len() {
            self.check_agreement(index);
        }
    }

    /// The step that every member of the latest view has applied is stable by definition.
    fn find_stable(&mut self) {
        let members = &self.service.latest().members;
        let indices: Vec<usize> = members.iter().map(|member| node_index(member.node)).collect();
        if !indices.iter().all(|index| self.is_current(*index)) {
            return;
        }
        let places = indices.iter().filter_map(|index| self.nodes[*index].place.as_ref());
        if let Some(last) = places.min_by_key(|place| place.step) {
            let (step, chain) = (last.step, last.chain);
            self.claim_stable(step, chain, "all of the latest view have it");
        }
    }

    pub(crate) fn claim_stable(&mut self, step: u64, chain: Chain, why: &str) {
        if !self.stable.claim(step, chain) {
            self.fail("S1", format!("stable step {step} is undone: {why} with another chain"));
        }
    }

    /// All computed states are those that the machines believe in.
    pub(crate) fn check_models(&mut self) {
        for index in 0..self.nodes.len() {
            let node = &self.nodes[index];
            if node.machine.as_ref().is_some_and(|machine| *machine.numbers() != node.model) {
                self.fail("B1", format!("the grid of node {index} is not that of its state"));
            }
        }
    }
}
