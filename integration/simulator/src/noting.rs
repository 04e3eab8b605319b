//! Fills the table: which fault met which message.

use traind_protocol::ids::Epoch;

use crate::coverage::{Fault, Kind};
use crate::network::Packet;
use crate::node::{node_id, node_index};
use crate::world::{Said, World};

impl World {
    /// What this action does is a fault, or a change that a schedule may be without.
    pub(crate) fn strike(&mut self, is_fault: bool) {
        self.report.faults += u64::from(is_fault);
        if self.struck.last() != Some(&self.action) {
            self.struck.push(self.action);
        }
    }

    /// `fault` meets all that is under way from and to `index`.
    pub(crate) fn note_all_of(&mut self, fault: Fault, index: usize) {
        let (network, coverage) = (&self.network, &mut self.coverage);
        network.touching(index).for_each(|message| coverage.note(fault, Kind::of(message)));
        for said in self.words.iter().chain(&self.unheard) {
            if node_index(said.life.node) == index {
                coverage.note(fault, said.kind());
            }
        }
        if self.notices.iter().any(|(hearer, _)| *hearer == index) {
            coverage.note(fault, Kind::View);
        }
    }

    /// A message is put on its way.
    pub(crate) fn note_sent(&mut self, from: usize, to: usize, kind: Kind) {
        self.note_blocked(from, to, kind);
        if self.nodes[to].paused {
            self.coverage.note(Fault::Pause, kind);
        }
    }

    /// A message is on, or comes to, this connection, which may be cut.
    pub(crate) fn note_blocked(&mut self, from: usize, to: usize, kind: Kind) {
        if self.network.is_blocked(from, to) {
            let both = self.network.is_blocked(to, from);
            self.coverage.note(if both { Fault::Partition } else { Fault::Cut }, kind);
        }
    }

    /// A message arrives.
    pub(crate) fn note_arrival(&mut self, from: usize, to: usize, message: &Packet) {
        let kind = Kind::of(message);
        let sent_in = message.view();
        let mut faults = Vec::new();
        if let Some((incarnation, epoch)) = self.nodes[to].place.as_ref().and_then(|place| place.view) {
            faults.extend((sent_in.0 < incarnation).then_some(Fault::Founding));
            faults.extend((sent_in.1 > epoch).then_some(Fault::LateView));
            faults.extend((sent_in.1 < epoch).then_some(Fault::StaleEpoch));
        } else if self.nodes[to].is_up() {
            faults.push(Fault::LateView);
        }
        if self.service.view(sent_in.1).is_some_and(|view| view.halt) {
            faults.push(Fault::Halt);
        }
        for index in [from, to] {
            let node = &self.nodes[index];
            let Some(place) = &node.place else { continue };
            if place.tenure.is_some() && !place.synced {
                faults.push(Fault::Join);
            }
            if node.failed_in == Some(place.step) {
                faults.push(Fault::Failure);
            }
            if self.is_leaving(index) {
                faults.push(Fault::Drain);
            }
        }
        faults.into_iter().for_each(|fault| self.coverage.note(fault, kind));
    }

    /// The council hears a word.
    pub(crate) fn note_word(&mut self, said: &Said) {
        let latest = self.service.latest();
        let index = node_index(said.life.node);
        let said_of = self.service.view(said.epoch);
        let mut faults = Vec::new();
        faults.extend((said.epoch < latest.epoch).then_some(Fault::StaleEpoch));
        faults.extend(said_of.is_some_and(|view| view.halt).then_some(Fault::Halt));
        faults.extend(
            said_of.is_some_and(|view| view.incarnation < latest.incarnation).then_some(Fault::Founding),
        );
        faults.extend((said.life != self.nodes[index].life).then_some(Fault::Restart));
        let member = latest.member(said.life);
        faults.extend(
            member.is_some_and(|member| !self.service.is_acknowledged(member)).then_some(Fault::Join),
        );
        faults.extend(self.nodes[index].failed_in.is_some().then_some(Fault::Failure));
        faults.extend(self.is_leaving(index).then_some(Fault::Drain));
        faults.into_iter().for_each(|fault| self.coverage.note(fault, said.kind()));
    }

    /// A node hears of a view.
    pub(crate) fn note_view(&mut self, index: usize, epoch: Epoch) {
        let node = &self.nodes[index];
        let (Some(place), Some(view)) = (&node.place, self.service.view(epoch)) else { return };
        let latest = self.service.latest();
        let mut faults = Vec::new();
        let entered = place.view.map_or(Epoch(0), |view| view.1);
        faults.extend((epoch < latest.epoch && epoch > entered).then_some(Fault::LateView));
        faults.extend((epoch <= entered).then_some(Fault::StaleEpoch));
        faults.extend((view.incarnation < latest.incarnation).then_some(Fault::Founding));
        faults.extend(view.halt.then_some(Fault::Halt));
        let is_joiner = view.member_on(node_id(index)).is_some() && !place.synced;
        faults.extend(is_joiner.then_some(Fault::Join));
        faults.extend((node.failed_in == Some(place.step)).then_some(Fault::Failure));
        faults.extend(self.is_leaving(index).then_some(Fault::Drain));
        faults.into_iter().for_each(|fault| self.coverage.note(fault, Kind::View));
        if epoch.0 > entered.0 + 1 {
            let skipped = |message: &&Packet| message.view().1 > entered && message.view().1 < epoch;
            let (network, coverage) = (&self.network, &mut self.coverage);
            let met = network.towards(index).filter(skipped);
            met.for_each(|message| coverage.note(Fault::SkippedView, Kind::of(message)));
            let pending =
                |notice: &&(usize, Epoch)| notice.0 == index && notice.1 > entered && notice.1 < epoch;
            let pending = self.notices.iter().filter(pending).count();
            (0..pending).for_each(|_| coverage.note(Fault::SkippedView, Kind::View));
        }
    }

    fn is_leaving(&self, index: usize) -> bool {
        let member = self.service.latest().member(self.nodes[index].life);
        member.is_some_and(|member| self.service.drains.is_leaving(member))
    }
}
