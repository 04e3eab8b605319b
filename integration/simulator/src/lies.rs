//! Members that lie to joiners, one at a time: they offer states that nobody has, or send other bytes than asked for.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use traind_protocol::ids::Epoch;

use crate::world::World;

/// What a liar lies about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// What its state is.
    Offers,
    /// What is in a chunk.
    Bytes,
}

/// Who lies now, and who did.
#[derive(Debug, Default)]
pub(crate) struct Lies {
    now: Option<(usize, Lie)>,
    /// Who offered what it had not.
    told_of: BTreeMap<Epoch, usize>,
    /// Who sent other bytes.
    pub(crate) told_bytes: BTreeSet<usize>,
    /// The newest epoch in which somebody did either.
    pub(crate) latest: Option<Epoch>,
}

impl World {
    /// A member begins to lie, or the one that does stops.
    pub(crate) fn lie_one(&mut self) {
        if self.lies.now.take().is_some() {
            return;
        }
        let up: Vec<usize> = (0..self.nodes.len()).filter(|index| self.nodes[*index].is_up()).collect();
        let Some(&index) = self.random.pick(&up) else { return };
        let lie = if self.random.chance(500) { Lie::Offers } else { Lie::Bytes };
        self.tell(|| format!("LIE {index} {lie:?}"));
        self.strike(true);
        self.lies.now = Some((index, lie));
    }

    /// Everybody is honest again.
    pub(crate) fn end_lies(&mut self) {
        self.lies.now = None;
    }

    /// Whether `index` now offers a state that nobody has. Who alone has the state is believed, whatever it says, so
    /// only those lie beside whom another member had it when it entered the view; one in each view.
    pub(crate) fn makes_up_states(&mut self, index: usize, epoch: Epoch) -> bool {
        let is_liar = self.lies.now == Some((index, Lie::Offers));
        let is_first = *self.lies.told_of.get(&epoch).unwrap_or(&index) == index;
        let has_witness = self.service.view(epoch).is_some_and(|view| {
            let mut others = self.nodes.iter().enumerate().filter(|(other, _)| *other != index);
            others.any(|(_, node)| {
                let tenure = view.member(node.life).map(|member| member.tenure);
                let place = node.place.as_ref().filter(|place| place.synced && place.tenure == tenure);
                place.and_then(|place| place.view).is_some_and(|(incarnation, at)| {
                    incarnation == view.incarnation && at <= epoch && (at < epoch || node.entered_synced)
                })
            })
        });
        let lies = is_liar && is_first && has_witness;
        if lies {
            self.report.lies += 1;
            self.lies.told_of.insert(epoch, index);
            self.lies.latest = self.lies.latest.max(Some(epoch));
        }
        lies
    }

    /// Whether somebody made up a state in this epoch.
    pub(crate) fn was_lied_to(&self, epoch: Option<Epoch>) -> bool {
        epoch.is_some_and(|epoch| self.lies.told_of.contains_key(&epoch))
    }

    /// The bytes that `index` sends for these.
    pub(crate) fn falsified(&mut self, index: usize, content: Bytes) -> Bytes {
        if self.lies.now != Some((index, Lie::Bytes)) {
            return content;
        }
        self.report.lies += 1;
        self.lies.told_bytes.insert(index);
        self.lies.latest = self.lies.latest.max(Some(self.service.latest().epoch));
        let mut bytes = content.to_vec();
        bytes[0] ^= 1;
        bytes.into()
    }
}
