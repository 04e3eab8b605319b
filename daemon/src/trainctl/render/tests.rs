//! The corners that the command line tests do not reach: nothing there yet, failures, several of a kind.

use super::*;
use crate::control::api::{ApiError, Council, FollowEvent, JobResult, JobStatus, NodeRef, Status};
use crate::trainctl::follow::Ending;

fn node(name: &str) -> NodeRef {
    NodeRef { name: name.into(), id: name.to_uppercase() }
}

#[test]
fn a_daemon_that_is_alone_and_idle_says_so() {
    let status = Status {
        node: node("calm-lark-01"),
        version: "0.1.0".into(),
        swarm: None,
        coordinator: None,
        term: 0,
        council: Council::default(),
        nodes_live: 1,
        nodes_known: 0,
        job: None,
        jobs_queued: 2,
        device: "cpu".into(),
        threads: 2,
        numeric_class: "k".into(),
        addresses: Vec::new(),
        data_dir: "/d".into(),
        uptime_ms: 12,
        counters: Default::default(),
    };
    assert_eq!(
        response(&Response::Status(status), false),
        "node:          calm-lark-01  CALM-LARK-01
swarm:         none yet: looking for one to join
coordinator:   -, term 0
council:       voters -; learners -
nodes:         1 live of 0 known
job:           none runs; 2 queued
listens on:    -
computes on:   cpu, 2 threads
numeric class: k
data:          /d
version:       0.1.0, up 12 ms
"
    );
}

#[test]
fn empty_lists_are_a_head_alone() {
    assert_eq!(response(&Response::JobList { jobs: Vec::new() }, false).lines().count(), 1);
    assert!(response(&Response::CheckpointList { checkpoints: Vec::new() }, true).starts_with("JOB  ID"));
    assert!(response(&Response::NodeList { nodes: Vec::new() }, true).starts_with("NAME  ID"));
    assert_eq!(response(&Response::Error(ApiError::refused("no")), false), "no\n");
}

#[test]
fn endings_say_how_why_and_with_what() {
    let failed = Ending {
        job: "ab".into(),
        status: JobStatus::Failed,
        reason: Some("NaN at step 3".into()),
        result: None,
    };
    assert_eq!(ending(&failed), "ab failed\n", "the reason is told once, as the verb's failure");
    let result = JobResult { digest: "d".into(), chain: "c".into(), test_correct: 0, test_total: 0 };
    let finished =
        Ending { job: "ab".into(), status: JobStatus::Finished, reason: None, result: Some(result) };
    assert_eq!(ending(&finished), "ab finished\ndigest         d\n", "no accuracy where nothing is held out");
}

#[test]
fn only_events_that_matter_have_a_line() {
    let members = vec![node("a"), node("b")];
    let changed =
        FollowEvent::ViewChanged { job: "ab".into(), epoch: 2, step: 7, reason: "c died".into(), members };
    assert_eq!(event(&changed).as_deref(), Some("step 7: view 2: a, b (c died)"));
    let (job, node, reason) = ("j".into(), node("a"), "the disk is too full".into());
    let unwritten = FollowEvent::CheckpointNotWritten { job, step: 9, node, reason };
    let warning = "warning: step 9: no checkpoint on a: the disk is too full";
    assert_eq!(event(&unwritten).as_deref(), Some(warning));
    let ended =
        FollowEvent::Ended { job: "ab".into(), status: JobStatus::Finished, reason: None, result: None };
    assert_eq!(event(&ended), None);
}

#[test]
fn what_a_peer_says_cannot_drive_the_terminal() {
    assert_eq!(printable("new\u{1b}[2Jfan\r\nµ\t"), "new\u{fffd}[2Jfan\u{fffd}\nµ\u{fffd}");
}
