//! Every verb, as table and as JSON.

use serde_json::Value;
use traind::control::api::Request;

use crate::fake::{FAILED, FINISHED, Fake, JOB, QUEUED, RUNNING};

/// The one JSON object that a verb prints.
#[track_caller]
pub(crate) fn json(fake: &Fake, arguments: &[&str], kind: &str) -> Value {
    let mut all = arguments.to_vec();
    all.extend(["-o", "json"]);
    let ran = fake.trainctl(&all);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let value: Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!((value["apiVersion"].as_str(), value["kind"].as_str()), (Some("traind/v1"), Some(kind)));
    value
}

#[track_caller]
pub(crate) fn table(fake: &Fake, arguments: &[&str]) -> String {
    let ran = fake.trainctl(arguments);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(!ran.stdout.contains('\u{1b}'), "no colour where nobody looks: {ran:?}");
    ran.stdout
}

#[test]
fn status_says_who_leads_and_what_runs() {
    let fake = Fake::start();
    let expected = format!(
        "node:          calm-lark-01  {}
swarm:         {}
coordinator:   calm-lark-01 (this node), term 3
council:       voters calm-lark-01; learners quiet-heron-02
nodes:         2 live of 3 known
job:           endless ({RUNNING}) running, step 7/400, loss 1.2500, view 2 of 2 nodes; 1
               queued
listens on:    /ip4/127.0.0.1/tcp/7440
computes on:   cpu, 1 thread
numeric class: avx512/32k
data:          /srv/traind
version:       {}, up 1 min 5 s
counters:      frames_oversize 0, peers_refused 1
",
        "01".repeat(32),
        "5f".repeat(32),
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(table(&fake, &["status"]), expected);
    assert_eq!(json(&fake, &["status"], "Status")["job"]["step"], 7);
}

#[test]
fn node_ls_lists_roles_and_work() {
    let fake = Fake::start();
    let text = table(&fake, &["node", "ls"]);
    let rows: Vec<Vec<&str>> = text
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect())
        .collect();
    assert_eq!(rows.len(), 4, "{text}");
    assert_eq!(rows[1], ["calm-lark-01", "coordinator, member", "voter", "cpu", "7", "42", "-", "-"]);
    assert_eq!(rows[2], ["quiet-heron-02", "member", "learner", "cpu", "7", "42", "90 ms ago", "-"]);
    assert_eq!(rows[3][1], "down");
    let wide = table(&fake, &["node", "ls", "-o", "wide"]);
    let second: Vec<&str> =
        wide.lines().nth(2).unwrap().split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
    assert_eq!(
        second,
        [
            "quiet-heron-02",
            "02020202",
            "member",
            "learner (seat 2)",
            "cpu",
            "7",
            "42",
            "1.5 MB",
            "90 ms ago",
            "/ip4/192.0.2.2/tcp/7440",
            "80000000000000b0",
            env!("CARGO_PKG_VERSION"),
            "1",
            "-"
        ]
    );
    assert!(wide.ends_with("\nnumeric class 1: avx512/32k\n"), "{wide}");
    assert_eq!(json(&fake, &["node", "ls"], "NodeList")["nodes"][1]["role"], "member");
    assert_eq!(table(&fake, &["node", "ls", "-o", "name"]), "calm-lark-01\nquiet-heron-02\nbrave-otter-03\n");
}

#[test]
fn job_ls_says_why_a_job_waits() {
    let fake = Fake::start();
    let text = table(&fake, &["job", "ls"]);
    let waiting = text.lines().find(|line| line.starts_with(QUEUED)).unwrap();
    assert!(waiting.contains("queued") && waiting.ends_with(&format!("job {RUNNING} runs")), "{text}");
    assert_eq!(json(&fake, &["job", "ls"], "JobList")["jobs"][3]["reason"], format!("job {RUNNING} runs"));
}

#[test]
fn job_show_tells_views_work_and_result() {
    let fake = Fake::start();
    let text = table(&fake, &["job", "show", "digits"]);
    for line in [
        "status:        finished",
        "step:          9/9, 6 micro-batches each",
        "test accuracy: 96.9 % (349 of 360)",
        "warning:       view 1 mixes 2 numeric classes",
        "members of view 2 (incarnation 0)",
        "  view 2 at step 4: calm-lark-01, quiet-heron-02 (brave-otter-03 died)",
        "    left: brave-otter-03 (connection closed); 2 of 6 micro-batches leased again",
        "  brave-otter-03  80000000000000b0  gone   8              1           2.0 MB  9",
        "  all                                      55             3           6.0 MB  9",
        "  view 2  5 to 9  5",
        "learning rate: 5.0000e-2",
        "data:          idx /srv/data, digest dadadada",
        "started from:  model.safetensors f0f0",
        "  brave-otter-03: its /srv/data is another",
        "  5     75.0 %    270 of 360  0.8000",
    ] {
        assert!(text.lines().any(|found| found == line), "{line:?} is not in\n{text}");
    }
    assert!(text.contains(&format!("digest:        {}\n", "d1".repeat(32))));
    let value = json(&fake, &["job", "show", "0a"], "JobDetail");
    assert_eq!((value["id"].as_str(), value["result"]["test_correct"].as_u64()), (Some(FINISHED), Some(349)));
    assert!(fake.asked().contains(&Request::JobShow { job: "0a".into() }));
}

