//! Members that hold up a step: taken out after a while, told of before and afterwards, taken back when they have recovered.

use super::cluster::{Cluster, applied, finished, name};
use crate::coordinator::limits::{
    JOIN_BATCH_MS, MUTE_MS, STEP_WAIT_INTERVAL_MS, STRAGGLED_RETRY_MS, STRAGGLER_MS_MIN,
};
use crate::ids::{Boot, NodeId};
use crate::ledger::JobStatus;
use crate::ledger::testing::{node, plan};
use crate::wire::control::{ReportEvent, WorkCounters};
use crate::wire::step_wait::StepWait;

/// A job on `nodes` members whose steps take `step_ms` and whose speeds are known. The last stable step is the sixth.
pub(super) fn steady(nodes: u8, step_ms: u64) -> Cluster {
    let mut cluster = Cluster::running(nodes, plan());
    steps(&mut cluster, 1..=6, step_ms);
    cluster
}

/// All members apply these steps, of so many ms each.
pub(super) fn steps(cluster: &mut Cluster, steps: std::ops::RangeInclusive<u64>, step_ms: u64) {
    for step in steps {
        pass(cluster, step_ms, &[]);
        for (number, ..) in cluster.members() {
            let ReportEvent::Applied { step, chain, point, sample, .. } = applied(step) else { return };
            let (microbatches_computed, computing_us) = (step * 16, step * 16 * step_ms * 100);
            let work = WorkCounters { microbatches_computed, computing_us, ..WorkCounters::default() };
            cluster.report(number, ReportEvent::Applied { step, chain, point, sample, work });
        }
    }
}

/// Time passes, and all members say about once a second that they compute, or those that do not that they wait for those that do.
pub(super) fn pass(cluster: &mut Cluster, ms: u64, computing: &[u8]) {
    let members: Vec<u8> = cluster.members().iter().map(|member| member.0).collect();
    let working = if computing.is_empty() { members } else { computing.to_vec() };
    pass_with(cluster, ms, |cluster, number| Some(word(cluster, number, &working)));
}

/// What member `number` says while those in `computing` compute.
pub(super) fn word(cluster: &Cluster, number: u8, computing: &[u8]) -> ReportEvent {
    let step = cluster.coordinator.reports.as_ref().map_or(0, |reports| reports.stable.0);
    let works = computing.contains(&number);
    let late: Vec<NodeId> = computing.iter().copied().filter(|late| *late != number).map(node).collect();
    let owners = cluster.view().members.iter().map(|member| member.node);
    let results_of = owners.filter(|owner| *owner != node(number)).collect();
    ReportEvent::Waiting(StepWait { step, works, computed: 0, sums_of: late, results_of })
}

/// Time passes, and each member says once a second what `says` gives.
pub(super) fn pass_with(cluster: &mut Cluster, ms: u64, says: impl Fn(&Cluster, u8) -> Option<ReportEvent>) {
    let end = cluster.now.plus(ms);
    while cluster.now < end && cluster.status() == &JobStatus::Running {
        let slice_ms = end.since(cluster.now).min(STEP_WAIT_INTERVAL_MS);
        cluster.pass_ms(slice_ms);
        if slice_ms < STEP_WAIT_INTERVAL_MS || cluster.status() != &JobStatus::Running {
            continue;
        }
        for (number, ..) in cluster.members() {
            if cluster.job().view.as_ref().is_some_and(|view| view.member_on(node(number)).is_some())
                && let Some(event) = says(cluster, number)
            {
                cluster.report(number, event);
            }
        }
    }
}

pub(super) fn numbers(cluster: &Cluster) -> Vec<u8> {
    cluster.members().iter().map(|member| member.0).collect()
}

fn outside(cluster: &mut Cluster, number: u8, is_idle: bool) {
    cluster.report(number, ReportEvent::Outside { is_idle });
}

/// 2 hangs until it is taken out.
fn hang(cluster: &mut Cluster) {
    for _ in 0..20 {
        if !numbers(cluster).contains(&2) {
            return;
        }
        pass(cluster, 1_000, &[2]);
    }
    panic!("it is never taken out: {}", cluster.why());
}

