//! Who founds when, by values.

use std::collections::BTreeSet;

use super::limits::{DIED_GRACE_MS, NEVER_MET_GRACE_MS, RANK_MS, SILENCE_GRACE_MS};
use super::*;
use crate::ids::{CouncilId, Epoch, Millis, NodeId};
use crate::ledger::testing::{chain, checkpoint, job_id, plan, register, submit};
use crate::ledger::{CommittedRange, DrainUntil, Ledger, LedgerCommand, Lineage};
use crate::wire::control::Standing;

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
fn a_council_that_gave_way_to_one_that_is_never_heard_again_goes_on() {
    let stranded = |at| QuorumFacts { stranded_at: Some(Millis(at)), ..facts(3, &[]) };
    let mut watch = QuorumWatch::new(CONTINUE, Millis(0));
    assert_eq!(watch.step(Millis(1_000), &stranded(900)), QuorumVerdict::Holds, "it is heard");
    let until = Some(Millis(900 + SILENCE_GRACE_MS));
    assert_eq!(watch.step(Millis(6_000), &stranded(900)), QuorumVerdict::Lost { until });
    assert_eq!(watch.step(Millis(900 + SILENCE_GRACE_MS), &stranded(900)), QuorumVerdict::Found);
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

fn lineage(council: CouncilId, samples: u64, yielded: Option<CouncilId>) -> Lineage {
    let mut lineage = Lineage::default();
    (lineage.council, lineage.samples, lineage.yielded) = (council, samples, yielded);
    lineage
}

fn id(generation: u64, founder: u8) -> CouncilId {
    CouncilId { generation, founder: node(founder) }
}

fn leads(council: CouncilId, samples: u64) -> Standing {
    Standing { council, samples, range: 0, log_end: (1, 1), leads: true }
}

#[test]
fn of_two_councils_that_hear_of_each_other_exactly_one_gives_way() {
    let all = [(id(0, 0), 5), (id(1, 1), 5), (id(1, 2), 5), (id(1, 2), 6), (id(2, 1), 4)];
    for (one, other) in all.iter().flat_map(|one| all.iter().map(move |other| (*one, *other))) {
        let first = gives_way(&lineage(one.0, one.1, None), &leads(other.0, other.1));
        let second = gives_way(&lineage(other.0, other.1, None), &leads(one.0, one.1));
        assert_eq!(first ^ second, one.0 != other.0, "{one:?} {other:?}");
    }
    let greater = leads(id(1, 2), 9);
    assert!(!gives_way(&lineage(id(1, 1), 5, Some(id(3, 3))), &greater), "it has already");
    assert!(!gives_way(&lineage(id(1, 1), 5, None), &Standing { leads: false, ..greater }));
    assert!(!gives_way(&lineage(id(1, 1), 5, None), &leads(id(u64::MAX, 2), 9)), "no such generation");
}

#[test]
fn a_node_turns_to_a_council_that_is_further_if_its_own_does_not_decide() {
    let own = |samples, yielded| lineage(id(1, 1), samples, yielded);
    let theirs = leads(id(1, 2), 10);
    assert!(turns(&own(9, None), false, &theirs) && !turns(&own(9, None), true, &theirs));
    assert!(!turns(&own(11, None), false, &theirs), "its own is further");
    assert!(!turns(&own(9, None), false, &Standing { leads: false, ..theirs }));
    assert!(turns(&own(11, Some(id(1, 2))), true, &theirs), "its own gave way to that one");
    assert!(turns(&own(9, Some(id(7, 7))), true, &theirs), "what gave way decides nothing");
    assert!(!turns(&lineage(id(1, 2), 0, None), false, &theirs), "it is in that council");
}

#[test]
fn what_only_the_old_council_had_is_proposed_until_it_shows() {
    let mut left = Ledger::default();
    for command in [register(1, 1), register(2, 1), submit(1, plan()), submit(2, plan())] {
        left.apply_command(1, command).expect("a good command");
    }
    let drain = LedgerCommand::DrainNode {
        node: node(2),
        by: node(1),
        reason: "maintenance".to_owned(),
        until: DrainUntil::Undrain,
    };
    left.apply_command(5, drain.clone()).expect("a good command");
    let job = left.jobs.get_mut(&job_id(1)).expect("submitted");
    job.checkpoints.push(checkpoint(40, &[1]));
    let legacy = Legacy::of(&left, node(1));
    assert_eq!(Legacy::decode(&legacy.encode()).expect("its own bytes"), legacy);
    let mut next = Ledger::default();
    for command in [register(1, 1), register(2, 1), submit(1, plan())] {
        next.apply_command(1, command).expect("a good command");
    }
    let missing = legacy.missing(&next);
    let kinds: Vec<&str> = missing.iter().map(LedgerCommand::kind).collect();
    assert_eq!(kinds, ["keep branch", "submit job", "drain node"]);
    for command in missing {
        next.apply_command(9, command).expect("a good command");
    }
    assert_eq!(legacy.missing(&next), []);
    assert_eq!(next.jobs.len(), 2);
    assert_eq!(next.lineage.branches[0].state, checkpoint(40, &[1]));
    // Where the other council is further, its state contains the old one's.
    let mut further = Ledger::default();
    further.apply_command(1, submit(1, plan())).expect("a good command");
    let range = CommittedRange { from_step: 0, to_step: 50, epoch: Epoch(1), chain: chain(50) };
    further.jobs.get_mut(&job_id(1)).expect("submitted").committed.push(range);
    assert!(legacy.missing(&further).iter().all(|command| command.kind() != "keep branch"));
}
