//! Accusations: what is said of members that send what no honest one does. docs/decisions/0017 has the reasons.

use std::collections::BTreeSet;
use std::mem::{Discriminant, discriminant};

use super::io::SyncOutput;
use super::machine::SyncMachine;
use crate::ids::{Epoch, Life, Millis, NodeId};
use crate::misdeed::{Accusation, Misdeed};
use crate::numbers::Numbers;
use crate::view::Member;

/// Who was accused of what in this view: at most one entry for each member and kind of misdeed.
#[derive(Debug, Default)]
pub(super) struct Accused(Vec<(NodeId, Discriminant<Misdeed>)>);

impl Accused {
    fn insert(&mut self, node: NodeId, misdeed: &Misdeed) -> bool {
        let key = (node, discriminant(misdeed));
        let is_new = !self.0.contains(&key);
        if is_new {
            self.0.push(key);
        }
        is_new
    }

    /// Whether two different sums of `node` have come: nobody knows which of its sums are right.
    pub(super) fn contradicts_itself(&self, node: NodeId) -> bool {
        let sums = discriminant(&Misdeed::TwoContributions { step: 0, part: 0 });
        self.0.contains(&(node, sums))
    }
}

/// What stands for the evidence where no single message is one.
fn stands_for(member: &Member, what: u64) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new();
    hasher.update(&member.node.0).update(&member.boot.0.to_le_bytes());
    hasher.update(&member.tenure.0.to_le_bytes()).update(&what.to_le_bytes());
    *hasher.finalize().as_bytes()
}

/// Results of one step that were given to us and are not those that all have.
#[derive(Debug)]
pub(super) struct DifferingResults {
    step: u64,
    /// Part, giver, epoch, and the hash of what it gave.
    results: Vec<(u32, NodeId, Epoch, [u8; 32])>,
}

impl<N: Numbers> SyncMachine<N> {
    /// Accuses a member of the present view, once for each kind of misdeed.
    pub(super) fn accuse(
        &mut self,
        node: NodeId,
        misdeed: Misdeed,
        evidence: [u8; 32],
        out: &mut Vec<SyncOutput>,
    ) {
        let Some(of) =
            self.membership.as_ref().and_then(|membership| membership.view.member_on(node)).copied()
        else {
            return;
        };
        if self.tenure.is_some() && node != self.options.me.node && self.accused.insert(node, &misdeed) {
            out.push(SyncOutput::Accuse(Accusation { of, misdeed, evidence }));
        }
    }

    /// A member speaks of a view that is further ahead than any is held for. Another process of its node, or one that the
    /// present view does not name, is none of those that can be accused.
    pub(super) fn accuse_of_epoch(&mut self, sender: Life, misdeed: Misdeed, out: &mut Vec<SyncOutput>) {
        let member = self.membership.as_ref().and_then(|membership| membership.view.member(sender)).copied();
        if let (Some(member), Misdeed::Epoch { epoch }) = (member, misdeed) {
            self.accuse(sender.node, misdeed, stands_for(&member, epoch.0), out);
        }
    }

    /// Counts a message, whatever it says.
    pub(super) fn count_message(&mut self, now: Millis, from: NodeId, out: &mut Vec<SyncOutput>) {
        let member = self.membership.as_ref().and_then(|membership| membership.view.member_on(from)).copied();
        if let Some(member) = member
            && !self.allowances.takes(now, from)
        {
            let epoch = self.membership.as_ref().map_or(0, |membership| membership.view.epoch.0);
            self.accuse(from, Misdeed::Flood, stands_for(&member, epoch), out);
        }
    }

    /// The results that led to the state that all have show who gave us others before, in the step before this one.
    pub(super) fn differing_results(&mut self) -> Option<DifferingResults> {
        let step = self.step.checked_sub(1)?;
        let results = self.sources.differing((self.step, self.previous_chain), &self.last);
        (!results.is_empty()).then_some(DifferingResults { step, results })
    }

    /// Whoever has been a member without a break since it gave a result that differs holds what it gave, if it is honest, and
    /// what a member holds is canonical. One that was put out meanwhile may have given what was folded again without it.
    pub(super) fn accuse_of_results(&mut self, found: DifferingResults, out: &mut Vec<SyncOutput>) {
        let Some(membership) = self.membership.clone() else { return };
        let DifferingResults { step, results } = found;
        let mut named = BTreeSet::new();
        for (part, giver, epoch, evidence) in results {
            let stayed = |member: &Member| member.tenure <= epoch;
            if membership.view.member_on(giver).is_some_and(stayed) && named.insert(giver) {
                self.accuse(giver, Misdeed::TwoResults { step, part }, evidence, out);
            }
        }
    }
}
