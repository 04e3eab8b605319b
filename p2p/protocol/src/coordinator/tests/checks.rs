//! No job starts before the nodes that are here looked at its data, and none takes part without that very data.

use super::cluster::{Cluster, fresh_coordinator, name};
use crate::coordinator::CoordinatorInput;
use crate::coordinator::limits::{DATA_CHECK_MS_MAX, JOIN_BATCH_MS, PROGRESS_INTERVAL_MS};
use crate::ids::{Boot, Epoch};
use crate::ledger::testing::{DATA, job_id, node, plan, submit};
use crate::ledger::{JobPlan, JobStatus};
use crate::wire::control::{CHECK_REASON_BYTES_MAX, JobCheck};

/// Nodes 1 to `nodes` that say nothing by themselves, and job 1 in the queue.
fn silent(nodes: u8, plan: JobPlan) -> Cluster {
    let mut cluster = Cluster::new(nodes);
    cluster.data_is_there = false;
    cluster.apply(submit(1, plan));
    cluster
}

#[test]
fn a_job_starts_once_all_nodes_have_its_data() {
    let mut cluster = silent(3, plan());
    cluster.check(1, 1, Ok(DATA));
    cluster.check(3, 1, Ok(DATA));
    cluster.pass_ms(1_000);
    assert_eq!(cluster.status(), &JobStatus::Queued);
    let waits = format!("waits for {} to check the job's data", name(2));
    assert!(cluster.why().contains(&waits), "{}", cluster.why());
    cluster.check(2, 1, Ok(DATA));
    assert_eq!(cluster.members().len(), 3);
}

#[test]
fn a_node_that_cannot_use_the_data_refuses_the_job_even_before_its_turn() {
    let mut cluster = Cluster::running(2, plan());
    cluster.data_is_there = false;
    for number in [2, 3] {
        cluster.apply(submit(number, plan()));
    }
    cluster.check(2, 2, Err("train.csv:17: 3 columns instead of 4"));
    let JobStatus::Refused { by, reason } = &cluster.ledger.jobs[&job_id(2)].status else { panic!() };
    assert_eq!((*by, reason.as_str()), (node(2), "train.csv:17: 3 columns instead of 4"));
    cluster.check(2, 3, Ok([7; 32]));
    let JobStatus::Refused { by, reason } = &cluster.ledger.jobs[&job_id(3)].status else { panic!() };
    assert_eq!(*by, node(2));
    for part in [&name(2), &name(1), "has other data than", "07070707", "09090909"] {
        assert!(reason.contains(part), "{part:?} is not in {reason:?}");
    }
    assert_eq!(cluster.status(), &JobStatus::Running);
    let long = "x".repeat(5_000);
    cluster.apply(submit(4, plan()));
    cluster.check(1, 4, Err(&long));
    let JobStatus::Refused { reason, .. } = &cluster.ledger.jobs[&job_id(4)].status else { panic!() };
    assert_eq!(reason.len(), CHECK_REASON_BYTES_MAX);
}

#[test]
fn words_of_an_older_process_and_on_unknown_jobs_do_not_count() {
    let mut cluster = silent(2, JobPlan { nodes_min: 2, ..plan() });
    let say = |cluster: &mut Cluster, job, boot, outcome| {
        let check = JobCheck { job: job_id(job), boot: Boot(boot), outcome };
        cluster.input(CoordinatorInput::JobChecked { from: node(2), check });
    };
    cluster.check(1, 1, Ok(DATA));
    say(&mut cluster, 1, 7, Err("not this process".to_owned()));
    say(&mut cluster, 9, 1, Err("no such job".to_owned()));
    assert_eq!(cluster.status(), &JobStatus::Queued);
    cluster.lose(2, 1, true);
    cluster.join(2, 2);
    say(&mut cluster, 1, 1, Ok(DATA));
    assert_eq!(cluster.status(), &JobStatus::Queued);
    say(&mut cluster, 1, 2, Ok(DATA));
    assert_eq!(cluster.members(), [(1, 1, 1), (2, 2, 1)]);
}

#[test]
fn who_comes_later_joins_with_the_same_data_only_and_is_named_otherwise() {
    let mut cluster = Cluster::running(1, plan());
    cluster.data_is_there = false;
    for number in [2, 3, 4] {
        cluster.join(number, 1);
    }
    cluster.pass_ms(2 * JOIN_BATCH_MS);
    assert_eq!(cluster.members().len(), 1);
    assert!(cluster.why().contains(&format!("waits for {} to check", name(2))), "{}", cluster.why());
    cluster.check(2, 1, Ok(DATA));
    cluster.check(3, 1, Err("no such directory"));
    cluster.check(4, 1, Ok([7; 32]));
    cluster.pass_ms(2 * JOIN_BATCH_MS);
    assert_eq!(cluster.members(), [(1, 1, 1), (2, 1, 2)]);
    cluster.pass_ms(PROGRESS_INTERVAL_MS);
    let kept_out = cluster.progress().last().unwrap().kept_out.clone();
    let mut nodes: Vec<_> = kept_out.iter().map(|row| row.node).collect();
    nodes.sort_unstable();
    assert_eq!(nodes, [node(3), node(4)]);
    assert!(
        cluster.why().contains(&format!("{} is kept out: no such directory", name(3))),
        "{}",
        cluster.why()
    );
    assert_eq!(cluster.status(), &JobStatus::Running, "a job that runs is not refused");
    // The data is there now.
    cluster.sync(2, 0);
    cluster.check(3, 1, Ok(DATA));
    cluster.pass_ms(2 * JOIN_BATCH_MS);
    assert_eq!(cluster.members().len(), 3);
    cluster.pass_ms(PROGRESS_INTERVAL_MS);
    assert_eq!(cluster.progress().last().unwrap().kept_out.len(), 1);
}

