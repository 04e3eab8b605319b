//! Members that accuse each other, and members whose results differ.

use super::cluster::{Cluster, applied, name};
use crate::coordinator::limits::{
    ACCUSATION_BATCH_MS, JOIN_BATCH_MS, MISBEHAVED_RETRY_MS, PROGRESS_INTERVAL_MS, QUARREL_MS,
};
use crate::ids::{Boot, Epoch};
use crate::ledger::testing::{chain, job_id, node, plan};
use crate::ledger::{Finding, JobPlan};
use crate::misdeed::{Accusation, Misdeed};
use crate::view::{Member, View};
use crate::wire::control::ReportEvent;

const SUM: Misdeed = Misdeed::Contribution { step: 1, part: 0 };

/// `nodes` members that have all applied a step: they have the state, and their words count.
fn running(nodes: u8) -> Cluster {
    let mut cluster = Cluster::running(nodes, plan());
    cluster.all_apply(1);
    cluster
}

fn accuse_as(cluster: &mut Cluster, by: u8, of: Member, misdeed: Misdeed) {
    cluster.report(by, ReportEvent::Misbehaved(Accusation { of, misdeed, evidence: [by; 32] }));
}

fn accuse(cluster: &mut Cluster, by: u8, of: u8, misdeed: Misdeed) {
    let of = *cluster.view().member_on(node(of)).expect("a member");
    accuse_as(cluster, by, of, misdeed);
}

/// A word on a member, or on one that is none any more, which may be true or not.
pub(super) fn any_accusation(mut below: impl FnMut(u64) -> u64, view: &View) -> Accusation {
    let mut of = view.members[below(view.members.len() as u64) as usize];
    if below(5) == 0 {
        of.tenure = Epoch(below(view.epoch.0 + 1));
    }
    let (step, part) = (below(60), below(9) as u32);
    let misdeed = match below(6) {
        0 => Misdeed::Frame,
        1 => Misdeed::Contribution { step, part },
        2 => Misdeed::Result { step, part },
        3 => Misdeed::TwoContributions { step, part },
        4 => Misdeed::Epoch { epoch: Epoch(below(2 * view.epoch.0)) },
        _ => Misdeed::Flood,
    };
    Accusation { of, misdeed, evidence: [part as u8; 32] }
}

fn members(cluster: &Cluster) -> Vec<u8> {
    cluster.members().into_iter().map(|(number, _, _)| number).collect()
}

/// Verdicts in the ledger: whom they are about, whose word they are.
fn verdicts(cluster: &Cluster) -> Vec<(u8, u8, Finding)> {
    let verdicts = cluster.ledger.verdicts.iter();
    verdicts.map(|verdict| (verdict.node.0[0], verdict.by.0[0], verdict.finding)).collect()
}

#[test]
fn one_word_among_three_puts_the_accused_out_is_told_and_holds_for_a_minute_and_then_for_two() {
    let mut cluster = running(3);
    accuse(&mut cluster, 3, 2, SUM);
    assert_eq!(members(&cluster), [1, 2, 3], "others may say the same");
    let says = format!("{} says that {} sent a malformed sum for part 0 of step 1", name(3), name(2));
    assert!(cluster.why().contains(&says), "{}", cluster.why());
    cluster.pass_ms(ACCUSATION_BATCH_MS);
    assert_eq!(members(&cluster), [1, 3]);
    let reason = format!("{} sent a malformed sum for part 0 of step 1, by the word of {}", name(2), name(3));
    assert_eq!(cluster.reason(), reason);
    assert_eq!(verdicts(&cluster), [(2, 3, Finding::Malformed)]);
    assert_eq!(cluster.ledger.verdicts[0].object.0, [3; 32], "the evidence");
    cluster.apply_step(1, 2);
    cluster.apply_step(3, 2);
    cluster.pass_ms(PROGRESS_INTERVAL_MS);
    assert_eq!(cluster.coordinator.progress(job_id(1)).unwrap().stable_step, 2, "the others go on");
    let told = cluster.progress().last().unwrap().kept_out.clone();
    let [told] = &told[..] else { panic!("{told:?}") };
    assert_eq!((told.node, told.reason.as_str()), (node(2), "it sent a malformed sum for part 0 of step 1"));
    let left_ms = told.ends_in_ms.expect("a timer ends it");
    assert!((1..=MISBEHAVED_RETRY_MS).contains(&left_ms), "{left_ms}");
    let why = cluster.why();
    let words = format!("{} sent a malformed sum for part 0 of step 1 and may not join yet", name(2));
    assert!(why.contains(&words), "{why}");
    for times in 0..2 {
        cluster.pass_ms((MISBEHAVED_RETRY_MS << times) - 1_000);
        assert_eq!(members(&cluster), [1, 3], "time {times}");
        cluster.pass_ms(1_000 + JOIN_BATCH_MS);
        assert_eq!(members(&cluster), [1, 2, 3], "time {times}");
        cluster.sync(2, 2);
        accuse(&mut cluster, 3, 2, SUM);
        cluster.pass_ms(ACCUSATION_BATCH_MS);
        assert_eq!(members(&cluster), [1, 3], "the same accuser is believed about the same node");
    }
}