#[test]
fn a_member_that_hangs_is_told_of_and_then_taken_out_and_its_work_goes_on() {
    let mut cluster = steady(3, 100);
    pass(&mut cluster, 3_000, &[2]);
    let why = cluster.why();
    let words = format!("step 7 waits for {}: it has computed 0 of its 4 micro-batches, for 2.0 s", name(2));
    assert!(why.contains(&words), "{why}");
    assert!(why.contains("at most 3.0 s more, then a view without it is committed"), "{why}");
    assert!(!why.contains("no timer ends this"), "{why}");
    pass(&mut cluster, STRAGGLER_MS_MIN - 3_000, &[2]);
    assert_eq!(numbers(&cluster), [1, 2, 3], "not a second too early");
    pass(&mut cluster, 1_000, &[2]);
    assert_eq!(numbers(&cluster), [1, 3]);
    assert_eq!([1, 3].map(|number| cluster.lease(number).len()), [6, 6]);
    let reason = format!("{} held up step 7 for 5.0 s: it has computed 0 of its 4 micro-batches", name(2));
    assert_eq!(cluster.reason(), reason);
    // It is told until when it stays outside, here and to everybody.
    let why = cluster.why();
    let words = format!("{} held up step 7 for 5.0 s and may not join yet", name(2));
    assert!(why.contains(&words) && why.contains("then it is taken back"), "{why}");
    cluster.pass_ms(300);
    let told = cluster.progress().last().unwrap().kept_out.clone();
    assert_eq!((told[0].node, told[0].reason.as_str()), (node(2), "it held up step 7 for 5.0 s"));
    assert!(told[0].ends_in_ms.is_some_and(|ms| ms <= STRAGGLED_RETRY_MS), "{told:?}");
    // The others go on at their speed.
    steps(&mut cluster, 7..=9, 100);
    assert_eq!(cluster.coordinator.reports.as_ref().unwrap().stable.0, 9);
}

#[test]
fn it_is_taken_back_once_it_has_worked_off_what_it_was_at_and_gets_a_small_lease() {
    let mut cluster = steady(3, 100);
    hang(&mut cluster);
    outside(&mut cluster, 2, false);
    pass(&mut cluster, 4 * STRAGGLED_RETRY_MS, &[]);
    assert_eq!(numbers(&cluster), [1, 3], "the time is over, and it still hangs");
    let why = cluster.why();
    assert!(why.contains("is still at what it computed when it was taken out"), "{why}");
    outside(&mut cluster, 2, true);
    pass(&mut cluster, 2 * JOIN_BATCH_MS, &[]);
    assert_eq!(numbers(&cluster), [1, 2, 3]);
    cluster.sync(2, 6);
    // It had computed nothing in six seconds, the others take 10 ms for one.
    assert_eq!([1, 2, 3].map(|number| cluster.lease(number).len()), [6, 1, 5]);
}

#[test]
fn a_word_of_another_process_or_of_none_takes_nobody_back() {
    let mut cluster = steady(3, 100);
    hang(&mut cluster);
    pass(&mut cluster, 2 * STRAGGLED_RETRY_MS, &[]);
    assert_eq!(numbers(&cluster), [1, 3], "it has said nothing");
    let (job, incarnation, epoch) = (cluster.view().job, cluster.view().incarnation, cluster.view().epoch);
    let event = ReportEvent::Outside { is_idle: true };
    let report = crate::wire::control::Report { job, incarnation, epoch, boot: Boot(9), event };
    cluster.input(crate::coordinator::CoordinatorInput::Report { from: node(2), report });
    pass(&mut cluster, 2 * JOIN_BATCH_MS, &[]);
    assert_eq!(numbers(&cluster), [1, 3]);
    // Another process of the node has nothing to work off.
    cluster.lose(2, 1, true);
    cluster.join(2, 2);
    pass(&mut cluster, 2 * JOIN_BATCH_MS, &[]);
    assert_eq!(numbers(&cluster), [1, 2, 3]);
}

#[test]
fn one_that_hangs_again_stays_outside_for_twice_as_long_each_time() {
    let mut cluster = steady(3, 100);
    let mut step = 7;
    for (times, delay_ms) in (1..).zip([5_000, 10_000, 20_000, 40_000]) {
        hang(&mut cluster);
        if times > 1 {
            let words = format!(", {times} times in a row now and may not join yet");
            assert!(cluster.why().contains(&words), "{}", cluster.why());
        }
        outside(&mut cluster, 2, true);
        steps(&mut cluster, step..=step + 1, 100);
        pass(&mut cluster, delay_ms - 1_000, &[]);
        assert_eq!(numbers(&cluster), [1, 3], "time {times}");
        pass(&mut cluster, 1_000 + JOIN_BATCH_MS, &[]);
        assert_eq!(numbers(&cluster), [1, 2, 3], "time {times}: {}", cluster.why());
        cluster.sync(2, step + 1);
        // A few steps do not make up for it.
        steps(&mut cluster, step + 2..=step + 6, 100);
        step += 7;
    }
    // Ten minutes of good work do.
    steps(&mut cluster, step..=step + 12, 60_000);
    steps(&mut cluster, step + 13..=step + 28, 100);
    hang(&mut cluster);
    assert!(!cluster.why().contains("in a row"), "{}", cluster.why());
}

