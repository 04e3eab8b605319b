//! What programs and eyes are used to, byte for byte. JSON may grow, but no key may go or change its place.
//!
//! With `UPDATE_SNAPSHOTS=1` the files in `tests/cli/snapshots` are written anew; a key that is gone still fails.

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use traind::control::api::{
    ApiError, CheckpointExport, CheckpointImported, DamagedFile, DataVerified, ExportedFile, FollowEvent,
    Request, Response, StoreVerified, StreamItem, Upload,
};
use traind::control::{decode_line, encode_line};

use crate::fake::{FAILED, FINISHED, Fake, JOB, PAUSED, REFUSED, RUNNING, data};

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/snapshots").join(name)
}

/// Compares with the file, or writes it if asked to.
#[track_caller]
fn same(name: &str, text: &str) {
    let path = file(name);
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let known = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert_eq!(text, known, "{name} is not as it was; if that is meant: UPDATE_SNAPSHOTS=1 cargo test");
}

/// Every key of `old` must be in `new`, with a value of the same kind.
fn has_grown(old: &Value, new: &Value, place: &str) {
    match (old, new) {
        (Value::Object(old), Value::Object(new)) => {
            for (key, value) in old {
                let place = format!("{place}.{key}");
                let now = new.get(key).unwrap_or_else(|| panic!("{place} is gone: programs read it"));
                has_grown(value, now, &place);
            }
        }
        (Value::Array(old), Value::Array(new)) => {
            for (index, (old, new)) in old.iter().zip(new).enumerate() {
                has_grown(old, new, &format!("{place}[{index}]"));
            }
        }
        (Value::Null, _) | (_, Value::Null) => {}
        _ => assert_eq!(
            std::mem::discriminant(old),
            std::mem::discriminant(new),
            "{place} is of another kind: programs read it"
        ),
    }
}

/// Every value is written as a line of the file, and read back as it was. Lines are found again by their order.
#[track_caller]
fn same_lines<T: Serialize + DeserializeOwned + PartialEq + std::fmt::Debug>(name: &str, values: &[T]) {
    let lines: Vec<String> = values.iter().map(|value| encode_line(value).unwrap()).collect();
    for (value, line) in values.iter().zip(&lines) {
        assert_eq!(&decode_line::<T>(line.as_bytes()).unwrap(), value);
    }
    let known = std::fs::read_to_string(file(name)).unwrap_or_default();
    for (old, new) in known.lines().zip(&lines) {
        let read = |line: &str| serde_json::from_str::<Value>(line).unwrap();
        has_grown(&read(old), &read(new), name);
    }
    assert!(known.lines().count() <= lines.len(), "{name} has lost lines");
    // Another version is no other shape.
    same(name, &lines.concat().replace(env!("CARGO_PKG_VERSION"), "VERSION"));
}

/// Checks that `0..count` is all there: that no kind lacks a line.
fn complete(mut found: Vec<usize>, count: usize) {
    found.sort_unstable();
    found.dedup();
    assert_eq!(found, (0..count).collect::<Vec<_>>(), "a kind has no line in the snapshot");
}

/// Adding a request makes this fail to compile until it has a number, and the test fail until it has a line.
fn request_number(request: &Request) -> usize {
    match request {
        Request::Status => 0,
        Request::NodeList => 1,
        Request::NodeWait { .. } => 2,
        Request::JobSubmit { .. } => 3,
        Request::JobList => 4,
        Request::JobShow { .. } => 5,
        Request::JobFollow { .. } => 6,
        Request::JobCancel { .. } => 7,
        Request::JobPause { .. } => 8,
        Request::JobResume { .. } => 9,
        Request::JobLogs { .. } => 10,
        Request::JobMetrics { .. } => 11,
        Request::CheckpointList { .. } => 12,
        Request::CheckpointShow { .. } => 13,
        Request::CheckpointExport { .. } => 14,
        Request::NodeShow { .. } => 15,
        Request::NodeDrain { .. } => 16,
        Request::NodeDrainFollow { .. } => 17,
        Request::NodeUndrain { .. } => 18,
        Request::Leave => 19,
        Request::Events { .. } => 20,
        Request::ConfigShow => 21,
        Request::Version => 22,
        Request::JobWhy { .. } => 23,
        Request::JobSamples { .. } => 24,
        Request::DataList => 25,
        Request::DataAdd { .. } => 26,
        Request::DataShow { .. } => 27,
        Request::DataVerify { .. } => 28,
        Request::DataRemove { .. } => 29,
        Request::StoreStatus => 30,
        Request::StoreVerify => 31,
        Request::StoreCollect { .. } => 32,
        Request::StoreRebuildIndex => 33,
        Request::CheckpointVerify { .. } => 34,
        Request::CheckpointPin { .. } => 35,
        Request::CheckpointPrune { .. } => 36,
        Request::CheckpointRollback { .. } => 37,
        Request::CheckpointImport { .. } => 38,
    }
}