#[test]
fn a_job_that_ran_goes_on_without_the_node_that_lost_its_data() {
    let mut cluster = Cluster::running(3, JobPlan { nodes_min: 2, ..plan() });
    cluster.all_apply(1);
    cluster.pause();
    cluster.all_halt(1);
    cluster.lose(3, 1, true);
    cluster.data_is_there = false;
    cluster.join(3, 2);
    cluster.check(3, 1, Err("the disk is not mounted"));
    cluster.resume();
    assert_eq!(cluster.members(), [(1, 1, 3), (2, 1, 3)]);
    cluster.pause();
    cluster.all_halt(1);
    cluster.lose(2, 1, true);
    cluster.join(2, 2);
    cluster.check(2, 1, Err("the disk is not mounted"));
    cluster.resume();
    assert_eq!(cluster.status(), &JobStatus::Queued);
    let why = cluster.why();
    assert!(why.contains("waits for 2 nodes with its data, 1 has it"), "{why}");
    assert!(why.contains("not mounted") && why.contains(&name(3)), "{why}");
    cluster.check(2, 1, Ok(DATA));
    assert_eq!(cluster.members(), [(1, 1, 5), (2, 2, 5)]);
}

#[test]
fn a_node_that_never_looks_does_not_hold_up_the_others_for_ever() {
    let mut cluster = silent(2, plan());
    cluster.check(1, 1, Ok(DATA));
    cluster.pass_ms(DATA_CHECK_MS_MAX - 1);
    assert_eq!(cluster.status(), &JobStatus::Queued);
    cluster.pass_ms(1);
    assert_eq!(cluster.members(), [(1, 1, 1)]);
    cluster.check(2, 1, Ok(DATA));
    cluster.pass_ms(JOIN_BATCH_MS);
    assert_eq!(cluster.members(), [(1, 1, 1), (2, 1, 2)]);
}

#[test]
fn a_new_lineage_waits_for_the_check_of_those_who_hold_its_state() {
    let mut cluster = Cluster::running(2, plan());
    cluster.data_is_there = false;
    cluster.coordinator = fresh_coordinator(1, 2);
    cluster.input(CoordinatorInput::Elected { term: 2 });
    cluster.join(2, 2);
    cluster.check(1, 1, Ok(DATA));
    cluster.pass_ms(10_000);
    assert_eq!(cluster.view().epoch, Epoch(1));
    assert!(cluster.why().contains(&format!("waits for {} to check", name(2))), "{}", cluster.why());
    cluster.check(2, 1, Err("no such directory"));
    assert_eq!(cluster.members(), [(1, 2, 2)]);
}

/// Real kills found it: members do not say again that they have the data, so this one was waited for for ten minutes.
#[test]
fn a_member_without_the_state_founds_the_next_lineage_without_another_check() {
    let mut cluster = Cluster::running(2, plan());
    cluster.lose(2, 1, true);
    cluster.join(2, 2);
    cluster.pass_ms(JOIN_BATCH_MS);
    assert_eq!(cluster.members(), [(1, 1, 1), (2, 2, 3)]);
    cluster.data_is_there = false;
    cluster.coordinator = fresh_coordinator(1, 2);
    cluster.input(CoordinatorInput::Elected { term: 2 });
    cluster.connect(2, 2);
    cluster.check(1, 1, Ok(DATA));
    assert_eq!(cluster.members(), [(1, 2, 4), (2, 2, 4)], "{}", cluster.why());
}

#[test]
fn nobody_is_waited_for_who_drains() {
    let mut cluster = silent(2, plan());
    cluster.check(1, 1, Ok(DATA));
    cluster.drain(2);
    assert_eq!(cluster.members(), [(1, 1, 1)]);
}

#[test]
fn a_node_that_comes_after_the_submission_is_kept_out_and_refuses_nothing() {
    let mut cluster = silent(1, JobPlan { nodes_min: 2, ..plan() });
    cluster.check(1, 1, Ok(DATA));
    cluster.join(2, 1);
    cluster.check(2, 1, Err("no such directory"));
    assert_eq!(cluster.status(), &JobStatus::Queued);
    assert!(cluster.why().contains("1 has it") && cluster.why().contains("no such directory"));
    cluster.join(3, 1);
    cluster.check(3, 1, Ok(DATA));
    assert_eq!(cluster.members(), [(1, 1, 1), (3, 1, 1)]);
    // The next job comes when it is here.
    cluster.apply(submit(2, plan()));
    cluster.check(2, 2, Err("no such directory"));
    assert!(matches!(cluster.ledger.jobs[&job_id(2)].status, JobStatus::Refused { .. }));
}
