//! Whether this node's council can still decide, and if not, when this node founds the next one.

use std::collections::{BTreeMap, BTreeSet};

use super::QuorumLossPolicy;
use super::limits::{DIED_GRACE_MS, NEVER_MET_GRACE_MS, RANK_MS, SILENCE_GRACE_MS};
use crate::ids::{Millis, NodeId};

/// What is known of a voter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Connected, and in this council.
    Here,
    /// Its process died: its connection closed and the redial was refused.
    Died {
        /// When that was seen.
        at: Millis,
    },
    /// Not connected any more, perhaps alive.
    Silent {
        /// Since when.
        at: Millis,
    },
    /// Never connected since this process started.
    NeverMet,
}

/// What a [`QuorumWatch`] looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuorumFacts {
    /// This node.
    pub me: NodeId,
    /// The sets of voters, each of which needs a majority: two of them during a change.
    pub quorums: Vec<BTreeSet<NodeId>>,
    /// What is known of the voters, this node left out.
    pub seen: BTreeMap<NodeId, Seen>,
    /// Another node leads and is connected. It knows better who is there.
    pub leader_is_here: bool,
    /// Term and index of the last entry of this node's log; `None` if it has no state to go on from.
    pub log_end: Option<(u64, u64)>,
    /// The council gave way to another one, whose leader was heard last then. If it is never heard again, this one goes on.
    pub stranded_at: Option<Millis>,
    /// Connected nodes of this council, with the end of their logs as far as they said it.
    pub others: BTreeMap<NodeId, Option<(u64, u64)>>,
}

/// How the council stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QuorumVerdict {
    /// A majority is here, or another node knows better.
    Holds,
    /// It is not; `until` is when this node founds the next council, `None` if it does not.
    Lost {
        /// When that is.
        until: Option<Millis>,
    },
    /// Found the next council now.
    Found,
}

/// Watches the majority of one council.
#[derive(Clone, Debug)]
pub struct QuorumWatch {
    policy: QuorumLossPolicy,
    started: Millis,
    /// Since when no leader is here and too few voters are.
    lost: Option<Millis>,
}

impl QuorumWatch {
    /// For a process that started at `started`, or has changed its council then.
    #[must_use]
    pub fn new(policy: QuorumLossPolicy, started: Millis) -> Self {
        Self { policy, started, lost: None }
    }

    /// What an operator wants.
    #[must_use]
    pub fn policy(&self) -> QuorumLossPolicy {
        self.policy
    }

    /// Judges the facts at `now`. To be asked again when they change, and when the time comes that it says.
    pub fn step(&mut self, now: Millis, facts: &QuorumFacts) -> QuorumVerdict {
        let given_up = facts.quorums.iter().filter_map(|voters| self.given_up_at(voters, facts)).min();
        let given_up = given_up.filter(|_| !facts.leader_is_here);
        let stranded = facts.stranded_at.filter(|at| now >= at.plus(SILENCE_GRACE_MS / 2));
        let stranded = stranded.map(|at| at.plus(SILENCE_GRACE_MS));
        let Some(given_up) = given_up.or(stranded) else {
            self.lost = None;
            return QuorumVerdict::Holds;
        };
        // A leader that is only just gone may have told others what it did not tell this one.
        let lost = *self.lost.get_or_insert(now);
        let Some(own) = facts.log_end.filter(|_| self.policy == QuorumLossPolicy::Continue) else {
            return QuorumVerdict::Lost { until: None };
        };
        let until = given_up.max(lost.plus(DIED_GRACE_MS)).plus(RANK_MS * rank(own, facts));
        if now >= until { QuorumVerdict::Found } else { QuorumVerdict::Lost { until: Some(until) } }
    }

    /// When so many of `voters` are given up that the others are no majority; `None` while they are one.
    fn given_up_at(&self, voters: &BTreeSet<NodeId>, facts: &QuorumFacts) -> Option<Millis> {
        let mut ends: Vec<Millis> = voters
            .iter()
            .filter(|node| **node != facts.me)
            .filter_map(|node| match facts.seen.get(node).copied().unwrap_or(Seen::NeverMet) {
                Seen::Here => None,
                Seen::Died { at } => Some(at.plus(DIED_GRACE_MS)),
                Seen::Silent { at } => Some(at.plus(SILENCE_GRACE_MS)),
                Seen::NeverMet => Some(self.started.plus(NEVER_MET_GRACE_MS)),
            })
            .collect();
        ends.sort_unstable();
        let majority = voters.len() / 2 + 1;
        // With this many gone, as many as a majority lacks by one remain.
        ends.get(voters.len() - majority).copied()
    }
}

/// Survivors that should found before this node: those whose logs are longer, or not known.
fn rank(own: (u64, u64), facts: &QuorumFacts) -> u64 {
    let order = |end: (u64, u64), node: NodeId| (end, std::cmp::Reverse(node));
    let before = facts.others.iter().filter(|(node, end)| match end {
        Some(end) => order(*end, **node) > order(own, facts.me),
        None => true,
    });
    before.count() as u64
}