#[test]
fn every_request() {
    let job = || "ab".to_owned();
    let from = Some(Upload { bytes: 9, blake3: "f0".into() });
    let requests = [
        Request::Status,
        Request::NodeList,
        Request::NodeWait { live: 3, timeout_ms: 500 },
        Request::job_submit("name = \"a\"\n"),
        Request::JobSubmit { spec_toml: String::new(), from, from_imported: None, dry_run: true },
        Request::JobList,
        Request::JobShow { job: job() },
        Request::JobFollow { job: job() },
        Request::JobCancel { job: job() },
        Request::JobPause { job: job() },
        Request::JobResume { job: job() },
        Request::JobLogs { job: job(), tail: Some(9), follow: true },
        Request::JobMetrics { job: job(), since_step: None, follow: false },
        Request::CheckpointList { job: None },
        Request::CheckpointShow { job: job(), step: Some(5) },
        Request::CheckpointExport { job: job(), step: None },
        Request::NodeShow { node: None },
        Request::NodeDrain { node: Some("ab".into()), reason: "new fan".into(), until_restart: false },
        Request::NodeDrainFollow { node: None },
        Request::NodeUndrain { node: None },
        Request::Leave,
        Request::Events { tail: None, follow: true },
        Request::ConfigShow,
        Request::Version,
        Request::JobWhy { job: job() },
        Request::JobSamples { job: job(), step: 812 },
        Request::DataList,
        Request::DataAdd {
            name: "rows".into(),
            path: "/data/rows.csv".into(),
            set_kind: Some("csv".into()),
            label: Some("class".into()),
            header: true,
            field: None,
        },
        Request::DataShow { name: "rows".into() },
        Request::DataVerify { name: "rows".into() },
        Request::DataRemove { name: "rows".into() },
        Request::StoreStatus,
        Request::StoreVerify,
        Request::StoreCollect { dry_run: true },
        Request::StoreRebuildIndex,
        Request::CheckpointVerify { job: job(), step: None },
        Request::CheckpointPin { job: job(), step: Some(5), pinned: true },
        Request::CheckpointPrune { job: job(), keep: Some(1), dry_run: true },
        Request::CheckpointRollback { job: job(), step: 5 },
        Request::CheckpointImport { path: "/mnt/model".into(), chunks: None, name: Some("first".into()) },
        Request::JobSubmit {
            spec_toml: String::new(),
            from: None,
            from_imported: Some("first".into()),
            dry_run: false,
        },
    ];
    complete(requests.iter().map(request_number).collect(), 39);
    same_lines("requests.jsonl", &requests);
}

/// As [`request_number`].
fn response_number(response: &Response) -> usize {
    match response {
        Response::Status(_) => 0,
        Response::NodeList { .. } => 1,
        Response::NodeDetail(_) => 2,
        Response::JobSubmitted { .. } => 3,
        Response::JobPlanned(_) => 4,
        Response::JobList { .. } => 5,
        Response::JobDetail(_) => 6,
        Response::JobPausing { .. } => 7,
        Response::JobResumed { .. } => 8,
        Response::JobCancelled { .. } => 9,
        Response::CheckpointList { .. } => 10,
        Response::CheckpointDetail(_) => 11,
        Response::CheckpointExport(_) => 12,
        Response::Left { .. } => 13,
        Response::Config { .. } => 14,
        Response::Version(_) => 15,
        Response::Error(_) => 16,
        Response::JobWhy(_) => 17,
        Response::JobSamples(_) => 18,
        Response::DataList { .. } => 19,
        Response::DataAdded(_) => 20,
        Response::DataDetail(_) => 21,
        Response::DataVerified(_) => 22,
        Response::DataRemoved { .. } => 23,
        Response::StoreStatus(_) => 24,
        Response::StoreCollected(_) => 25,
        Response::StoreIndexRebuilt { .. } => 26,
        Response::CheckpointPinned(_) => 27,
        Response::CheckpointsPruned(_) => 28,
        Response::CheckpointImported(_) => 29,
        Response::JobRolledBack { .. } => 30,
    }
}