#[test]
fn job_submit_sends_the_file_and_names_the_job() {
    let fake = Fake::start();
    let file = fake.file("job.toml", JOB);
    assert_eq!(table(&fake, &["job", "submit", &file]), format!("submitted digits as {FINISHED}\n"));
    let asked = fake.asked();
    assert_eq!(asked, [Request::job_submit(JOB)]);
    assert_eq!(json(&fake, &["job", "submit", &file], "JobSubmitted")["job"], FINISHED);
}

#[test]
fn job_submit_follow_shows_progress_and_the_result() {
    let fake = Fake::start();
    let file = fake.file("job.toml", JOB);
    let ran = fake.trainctl(&["job", "submit", &file, "--follow"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let digest = "d1".repeat(32);
    assert_eq!(
        ran.stdout,
        format!(
            "submitted digits as {FINISHED}\n{FINISHED} finished\ntest accuracy  96.9 % (349 of 360)\ndigest         {digest}\n"
        )
    );
    assert!(ran.stderr.contains("step 3/9  loss 0.500  2 nodes  view 1"), "{}", ran.stderr);
    assert!(ran.stderr.contains("step 4: view 2: calm-lark-01 (brave-otter-03 died)"), "{}", ran.stderr);
    assert!(ran.stderr.contains("step 5: checkpoint d0d0d0d0"), "{}", ran.stderr);
}

#[test]
fn run_uses_the_daemon_that_answers() {
    let fake = Fake::start();
    let file = fake.file("job.toml", JOB);
    let ran = fake.trainctl(&["run", &file]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.ends_with(&format!("digest         {}\n", "d1".repeat(32))), "{ran:?}");
    assert!(!ran.stderr.contains("starting one"), "{ran:?}");
}

#[test]
fn job_wait_ends_with_the_job_and_says_how() {
    let fake = Fake::start();
    assert_eq!(fake.trainctl(&["job", "wait", "digits"]).code, Some(0));
    let failed = fake.trainctl(&["job", "wait", "broken", "--timeout", "1m"]);
    assert_eq!(failed.code, Some(7));
    assert!(failed.stderr.contains(&format!(
        "error: job {FAILED} failed\n  cause: the loss of step 9, micro-batch 3 is not finite\n  next:  trainctl job show {FAILED}\n"
    )), "{}", failed.stderr);
    let endless = fake.trainctl(&["job", "wait", "endless", "--timeout", "0s"]);
    assert_eq!(endless.code, Some(6), "{endless:?}");
    let gave_up = "error: gave up after 0 s (--timeout)\n  cause: only the following ended: the job goes on; \
                   trainctl job cancel endless stops it\n";
    assert!(endless.stderr.ends_with(gave_up), "{endless:?}");
}

#[test]
fn job_wait_as_json_is_a_line_per_event() {
    let fake = Fake::start();
    let ran = fake.trainctl(&["job", "wait", "0a11", "-o", "json"]);
    let lines: Vec<Value> = ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<&str> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["Progress", "ViewChanged", "Checkpoint", "Progress", "Ended"]);
    assert_eq!(lines[4]["result"]["digest"], "d1".repeat(32));
}

#[test]
fn job_cancel_cancels() {
    let fake = Fake::start();
    assert_eq!(table(&fake, &["job", "cancel", "endless"]), format!("cancelled {RUNNING}\n"));
    assert_eq!(json(&fake, &["job", "cancel", "0c"], "JobCancelled")["job"], RUNNING);
}

#[test]
fn checkpoint_ls_lists_holders() {
    let fake = Fake::start();
    let expected = format!(
        "JOB     ID                STEP  SIZE      HOLDERS                       DIGEST
digits  {FINISHED}  5     493.7 kB  calm-lark-01, quiet-heron-02  d0d0d0d0
"
    );
    assert_eq!(table(&fake, &["checkpoint", "ls"]), expected);
    let wide = table(&fake, &["checkpoint", "ls", "-o", "wide"]);
    assert!(wide.ends_with(&format!("{}  {}\n", "c0".repeat(32), "d0".repeat(32))), "{wide}");
    assert_eq!(table(&fake, &["checkpoint", "ls", "-o", "name"]), format!("{FINISHED}/5\n"));
    assert_eq!(json(&fake, &["checkpoint", "ls", "digits"], "CheckpointList")["checkpoints"][0]["step"], 5);
    let asked = fake.asked();
    assert_eq!(asked[3], Request::CheckpointList { job: Some("digits".into()) });
}