#[test]
fn nobody_joins_while_a_member_is_waited_for() {
    let mut cluster = steady(3, 100);
    pass(&mut cluster, 4_000, &[2]);
    cluster.join(4, 1);
    pass(&mut cluster, 1_000, &[2]);
    assert_eq!(numbers(&cluster), [1, 2, 3]);
    assert!(cluster.why().contains("may join when the step goes on"), "{}", cluster.why());
    pass(&mut cluster, 1_000, &[2]);
    assert_eq!(numbers(&cluster), [1, 3, 4], "the view without the one takes in the other");
}

#[test]
fn a_session_that_says_nothing_although_it_is_connected_is_taken_out() {
    let mut cluster = steady(3, 100);
    // One owner of all parts, 1: nobody but it knows who is late.
    let says = |_: &Cluster, number| {
        let (sums_of, results_of) = match number {
            1 => (vec![node(2)], Vec::new()),
            3 => (Vec::new(), vec![node(1)]),
            _ => return None,
        };
        Some(ReportEvent::Waiting(StepWait { step: 6, works: false, computed: 4, sums_of, results_of }))
    };
    pass_with(&mut cluster, MUTE_MS + STRAGGLER_MS_MIN - 1_000, says);
    assert_eq!(numbers(&cluster), [1, 2, 3]);
    assert!(cluster.why().contains("it is connected and says nothing of the job"), "{}", cluster.why());
    pass_with(&mut cluster, 3_000, says);
    assert_eq!(numbers(&cluster), [1, 3]);
}

#[test]
fn a_member_whose_sums_do_not_arrive_is_taken_out_by_the_word_of_most() {
    let mut cluster = steady(4, 100);
    let says = |cluster: &Cluster, number| {
        // 2 has computed, and lacks the results of the others.
        Some(word(cluster, number, if number == 2 { &[] } else { &[2] }))
    };
    pass_with(&mut cluster, STRAGGLER_MS_MIN + 2_000, says);
    assert_eq!(numbers(&cluster), [1, 3, 4]);
    assert!(cluster.reason().contains("what it sends does not arrive"), "{}", cluster.reason());
}

#[test]
fn one_member_that_blames_another_is_the_one_that_goes() {
    let mut cluster = steady(4, 100);
    let says = |_: &Cluster, number| {
        let (sums_of, results_of) =
            if number == 4 { (vec![node(2)], vec![]) } else { (vec![], vec![node(4)]) };
        Some(ReportEvent::Waiting(StepWait { step: 6, works: false, computed: 4, sums_of, results_of }))
    };
    pass_with(&mut cluster, STRAGGLER_MS_MIN + 2_000, says);
    assert_eq!(numbers(&cluster), [1, 2, 3]);
}

#[test]
fn a_job_that_halts_or_ends_does_not_wait_for_one_that_hangs() {
    // Who is at its end says no more of the others.
    let says = |cluster: &Cluster, number| Some(word(cluster, number, &[1, 2, 3]));
    let mut cluster = steady(3, 100);
    cluster.pause();
    for number in [1, 3] {
        cluster.report(number, super::cluster::halted(6));
    }
    pass_with(&mut cluster, 1_000, says);
    let words = format!("the halt of the job waits for {}: it is not done with its last state", name(2));
    assert!(cluster.why().contains(&words), "{}", cluster.why());
    pass_with(&mut cluster, STRAGGLER_MS_MIN + 1_000, says);
    assert_eq!((numbers(&cluster), cluster.view().halt), (vec![1, 3], true));
    cluster.all_halt(6);
    cluster.pass_ms(10_000);
    assert!(matches!(cluster.status(), JobStatus::Paused { .. }), "{}", cluster.why());

    let mut cluster = steady(3, 100);
    for step in 7..=100 {
        cluster.all_apply(step);
    }
    for number in [1, 3] {
        cluster.report(number, finished(100));
        cluster.report(number, super::cluster::written(100));
    }
    pass_with(&mut cluster, STRAGGLER_MS_MIN + 3_000, says);
    if cluster.status() == &JobStatus::Running {
        for number in [1, 3] {
            cluster.report(number, finished(100));
        }
        cluster.pass_ms(40_000);
    }
    assert_eq!(cluster.status(), &JobStatus::Done, "{}", cluster.why());
}
