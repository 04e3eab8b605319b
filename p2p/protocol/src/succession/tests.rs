//! Who founds when, by values.

use std::collections::BTreeSet;

use super::limits::{DIED_GRACE_MS, NEVER_MET_GRACE_MS, RANK_MS, SILENCE_GRACE_MS};
use super::*;
use crate::ids::{Millis, NodeId};

fn node(number: u8) -> NodeId {
    NodeId([number; 32])
}

/// Node 1 among voters 1 to `voters`, of which those in `seen` are as it says and the others are here.
fn facts(voters: u8, seen: &[(u8, Seen)]) -> QuorumFacts {
    let all: BTreeSet<NodeId> = (1..=voters).map(node).collect();
    let mut facts = QuorumFacts {
        me: node(1),
        seen: all.iter().map(|voter| (*voter, Seen::Here)).collect(),
        quorums: vec![all],
        leader_is_here: false,
        log_end: Some((3, 10)),
        stranded_at: None,
        others: Default::default(),
    };
    for (number, how) in seen {
        facts.seen.insert(node(*number), *how);
    }
    facts
}

fn died(at: u64) -> Seen {
    Seen::Died { at: Millis(at) }
}

fn silent(at: u64) -> Seen {
    Seen::Silent { at: Millis(at) }
}

/// When a watch that started at 0 and sees `facts` from `from` on founds; `None` if never.
fn founds_at(policy: QuorumLossPolicy, from: u64, facts: &QuorumFacts) -> Option<u64> {
    let mut watch = QuorumWatch::new(policy, Millis(0));
    let mut now = Millis(from);
    for _ in 0..10 {
        match watch.step(now, facts) {
            QuorumVerdict::Holds => return None,
            QuorumVerdict::Found => return Some(now.0),
            QuorumVerdict::Lost { until } => now = until?,
        }
    }
    panic!("it never comes to an end")
}

const CONTINUE: QuorumLossPolicy = QuorumLossPolicy::Continue;

#[test]
fn a_majority_founds_nothing() {
    assert_eq!(founds_at(CONTINUE, 0, &facts(3, &[(2, died(5))])), None);
    assert_eq!(founds_at(CONTINUE, 0, &facts(5, &[(2, died(5)), (3, silent(7))])), None);
    assert_eq!(founds_at(CONTINUE, 0, &facts(1, &[])), None);
}

#[test]
fn the_grace_follows_the_evidence() {
    let both = facts(3, &[(2, died(1_000)), (3, died(1_100))]);
    assert_eq!(founds_at(CONTINUE, 1_100, &both), Some(1_100 + DIED_GRACE_MS));
    let half = facts(3, &[(2, died(1_000)), (3, silent(1_100))]);
    assert_eq!(founds_at(CONTINUE, 1_100, &half), Some(1_100 + SILENCE_GRACE_MS));
    let never = facts(3, &[(2, died(1_000)), (3, Seen::NeverMet)]);
    assert_eq!(founds_at(CONTINUE, 1_000, &never), Some(NEVER_MET_GRACE_MS));
    // Three of five are enough, and the two best known of the others decide.
    let many = facts(5, &[(2, silent(5)), (3, died(1_000)), (4, died(1_001)), (5, died(1_002))]);
    assert_eq!(founds_at(CONTINUE, 1_002, &many), Some(1_002 + DIED_GRACE_MS));
    // Two nodes of which the one that votes dies: the other is no voter and goes on all the same.
    let mut pair = facts(2, &[(2, died(1_000))]);
    pair.quorums = vec![[node(2)].into()];
    assert_eq!(founds_at(CONTINUE, 1_000, &pair), Some(1_000 + DIED_GRACE_MS));
}

#[test]
fn a_change_of_the_voters_needs_both_majorities() {
    let mut facts = facts(3, &[(2, died(1_000))]);
    facts.quorums.push([node(1), node(2)].into());
    assert_eq!(founds_at(CONTINUE, 1_000, &facts), Some(1_000 + DIED_GRACE_MS));
}

#[test]
fn nobody_founds_beside_a_leader_or_without_a_state_or_where_people_want_to_wait() {
    let gone = facts(3, &[(2, died(0)), (3, died(0))]);
    assert_eq!(founds_at(QuorumLossPolicy::Halt, 0, &gone), None);
    assert_eq!(founds_at(CONTINUE, 0, &QuorumFacts { leader_is_here: true, ..gone.clone() }), None);
    assert_eq!(founds_at(CONTINUE, 0, &QuorumFacts { log_end: None, ..gone.clone() }), None);
    let mut watch = QuorumWatch::new(QuorumLossPolicy::Halt, Millis(0));
    assert_eq!(watch.step(Millis(100_000), &gone), QuorumVerdict::Lost { until: None });
}

#[test]
fn a_leader_that_went_only_now_gives_the_grace_anew() {
    let mut gone = facts(3, &[(2, died(0)), (3, died(0))]);
    gone.leader_is_here = true;
    let mut watch = QuorumWatch::new(CONTINUE, Millis(0));
    assert_eq!(watch.step(Millis(5_000), &gone), QuorumVerdict::Holds);
    gone.leader_is_here = false;
    let until = Some(Millis(5_001 + DIED_GRACE_MS));
    assert_eq!(watch.step(Millis(5_001), &gone), QuorumVerdict::Lost { until });
}

#[test]
fn the_furthest_survivor_founds_first() {
    let mut gone = facts(5, &[(3, died(0)), (4, died(0)), (5, died(0))]);
    let at = |end: Option<(u64, u64)>, gone: &mut QuorumFacts| {
        gone.others = [(node(2), end)].into();
        founds_at(CONTINUE, 0, gone).map(|at| at - DIED_GRACE_MS)
    };
    assert_eq!(at(Some((3, 9)), &mut gone), Some(0), "the other's log is shorter");
    assert_eq!(at(Some((3, 10)), &mut gone), Some(0), "as long, and this node comes first");
    assert_eq!(at(Some((3, 11)), &mut gone), Some(RANK_MS));
    assert_eq!(at(Some((4, 1)), &mut gone), Some(RANK_MS), "a later term counts more");
    assert_eq!(at(None, &mut gone), Some(RANK_MS), "it may be further");
}