#[test]
fn more_than_half_are_believed_at_once() {
    let mut cluster = running(4);
    accuse(&mut cluster, 1, 2, Misdeed::Flood);
    assert_eq!(members(&cluster), [1, 2, 3, 4]);
    accuse(&mut cluster, 3, 2, Misdeed::Flood);
    assert_eq!(members(&cluster), [1, 3, 4]);
    assert!(
        cluster.reason().ends_with(&format!("by the word of {}, {}", name(1), name(3))),
        "{}",
        cluster.reason()
    );
    assert_eq!(verdicts(&cluster), [(2, 1, Finding::Flood)]);
    // It cost neither of the two its credit.
    accuse(&mut cluster, 1, 4, SUM);
    cluster.pass_ms(ACCUSATION_BATCH_MS);
    assert_eq!(members(&cluster), [1, 3]);
}

#[test]
fn of_two_members_nobody_knows_who_is_right() {
    let mut cluster = running(2);
    accuse(&mut cluster, 1, 2, Misdeed::Frame);
    accuse(&mut cluster, 2, 1, SUM);
    cluster.pass_ms(10 * ACCUSATION_BATCH_MS);
    assert_eq!(members(&cluster), [1, 2]);
    let why = cluster.why();
    for says in [
        format!("{} says that {} sent bytes that are no message", name(1), name(2)),
        format!("{} says that {} sent a malformed sum", name(2), name(1)),
    ] {
        assert!(why.contains(&says) && why.contains("no third member says which"), "{why}");
    }
    let mut told = verdicts(&cluster);
    told.sort_unstable();
    assert_eq!(told, [(1, 2, Finding::Malformed), (2, 1, Finding::Malformed)]);
}

#[test]
fn who_accuses_one_after_the_other_alone_is_put_out_and_the_first_is_taken_back() {
    let mut cluster = running(5);
    accuse(&mut cluster, 5, 2, SUM);
    cluster.pass_ms(ACCUSATION_BATCH_MS);
    assert_eq!(members(&cluster), [1, 3, 4, 5]);
    accuse(&mut cluster, 5, 3, SUM);
    cluster.pass_ms(ACCUSATION_BATCH_MS + JOIN_BATCH_MS);
    assert_eq!(members(&cluster), [1, 2, 3, 4], "{}", cluster.reason());
    let reason = format!("{} accuses {} and then {}, and nobody else does", name(5), name(2), name(3));
    let reasons: Vec<&String> = cluster.job().view_changes.iter().map(|change| &change.reason).collect();
    assert!(reasons.iter().any(|told| told.contains(&reason)), "{reasons:?}");
    assert_eq!(verdicts(&cluster).last(), Some(&(5, 1, Finding::FalseAccusations)));
    // A member that was put out has no word, whatever it said before.
    cluster.pass_ms(10 * ACCUSATION_BATCH_MS);
    assert_eq!(members(&cluster), [1, 2, 3, 4]);
}

#[test]
fn a_liar_that_answers_its_accuser_in_kind_is_put_out_first() {
    let mut cluster = running(4);
    accuse(&mut cluster, 1, 2, SUM);
    cluster.pass_ms(ACCUSATION_BATCH_MS / 2);
    accuse(&mut cluster, 2, 1, SUM);
    cluster.pass_ms(10 * ACCUSATION_BATCH_MS);
    assert_eq!(members(&cluster), [1, 3, 4]);
}

#[test]
fn words_on_others_than_members_in_their_tenure_and_of_members_without_the_state_count_for_nothing() {
    let mut cluster = running(3);
    let of = *cluster.view().member_on(node(2)).expect("a member");
    accuse_as(&mut cluster, 3, Member { boot: Boot(9), ..of }, SUM);
    accuse_as(&mut cluster, 3, Member { tenure: Epoch(9), ..of }, SUM);
    accuse_as(&mut cluster, 3, Member { node: node(7), ..of }, SUM);
    accuse(&mut cluster, 3, 3, SUM);
    cluster.join(4, 1);
    cluster.pass_ms(JOIN_BATCH_MS);
    assert_eq!(members(&cluster), [1, 2, 3, 4]);
    accuse(&mut cluster, 4, 2, SUM);
    cluster.pass_ms(10 * ACCUSATION_BATCH_MS);
    assert_eq!(members(&cluster), [1, 2, 3, 4]);
    assert!(cluster.ledger.verdicts.is_empty());
    cluster.sync(4, 1);
    cluster.pass_ms(ACCUSATION_BATCH_MS);
    assert_eq!(members(&cluster), [1, 3, 4], "now it is one of those that can know");
}

