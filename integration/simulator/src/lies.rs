//! Members that lie, one at a time: to joiners they offer states that nobody has, or send other bytes than asked for; to
//! owners and members they send what no honest member does, and whoever finds that out tells the council.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use traind_protocol::ids::Epoch;
use traind_protocol::invariants::is_just;
use traind_protocol::misdeed::{Accusation, Misdeed};
use traind_protocol::sync::{SyncBody, SyncInput, SyncMessage};
use traind_protocol::view::Member;

use crate::node::{node_id, node_index};
use crate::world::World;

/// Views that a liar's messages are ahead.
const EPOCHS_AHEAD: u64 = 1_000;

/// More messages than any job of this size lets a member send between two steps.
const FLOOD_MESSAGES: usize = 2_000;

/// One of so many messages of a liar is a lie.
const LIES_ONE_IN: usize = 3;

/// What a liar lies about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lie {
    /// What its state is.
    Offers,
    /// What is in a chunk.
    Bytes,
    /// How long its sums and results are.
    Lengths,
    /// What a sum is, which it has said before.
    Sums,
    /// Which view there is.
    Epochs,
    /// Nothing: it says too much.
    Flood,
}

impl Lie {
    /// Those that cost the liar its place, and so make others compute its work.
    const TO_MEMBERS: [Self; 4] = [Self::Lengths, Self::Sums, Self::Epochs, Self::Flood];
}

/// Who lies now, and who did.
#[derive(Debug, Default)]
pub(crate) struct Lies {
    now: Option<(usize, Lie)>,
    /// Who offered what it had not.
    told_of: BTreeMap<Epoch, usize>,
    /// Who sent other bytes.
    pub(crate) told_bytes: BTreeSet<usize>,
    /// Who sent members what no honest one does.
    told_members: BTreeSet<usize>,
    /// Whom the council is to put out.
    accused: BTreeSet<usize>,
    /// The newest epoch in which somebody did any of it.
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
        let lie = match self.random.below(4) {
            0 => Lie::Offers,
            1 => Lie::Bytes,
            // Whoever is put out for it has its work computed again, which must not happen in orderly runs; and where a rule
            // is broken on purpose, that is what is to be found.
            _ if self.plan.orderly || self.fault.is_some() => Lie::Bytes,
            _ => Lie::TO_MEMBERS[self.random.below(Lie::TO_MEMBERS.len())],
        };
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

    fn tells_members(&mut self, index: usize) {
        self.report.lies += 1;
        self.lies.told_members.insert(index);
        self.lies.latest = self.lies.latest.max(Some(self.service.latest().epoch));
    }

    /// What `index` sends instead of `message`.
    pub(crate) fn forged(&mut self, index: usize, message: SyncMessage) -> Vec<SyncMessage> {
        let lie = match self.lies.now {
            Some((liar, lie)) if liar == index && self.random.below(LIES_ONE_IN) == 0 => lie,
            _ => return vec![message],
        };
        let forged = match (lie, &message.body) {
            (Lie::Lengths, SyncBody::Contribution { .. } | SyncBody::Result { .. }) => shortened(&message),
            // On like processors another sum would be another result.
            (Lie::Sums, SyncBody::Contribution { .. }) if self.plan.unlike => altered(&message),
            (Lie::Epochs, _) => {
                Some(SyncMessage { epoch: Epoch(message.epoch.0 + EPOCHS_AHEAD), ..message.clone() })
            }
            _ => None,
        };
        let Some(forged) = forged else { return vec![message] };
        self.tells_members(index);
        match lie {
            // The right one gets there first, or it is the other one that counts: whoever lies about itself harms nobody.
            Lie::Sums => vec![message, forged],
            _ => vec![forged],
        }
    }

    /// A liar whose lie is a flood sends it to somebody.
    pub(crate) fn flood_some(&mut self) {
        let Some((index, Lie::Flood)) = self.lies.now else { return };
        let Some(machine) = &self.nodes[index].machine else { return };
        let place = machine.place();
        let Some((incarnation, epoch)) = place.view.filter(|_| place.tenure.is_some()) else { return };
        let is_victim =
            |node: &usize| *node != index && self.nodes[*node].is_up() && !self.nodes[*node].paused;
        let victims: Vec<usize> = (0..self.nodes.len()).filter(is_victim).collect();
        let Some(&victim) = self.random.pick(&victims) else { return };
        let boot = self.nodes[index].life.boot;
        let body = SyncBody::NeedResult { step: u64::MAX, part: 0 };
        let message = SyncMessage { job: crate::service::JOB, incarnation, epoch, boot, body };
        self.tells_members(index);
        self.lies.now = None;
        for _ in 0..FLOOD_MESSAGES {
            let message = message.clone();
            self.feed(victim, SyncInput::Message { from: node_id(index), message });
        }
    }

    /// Whether `index` sent members what no honest one does.
    pub(crate) fn lied_to_members(&self, index: usize) -> bool {
        self.lies.told_members.contains(&index)
    }

    /// `index` accuses a member.
    pub(crate) fn accused(&mut self, index: usize, accusation: &Accusation) {
        let of = node_index(accusation.of.node);
        let misdeed = accusation.misdeed;
        if self.fault.is_some() {
            // Where a rule of the step is broken, honest members contradict each other.
            if matches!(misdeed, Misdeed::TwoResults { .. }) {
                self.fail("B1", format!("two results of node {of} at node {index}"));
            }
            return;
        }
        if !is_just(of, &self.lies.told_members) {
            return self.fail("A2", format!("node {index} accuses {of}, which never lied, of {misdeed:?}"));
        }
        self.report.liars_accused += 1;
        self.lies.accused.insert(of);
    }

    /// The council puts out whom others accuse, if the job can go on without.
    pub(crate) fn put_out_liars(&mut self) {
        for index in std::mem::take(&mut self.lies.accused) {
            let latest = self.service.latest();
            let others: Vec<Member> =
                latest.members.iter().filter(|member| node_index(member.node) != index).copied().collect();
            let carries = |member: &Member| self.is_carrier(node_index(member.node));
            let goes_on = others.len() < latest.members.len() && others.iter().any(carries);
            if goes_on && self.commit(others) {
                self.tell(|| format!("PUT OUT {index}"));
                self.report.liars_put_out += 1;
                self.lies.now.take_if(|(liar, _)| *liar == index);
            }
        }
    }
}

/// The same message with a byte less.
fn shortened(message: &SyncMessage) -> Option<SyncMessage> {
    let mut message = message.clone();
    match &mut message.body {
        SyncBody::Contribution { sum: bytes, .. } | SyncBody::Result { result: bytes, .. } => {
            bytes.truncate(bytes.len().checked_sub(1)?);
        }
        _ => return None,
    }
    Some(message)
}

/// The same message with the sum of other computations.
fn altered(message: &SyncMessage) -> Option<SyncMessage> {
    let mut message = message.clone();
    let SyncBody::Contribution { sum, .. } = &mut message.body else { return None };
    let mut bytes = sum.to_vec();
    // The number of the first computation in it.
    *bytes.get_mut(2 + 4)? ^= 1;
    *sum = bytes.into();
    Some(message)
}
