//! Who must never be taken for a straggler, although a step waits.

use super::cluster::{Cluster, name};
use super::stragglers::{numbers, pass, pass_with, steady, steps, word};
use crate::coordinator::CoordinatorInput;
use crate::coordinator::limits::{JOIN_BATCH_MS, STRAGGLER_FEW_WAIT_MS_MIN, STRAGGLER_UNKNOWN_MS_MIN};
use crate::ids::Epoch;
use crate::ledger::testing::plan;
use crate::wire::control::ReportEvent;
use crate::wire::step_wait::StepWait;

/// No member was taken out.
fn nobody_left(cluster: &Cluster, count: usize) {
    assert_eq!(cluster.members().len(), count, "{}", cluster.reason());
}

#[test]
fn a_first_step_may_take_a_minute_longer_for_one() {
    let mut cluster = Cluster::running(3, plan());
    pass(&mut cluster, 2_000, &[]);
    pass(&mut cluster, STRAGGLER_UNKNOWN_MS_MIN - 1_000, &[2]);
    nobody_left(&cluster, 3);
    steps(&mut cluster, 1..=1, 100);
    nobody_left(&cluster, 3);
    // One that does nothing at all is not waited for for ever.
    let mut cluster = Cluster::running(3, plan());
    pass(&mut cluster, STRAGGLER_UNKNOWN_MS_MIN + 2_000, &[2]);
    assert_eq!(numbers(&cluster), [1, 3]);
}

#[test]
fn steps_of_minutes_may_differ_by_minutes() {
    let mut cluster = steady(3, 180_000);
    pass(&mut cluster, 180_000, &[]);
    pass(&mut cluster, 600_000, &[2]);
    nobody_left(&cluster, 3);
    assert_eq!(cluster.view().epoch, Epoch(1));
}

#[test]
fn a_job_in_which_all_are_slow_alike_takes_nobody_out() {
    let mut cluster = steady(3, 100);
    // All are a thousand times slower in this step, and not equally so.
    pass(&mut cluster, 100_000, &[]);
    pass(&mut cluster, 60_000, &[2, 3]);
    pass(&mut cluster, 60_000, &[3]);
    nobody_left(&cluster, 3);
    steps(&mut cluster, 7..=7, 0);
    nobody_left(&cluster, 3);
}

#[test]
fn few_that_wait_for_many_wait_long() {
    let mut cluster = steady(4, 100);
    pass(&mut cluster, STRAGGLER_FEW_WAIT_MS_MIN - 2_000, &[2, 3, 4]);
    nobody_left(&cluster, 4);
}

#[test]
fn a_clock_that_jumps_and_machines_that_sleep_make_nobody_late() {
    let mut cluster = steady(3, 100);
    pass(&mut cluster, 3_000, &[2]);
    // Everybody slept, and goes on where it was.
    cluster.now = cluster.now.plus(3_600_000);
    cluster.input(CoordinatorInput::Tick);
    pass(&mut cluster, 1_000, &[2]);
    cluster.now = cluster.now.plus(3_600_000);
    cluster.input(CoordinatorInput::LedgerChanged);
    nobody_left(&cluster, 3);
    steps(&mut cluster, 7..=7, 100);
    nobody_left(&cluster, 3);
    // One that hangs now is found.
    pass(&mut cluster, 8_000, &[2]);
    assert_eq!(numbers(&cluster), [1, 3]);
}

#[test]
fn a_checkpoint_or_a_test_that_one_alone_is_busy_with_is_in_the_bound() {
    let mut cluster = steady(3, 500);
    for step in 7..=12 {
        // Longer than eight steps.
        pass(&mut cluster, 1_000, &[]);
        pass(&mut cluster, 4_000, &[1]);
        steps(&mut cluster, step..=step, 500);
    }
    nobody_left(&cluster, 3);
}

#[test]
fn one_that_got_more_work_by_a_death_has_the_time_for_it() {
    let mut cluster = steady(3, 4_000);
    cluster.lose(3, 1, true);
    assert_eq!(numbers(&cluster), [1, 2]);
    // What the dead one had computed is computed again, by one of them last.
    pass(&mut cluster, 8_000, &[]);
    pass(&mut cluster, 15_000, &[2]);
    nobody_left(&cluster, 2);
    steps(&mut cluster, 7..=8, 8_000);
    nobody_left(&cluster, 2);
}

#[test]
fn a_step_that_waits_for_a_joiner_waits_for_nobody_else() {
    let mut cluster = steady(2, 100);
    cluster.join(3, 1);
    cluster.pass_ms(2 * JOIN_BATCH_MS);
    assert_eq!(numbers(&cluster), [1, 2, 3]);
    // All wait for the joiner, and the members for each other.
    let says = |cluster: &Cluster, number: u8| match number {
        3 => None,
        _ => Some(word(cluster, number, &[2])),
    };
    pass_with(&mut cluster, 25_000, says);
    nobody_left(&cluster, 3);
    assert!(cluster.why().contains(&format!("{} fetches the state", name(3))), "{}", cluster.why());
}

#[test]
fn words_on_earlier_steps_and_views_count_for_nothing() {
    let mut cluster = steady(3, 100);
    let early = |_: &Cluster, number| {
        let sums_of = vec![crate::ledger::testing::node(2)];
        let works = number == 2;
        Some(ReportEvent::Waiting(StepWait { step: 5, works, computed: 0, sums_of, results_of: Vec::new() }))
    };
    pass_with(&mut cluster, 30_000, early);
    nobody_left(&cluster, 3);
    // A view in between: what was said before it is no word on it.
    pass(&mut cluster, 4_000, &[2]);
    cluster.lose(3, 1, true);
    cluster.pass_ms(8_000);
    assert_eq!(numbers(&cluster), [1, 2]);
}

#[test]
fn one_that_is_alone_is_never_taken_out() {
    let mut cluster = steady(1, 100);
    pass(&mut cluster, 4_000_000, &[1]);
    assert_eq!(numbers(&cluster), [1]);
    let mut cluster = steady(2, 100);
    pass(&mut cluster, 4_000_000, &[1, 2]);
    assert_eq!(numbers(&cluster), [1, 2], "two that compute wait for nobody");
    pass(&mut cluster, 10_000, &[2]);
    nobody_left(&cluster, 2);
    let mut cluster = steady(2, 100);
    pass(&mut cluster, 10_000, &[2]);
    assert_eq!(numbers(&cluster), [1]);
    pass(&mut cluster, 4_000_000, &[1]);
    assert_eq!(numbers(&cluster), [1], "the last one stays, even if it hangs too");
}