#[test]
fn a_view_that_the_ledger_knows_or_another_council_has_is_no_lie() {
    let mut cluster = running(3);
    let newest = cluster.view().epoch.0;
    for epoch in [0, newest, newest + 1, (1 << 32) + 7, (7 << 32) + newest + 9_000] {
        let of = *cluster.view().member_on(node(2)).expect("a member");
        accuse_as(&mut cluster, 3, of, Misdeed::Epoch { epoch: Epoch(epoch) });
        cluster.pass_ms(2 * ACCUSATION_BATCH_MS);
        assert_eq!(members(&cluster), [1, 2, 3], "{epoch}");
        // The next word is heard in a new view.
        cluster.lose(3, 1, false);
        cluster.connect(3, 1);
        cluster.pass_ms(JOIN_BATCH_MS);
        let step = 1;
        cluster.sync(3, step);
    }
    accuse(&mut cluster, 3, 2, Misdeed::Epoch { epoch: Epoch(newest + 9_000) });
    cluster.pass_ms(2 * ACCUSATION_BATCH_MS);
    assert_eq!(members(&cluster), [1, 3]);
    assert_eq!(verdicts(&cluster), [(2, 3, Finding::NoSuchView)]);
}

#[test]
fn an_accuser_may_accuse_another_one_once_an_hour() {
    let mut cluster = running(5);
    accuse(&mut cluster, 5, 2, SUM);
    cluster.pass_ms(ACCUSATION_BATCH_MS);
    cluster.pass_ms(MISBEHAVED_RETRY_MS + JOIN_BATCH_MS);
    assert_eq!(members(&cluster), [1, 2, 3, 4, 5], "it is back");
    cluster.sync(2, 1);
    cluster.pass_ms(QUARREL_MS);
    accuse(&mut cluster, 5, 3, SUM);
    cluster.pass_ms(ACCUSATION_BATCH_MS);
    assert_eq!(members(&cluster), [1, 2, 4, 5]);
}

/// `number` has another chain after `step` than the others.
fn apply_otherwise(cluster: &mut Cluster, number: u8, step: u64) {
    let ReportEvent::Applied { step, point, sample, work, .. } = applied(step) else { return };
    let event = ReportEvent::Applied { step, chain: chain(step + 1_000), point, sample, work };
    cluster.report(number, event);
}

#[test]
fn whoever_has_other_results_than_the_majority_gets_their_state_and_the_others_go_on() {
    for order in [[1, 2, 3], [2, 1, 3], [1, 3, 2]] {
        let mut cluster = running(3);
        let before = cluster.view().epoch;
        for number in order {
            match number {
                2 => apply_otherwise(&mut cluster, 2, 2),
                _ => cluster.apply_step(number, 2),
            }
        }
        let expected = format!("{} is at another state than {}, {} after step 2", name(2), name(1), name(3));
        assert!(cluster.reason().starts_with(&expected), "{order:?}: {}", cluster.reason());
        let tenure = cluster.view().member_on(node(2)).expect("it comes back at once").tenure;
        assert!(tenure > before && cluster.lease(2).is_empty(), "without the state");
        assert_eq!(cluster.coordinator.alarm(), None);
        cluster.apply_step(1, 2);
        cluster.apply_step(3, 2);
        cluster.sync(2, 2);
        cluster.pass_ms(PROGRESS_INTERVAL_MS);
        assert_eq!(cluster.coordinator.progress(job_id(1)).unwrap().stable_step, 2);
    }
}

#[test]
fn the_majority_may_be_those_who_speak_later() {
    let mut cluster = running(3);
    cluster.apply_step(1, 2);
    apply_otherwise(&mut cluster, 2, 2);
    assert_eq!(members(&cluster), [1, 2, 3]);
    apply_otherwise(&mut cluster, 3, 2);
    let expected = format!("{} is at another state than {}, {} after step 2", name(1), name(2), name(3));
    assert!(cluster.reason().starts_with(&expected), "{}", cluster.reason());
}

#[test]
fn a_stable_step_is_right_whoever_says_otherwise_later() {
    let mut cluster = Cluster::running(2, JobPlan { ..plan() });
    cluster.all_apply(1);
    apply_otherwise(&mut cluster, 2, 1);
    assert!(
        cluster.reason().starts_with(&format!("{} is at another state", name(2))),
        "{}",
        cluster.reason()
    );
    assert_eq!(cluster.coordinator.alarm(), None);
}