#[test]
fn every_answer() {
    let job = || FINISHED.to_owned();
    let nodes = data::nodes(2);
    let mut detail = data::node_detail(nodes[0].clone());
    detail.row.drain = Some(traind::control::api::Drain {
        by: data::node(2),
        reason: "new fan".into(),
        until_restart: false,
        drained: false,
        waits_for: vec!["its place in the view of job digits".into()],
    });
    let export = CheckpointExport {
        job: job(),
        job_name: "digits".into(),
        step: 5,
        digest: "d0".into(),
        files: vec![ExportedFile { name: "config.json".into(), bytes: 3, blake3: "f0".into() }],
    };
    let refusal = ApiError::bad_request("m").because("c").next("n").at(Some(3), Some("steps".into()));
    let responses = [
        Response::Status(data::status()),
        Response::NodeList { nodes: nodes.clone() },
        Response::NodeDetail(Box::new(detail)),
        Response::NodeDetail(Box::new(data::node_detail(nodes[2].clone()))),
        Response::JobSubmitted { job: job(), name: "digits".into() },
        Response::JobPlanned(data::planned()),
        Response::JobList { jobs: data::jobs() },
        Response::JobDetail(data::detail(FINISHED)),
        Response::JobDetail(data::detail(PAUSED)),
        Response::JobDetail(data::detail(REFUSED)),
        Response::JobPausing { job: job() },
        Response::JobResumed { job: job() },
        Response::JobCancelled { job: job() },
        Response::CheckpointList { checkpoints: vec![data::checkpoint()] },
        Response::CheckpointDetail(data::checkpoint_detail()),
        Response::CheckpointExport(export),
        Response::Left { node: data::node(1) },
        Response::Config { entries: data::config() },
        Response::Version(data::version()),
        Response::Error(ApiError::unavailable("no coordinator")),
        Response::Error(refusal),
        Response::JobWhy(data::why(RUNNING)),
        Response::JobWhy(data::why(FINISHED)),
        Response::JobSamples(data::samples(FINISHED, 5)),
        Response::DataList { data: vec![data::data_set()] },
        Response::DataAdded(data::data_set()),
        Response::DataDetail(data::data_detail()),
        Response::DataVerified(DataVerified { name: "rows".into(), chunks: 2, damaged: vec!["c4".into()] }),
        Response::DataRemoved { name: "rows".into() },
        Response::StoreStatus(data::store_report()),
        Response::StoreCollected(data::collected(true)),
        Response::StoreIndexRebuilt { manifests: 4 },
        Response::CheckpointPinned(data::pinned(true)),
        Response::CheckpointsPruned(data::pruned(true)),
        Response::CheckpointImported(CheckpointImported::Checkpoint(data::pinned(true))),
        Response::CheckpointImported(CheckpointImported::Model {
            name: "first".into(),
            bytes: 9,
            files: vec!["model.safetensors".into()],
        }),
        Response::JobRolledBack { job: job(), from_step: 9, step: 5 },
    ];
    complete(responses.iter().map(response_number).collect(), 31);
    same_lines("answers.jsonl", &responses);
}

/// As [`request_number`].
fn event_number(event: &FollowEvent) -> usize {
    match event {
        FollowEvent::Progress { .. } => 0,
        FollowEvent::ViewChanged { .. } => 1,
        FollowEvent::Checkpoint { .. } => 2,
        FollowEvent::Ended { .. } => 3,
        FollowEvent::CheckpointNotWritten { .. } => 4,
    }
}

/// As [`request_number`].
fn item_number(item: &StreamItem) -> usize {
    match item {
        StreamItem::LogLine(_) => 0,
        StreamItem::MetricPoint(_) => 1,
        StreamItem::EventLine(_) => 2,
        StreamItem::NodeDetail(_) => 3,
        StreamItem::Skipped { .. } => 4,
        StreamItem::StreamEnd => 5,
        StreamItem::StoreProgress(_) => 6,
        StreamItem::StoreVerified(_) => 7,
        StreamItem::CheckpointVerified(_) => 8,
    }
}

#[test]
fn every_event_and_line() {
    let mut events = Vec::new();
    for job in [FINISHED, FAILED, PAUSED, REFUSED] {
        events.extend(data::events(job));
    }
    let reason = "the disk of /var/lib/traind is too full".to_owned();
    let node = data::node(2);
    events.push(FollowEvent::CheckpointNotWritten { job: FINISHED.to_owned(), step: 9, node, reason });
    complete(events.iter().map(event_number).collect(), 5);
    same_lines("events.jsonl", &events);
    let mut items = data::logs();
    items.extend(data::metrics(0));
    items.extend(data::swarm_events());
    items.push(StreamItem::NodeDetail(Box::new(data::node_detail(data::nodes(2).remove(0)))));
    items.push(StreamItem::StreamEnd);
    items.extend(data::store_lines());
    let objects = vec![DamagedFile {
        file: "/srv/traind/chunks/ab".into(),
        damage: "it is missing".into(),
        manifests: vec!["cd".into()],
    }];
    items.push(StreamItem::StoreVerified(StoreVerified { chunks: 2, bytes: 9, damaged: 1, objects }));
    items.extend([true, false].map(|is_whole| StreamItem::CheckpointVerified(data::verified(is_whole))));
    complete(items.iter().map(item_number).collect(), 9);
    same_lines("stream.jsonl", &items);
}

