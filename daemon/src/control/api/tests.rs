//! The JSON that programs read. A change here breaks them: fields are added, never renamed or taken away.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::control::{decode_line, encode_line};

fn node(name: &str) -> NodeRef {
    NodeRef { name: name.into(), id: "0a".into() }
}

/// `value` is written as `json`, and `json` is read as `value`.
#[track_caller]
fn same<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(value: &T, json: &str) {
    assert_eq!(encode_line(value).unwrap(), format!("{json}\n"));
    assert_eq!(&decode_line::<T>(json.as_bytes()).unwrap(), value);
}

#[test]
fn requests() {
    same(&Request::Status, r#"{"apiVersion":"traind/v1","kind":"Status"}"#);
    same(&Request::NodeList, r#"{"apiVersion":"traind/v1","kind":"NodeList"}"#);
    same(
        &Request::NodeWait { live: 3, timeout_ms: 500 },
        r#"{"apiVersion":"traind/v1","kind":"NodeWait","live":3,"timeout_ms":500}"#,
    );
    same(
        &Request::JobSubmit { spec_toml: "name = \"a\"\n".into() },
        r#"{"apiVersion":"traind/v1","kind":"JobSubmit","spec_toml":"name = \"a\"\n"}"#,
    );
    same(&Request::JobList, r#"{"apiVersion":"traind/v1","kind":"JobList"}"#);
    same(&Request::JobShow { job: "ab".into() }, r#"{"apiVersion":"traind/v1","kind":"JobShow","job":"ab"}"#);
    same(
        &Request::JobFollow { job: "ab".into() },
        r#"{"apiVersion":"traind/v1","kind":"JobFollow","job":"ab"}"#,
    );
    same(
        &Request::JobCancel { job: "ab".into() },
        r#"{"apiVersion":"traind/v1","kind":"JobCancel","job":"ab"}"#,
    );
    same(
        &Request::CheckpointList { job: None },
        r#"{"apiVersion":"traind/v1","kind":"CheckpointList","job":null}"#,
    );
    let short: Request = decode_line(br#"{"apiVersion":"traind/v1","kind":"CheckpointList"}"#).unwrap();
    assert_eq!(short, Request::CheckpointList { job: None });
}

#[test]
fn lines_of_another_version_or_kind_are_refused_in_words() {
    let refusal = |line: &str| decode_line::<Request>(line.as_bytes()).unwrap_err();
    assert_eq!(
        refusal(r#"{"apiVersion":"traind/v9","kind":"Status"}"#),
        "apiVersion \"traind/v9\" is not \"traind/v1\""
    );
    assert!(
        refusal(r#"{"apiVersion":"traind/v1","kind":"Nonsense"}"#).contains("unknown variant `Nonsense`")
    );
    assert!(refusal(r#"{"kind":"Status"}"#).contains("missing field `apiVersion`"));
    assert!(refusal(r#"{"apiVersion":"traind/v1","kind":"JobShow"}"#).contains("missing field `job`"));
    assert!(refusal("hello").starts_with("not a request or answer"));
}

#[test]
fn status() {
    let status = Status {
        node: node("calm-lark-01"),
        version: "0.1.0".into(),
        swarm: Some("5f".into()),
        coordinator: Some(node("calm-lark-01")),
        term: 2,
        council: Council { voters: vec![node("calm-lark-01")], learners: Vec::new() },
        nodes_live: 1,
        nodes_known: 2,
        job: Some(JobSummary {
            id: "ab".into(),
            name: "digits".into(),
            status: JobStatus::Running,
            step: 3,
            steps: 9,
            loss: Some(0.5),
            epoch: 4,
            members: 1,
        }),
        jobs_queued: 1,
        device: "cpu".into(),
        threads: 2,
        numeric_class: "k1".into(),
        addresses: vec!["/ip4/127.0.0.1/tcp/1".into()],
        data_dir: "/d".into(),
        uptime_ms: 7,
        counters: [("peers_refused".to_owned(), 1)].into(),
    };
    let json = concat!(
        r#"{"apiVersion":"traind/v1","kind":"Status","node":{"name":"calm-lark-01","id":"0a"},"version":"0.1.0","#,
        r#""swarm":"5f","coordinator":{"name":"calm-lark-01","id":"0a"},"term":2,"#,
        r#""council":{"voters":[{"name":"calm-lark-01","id":"0a"}],"learners":[]},"nodes_live":1,"nodes_known":2,"#,
        r#""job":{"id":"ab","name":"digits","status":"running","step":3,"steps":9,"loss":0.5,"epoch":4,"members":1},"#,
        r#""jobs_queued":1,"device":"cpu","threads":2,"numeric_class":"k1","addresses":["/ip4/127.0.0.1/tcp/1"],"#,
        r#""data_dir":"/d","uptime_ms":7,"counters":{"peers_refused":1}}"#,
    );
    same(&Response::Status(status), json);
}

#[test]
fn lists() {
    let row = NodeRow {
        name: "calm-lark-01".into(),
        id: "0a".into(),
        role: NodeRole::Coordinator,
        council: CouncilRole::Voter,
        in_view: true,
        seat: 1,
        boot: 77,
        address: None,
        numeric_class: "k1".into(),
        device: "cpu".into(),
        job_step: Some(3),
        microbatches_computed: 36,
        exchange_bytes_sent: 100,
        last_heard_ms: None,
    };
    same(
        &Response::NodeList { nodes: vec![row] },
        concat!(
            r#"{"apiVersion":"traind/v1","kind":"NodeList","nodes":[{"name":"calm-lark-01","id":"0a","role":"coordinator","#,
            r#""council":"voter","in_view":true,"seat":1,"boot":77,"address":null,"numeric_class":"k1","device":"cpu","#,
            r#""job_step":3,"microbatches_computed":36,"exchange_bytes_sent":100,"last_heard_ms":null}]}"#,
        ),
    );
    let job = JobRow {
        id: "ab".into(),
        name: "digits".into(),
        status: JobStatus::Queued,
        reason: Some("job cd runs".into()),
        step: 0,
        steps: 9,
        loss: None,
        nodes: 0,
        submitted_by: node("calm-lark-01"),
    };
    same(
        &Response::JobList { jobs: vec![job] },
        concat!(
            r#"{"apiVersion":"traind/v1","kind":"JobList","jobs":[{"id":"ab","name":"digits","status":"queued","#,
            r#""reason":"job cd runs","step":0,"steps":9,"loss":null,"nodes":0,"#,
            r#""submitted_by":{"name":"calm-lark-01","id":"0a"}}]}"#,
        ),
    );
    same(
        &Response::CheckpointList { checkpoints: vec![checkpoint()] },
        &format!(r#"{{"apiVersion":"traind/v1","kind":"CheckpointList","checkpoints":[{CHECKPOINT}]}}"#),
    );
}

const CHECKPOINT: &str = concat!(
    r#"{"job":"ab","job_name":"digits","step":50,"digest":"d0","chain":"c0","bytes":9,"#,
    r#""holders":[{"name":"calm-lark-01","id":"0a"}]}"#
);

fn checkpoint() -> CheckpointRow {
    CheckpointRow {
        job: "ab".into(),
        job_name: "digits".into(),
        step: 50,
        digest: "d0".into(),
        chain: "c0".into(),
        bytes: 9,
        holders: vec![node("calm-lark-01")],
    }
}

/// A job with one of everything.
fn detail() -> JobDetail {
    let departure = Departure {
        node: node("quiet-seal-02"),
        reason: "connection closed".into(),
        work: "leased again".into(),
    };
    JobDetail {
        id: "ab".into(),
        name: "digits".into(),
        status: JobStatus::Finished,
        reason: None,
        step: 9,
        steps: 9,
        micro_batches: 4,
        loss: Some(0.25),
        losses: vec![LossPoint { step: 9, loss: 0.25 }],
        submitted_by: node("calm-lark-01"),
        incarnation: 0,
        epoch: 2,
        members: vec![MemberRow {
            node: node("calm-lark-01"),
            boot: 77,
            tenure: 1,
            synced: true,
            microbatches_leased: 4,
            parts_owned: 8,
        }],
        spares: Vec::new(),
        work: vec![WorkRow {
            node: node("calm-lark-01"),
            boot: 77,
            live: true,
            microbatches_computed: 36,
            microbatches_taken_over: 1,
            exchange_bytes_sent: 100,
            steps_applied: 9,
        }],
        views: vec![ViewRow {
            incarnation: 0,
            epoch: 2,
            step: 3,
            reason: "quiet-seal-02 died".into(),
            members: vec![node("calm-lark-01")],
            joined: Vec::new(),
            left: vec![departure],
            numeric_classes: vec!["k1".into()],
        }],
        checkpoints: vec![checkpoint()],
        committed: vec![StepRange { incarnation: 0, epoch: 2, first_step: 4, last_step: 9 }],
        numeric_classes: vec![NumericClassRow { class: "k1".into(), nodes: vec![node("calm-lark-01")] }],
        warnings: vec!["w".into()],
        result: Some(JobResult { digest: "d9".into(), chain: "c9".into(), test_correct: 3, test_total: 4 }),
        spec_toml: "name = 1".into(),
    }
}

#[test]
fn job_detail() {
    let json = concat!(
        r#"{"apiVersion":"traind/v1","kind":"JobDetail","id":"ab","name":"digits","status":"finished","reason":null,"#,
        r#""step":9,"steps":9,"micro_batches":4,"loss":0.25,"losses":[{"step":9,"loss":0.25}],"#,
        r#""submitted_by":{"name":"calm-lark-01","id":"0a"},"incarnation":0,"epoch":2,"#,
        r#""members":[{"node":{"name":"calm-lark-01","id":"0a"},"boot":77,"tenure":1,"synced":true,"#,
        r#""microbatches_leased":4,"parts_owned":8}],"spares":[],"#,
        r#""work":[{"node":{"name":"calm-lark-01","id":"0a"},"boot":77,"live":true,"microbatches_computed":36,"#,
        r#""microbatches_taken_over":1,"exchange_bytes_sent":100,"steps_applied":9}],"#,
        r#""views":[{"incarnation":0,"epoch":2,"step":3,"reason":"quiet-seal-02 died","#,
        r#""members":[{"name":"calm-lark-01","id":"0a"}],"joined":[],"#,
        r#""left":[{"node":{"name":"quiet-seal-02","id":"0a"},"reason":"connection closed","work":"leased again"}],"#,
        r#""numeric_classes":["k1"]}],"checkpoints":[{"job":"ab","job_name":"digits","step":50,"digest":"d0","#,
        r#""chain":"c0","bytes":9,"holders":[{"name":"calm-lark-01","id":"0a"}]}],"#,
        r#""committed":[{"incarnation":0,"epoch":2,"first_step":4,"last_step":9}],"#,
        r#""numeric_classes":[{"class":"k1","nodes":[{"name":"calm-lark-01","id":"0a"}]}],"warnings":["w"],"#,
        r#""result":{"digest":"d9","chain":"c9","test_correct":3,"test_total":4},"spec_toml":"name = 1"}"#,
    );
    same(&Response::JobDetail(detail()), json);
}

#[test]
fn small_answers_and_refusals() {
    same(
        &Response::JobSubmitted { job: "ab".into(), name: "digits".into() },
        r#"{"apiVersion":"traind/v1","kind":"JobSubmitted","job":"ab","name":"digits"}"#,
    );
    same(
        &Response::JobCancelled { job: "ab".into() },
        r#"{"apiVersion":"traind/v1","kind":"JobCancelled","job":"ab"}"#,
    );
    same(
        &Response::Error(ApiError::unavailable("no coordinator")),
        r#"{"apiVersion":"traind/v1","kind":"Error","code":"unavailable","message":"no coordinator"}"#,
    );
    let full = ApiError::bad_request("m").because("c").next("n").at(Some(3), Some("steps".into()));
    same(
        &Response::Error(full),
        concat!(
            r#"{"apiVersion":"traind/v1","kind":"Error","code":"bad_request","message":"m","cause":"c","next":"n","#,
            r#""line":3,"key":"steps"}"#,
        ),
    );
}

#[test]
fn events() {
    let job = || "ab".to_owned();
    same(
        &FollowEvent::Progress {
            job: job(),
            status: JobStatus::Running,
            reason: None,
            stable_step: 2,
            steps: 9,
            loss: Some(0.5),
            losses: vec![LossPoint { step: 2, loss: 0.5 }],
            epoch: 1,
            members: vec![node("calm-lark-01")],
        },
        concat!(
            r#"{"apiVersion":"traind/v1","kind":"Progress","job":"ab","status":"running","reason":null,"stable_step":2,"#,
            r#""steps":9,"loss":0.5,"losses":[{"step":2,"loss":0.5}],"epoch":1,"#,
            r#""members":[{"name":"calm-lark-01","id":"0a"}]}"#,
        ),
    );
    same(
        &FollowEvent::ViewChanged { job: job(), epoch: 2, step: 3, reason: "r".into(), members: Vec::new() },
        r#"{"apiVersion":"traind/v1","kind":"ViewChanged","job":"ab","epoch":2,"step":3,"reason":"r","members":[]}"#,
    );
    same(
        &FollowEvent::Checkpoint { job: job(), step: 50, digest: "d0".into() },
        r#"{"apiVersion":"traind/v1","kind":"Checkpoint","job":"ab","step":50,"digest":"d0"}"#,
    );
    same(
        &FollowEvent::Ended { job: job(), status: JobStatus::Failed, reason: Some("r".into()), result: None },
        r#"{"apiVersion":"traind/v1","kind":"Ended","job":"ab","status":"failed","reason":"r","result":null}"#,
    );
}

#[test]
fn mixed_numeric_classes_are_warned_of_once_per_run_of_views() {
    let view = |epoch: u64, classes: &[&str]| ViewRow {
        epoch,
        numeric_classes: classes.iter().map(|class| (*class).into()).collect(),
        ..detail().views.remove(0)
    };
    let views =
        [view(1, &["a"]), view(2, &["a", "b"]), view(3, &["a", "b"]), view(4, &["a"]), view(5, &["b", "c"])];
    assert_eq!(
        mixed_class_warnings(&views),
        [
            "views 2 to 3 mix 2 numeric classes (a; b): the digest may differ from that of another run",
            "view 5 mixes 2 numeric classes (b; c): the digest may differ from that of another run",
        ]
    );
    assert!(mixed_class_warnings(&views[..1]).is_empty());
}