#[test]
fn every_table() {
    let fake = Fake::start();
    let file = fake.file("job.toml", JOB);
    for (name, arguments) in [
        ("status", &["status"][..]),
        ("node-ls", &["node", "ls"]),
        ("node-show-self", &["node", "show", "--self"]),
        ("node-show", &["node", "show", "brave-otter-03"]),
        ("job-ls", &["job", "ls"]),
        ("job-show", &["job", "show", "digits"]),
        ("job-show-paused", &["job", "show", "resting"]),
        ("job-show-refused", &["job", "show", "unreadable"]),
        ("job-submit", &["job", "submit", &file]),
        ("job-submit-dry-run", &["job", "submit", &file, "--dry-run"]),
        ("job-wait", &["job", "wait", "digits"]),
        ("why", &["why", "digits"]),
        ("why-lost-council", &["why", "endless"]),
        ("job-samples", &["job", "samples", "digits", "--step", "5"]),
        ("job-pause", &["job", "pause", "endless"]),
        ("job-resume", &["job", "resume", "resting"]),
        ("job-cancel", &["job", "cancel", "endless"]),
        ("job-logs", &["job", "logs", "digits"]),
        ("job-metrics", &["job", "metrics", "digits"]),
        ("checkpoint-ls", &["checkpoint", "ls"]),
        ("checkpoint-show", &["checkpoint", "show", "digits"]),
        ("checkpoint-verify", &["checkpoint", "verify", "digits@5"]),
        ("checkpoint-pin", &["checkpoint", "pin", "digits@5"]),
        ("checkpoint-unpin", &["checkpoint", "unpin", "digits"]),
        ("checkpoint-prune", &["checkpoint", "prune", "digits"]),
        ("checkpoint-prune-dry-run", &["checkpoint", "prune", "digits", "--dry-run"]),
        ("checkpoint-rollback", &["checkpoint", "rollback", "digits@5"]),
        ("checkpoint-import", &["checkpoint", "import", "/mnt/model", "--name", "first"]),
        ("checkpoint-import-manifest", &["checkpoint", "import", "/mnt/a.manifest"]),
        ("data-ls", &["data", "ls"]),
        ("data-show", &["data", "show", "rows"]),
        ("store-status", &["store", "status"]),
        ("store-verify", &["store", "verify"]),
        ("store-gc", &["store", "gc", "--dry-run"]),
        ("store-rebuild-index", &["store", "rebuild-index"]),
        ("events", &["events"]),
        ("config-show", &["config", "show"]),
        ("config-show-origin", &["config", "show", "--origin"]),
        ("version", &["version"]),
        ("version-cluster", &["version", "--cluster"]),
        ("drain-no-wait", &["drain", "--reason", "stuck", "--no-wait"]),
        ("node-ls-draining", &["node", "ls"]),
        ("undrain", &["undrain"]),
        ("leave", &["leave", "--yes"]),
    ] {
        for (suffix, format) in [("", "table"), (".wide", "wide"), (".name", "name")] {
            let ran = fake.trainctl(&[arguments, &["-o", format]].concat());
            assert_eq!(ran.code, Some(0), "{ran:?}");
            // Another version is no other shape.
            let text = ran.stdout.replace(env!("CARGO_PKG_VERSION"), "VERSION");
            same(&format!("tables/{name}{suffix}.txt"), &text);
        }
    }
}

#[test]
fn a_key_that_is_gone_is_noticed() {
    let read = |text: &str| serde_json::from_str::<Value>(text).unwrap();
    let fails = |old: &str, new: &str| {
        let (old, new) = (read(old), read(new));
        std::panic::catch_unwind(|| has_grown(&old, &new, "")).is_err()
    };
    assert!(!fails(r#"{"a":[{"b":1}]}"#, r#"{"a":[{"b":2,"c":null}]}"#));
    assert!(fails(r#"{"a":[{"b":1}]}"#, r#"{"a":[{"c":1}]}"#));
    assert!(fails(r#"{"a":1}"#, r#"{"a":"1"}"#));
}
