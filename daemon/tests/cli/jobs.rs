//! Jobs: submission with its check, pausing, logs, numbers.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value;
use traind::control::api::Request;

use crate::fake::{FINISHED, Fake, JOB, PAUSED, REFUSED, RUNNING, command};
use crate::verbs::{json, table};

#[test]
fn job_submit_ends_when_the_nodes_have_checked_the_job() {
    let fake = Fake::start();
    let file = fake.file("job.toml", JOB);
    let ran = fake.trainctl(&["job", "submit", &file]);
    assert_eq!((ran.code, ran.stdout), (Some(0), format!("submitted digits as {FINISHED}\n")));
    assert_eq!(ran.stderr, format!("next: trainctl job wait {FINISHED}\n"));

    let unreadable = fake.file("unreadable.toml", &JOB.replace("steps = 9", "steps = 14"));
    let ran = fake.trainctl(&["job", "submit", &unreadable]);
    assert_eq!((ran.code, ran.stdout), (Some(1), format!("submitted unreadable as {REFUSED}\n")));
    let expected = format!(
        "error: job {REFUSED} was refused and never started\n  cause: calm-lark-01: /srv/data is not there\n  \
         next:  trainctl job show {REFUSED}\n"
    );
    assert_eq!(ran.stderr, expected);
    for verb in [&["job", "submit", "--follow"][..], &["run"]] {
        let mut all = verb.to_vec();
        all.push(&unreadable);
        let ran = fake.trainctl(&all);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.ends_with(&expected), "{ran:?}");
    }
    let waited = fake.trainctl(&["job", "wait", "unreadable"]);
    assert_eq!((waited.code, waited.stdout), (Some(1), format!("{REFUSED} refused\n")));
}

#[test]
fn job_submit_dry_run_says_what_the_job_would_be() {
    let fake = Fake::start();
    let file = fake.file("job.toml", JOB);
    let ran = fake.trainctl(&["job", "submit", &file, "--dry-run"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("batch:         6 micro-batches of 24 samples\n"), "{ran:?}");
    assert!(ran.stderr.starts_with("nothing was submitted; next: trainctl job submit "), "{ran:?}");
    assert_eq!(
        fake.asked(),
        [Request::JobSubmit { spec_toml: JOB.into(), from: None, from_imported: None, dry_run: true }]
    );
    assert_eq!(json(&fake, &["job", "submit", &file, "--dry-run"], "JobPlanned")["state_bytes"], 493_696);
}

#[test]
fn job_pause_and_resume_say_what_comes_next() {
    let fake = Fake::start();
    let ran = fake.trainctl(&["job", "pause", "endless"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stdout, format!("pausing {RUNNING}: it stops after its present step\n"));
    assert_eq!(ran.stderr, format!("next: trainctl job resume {RUNNING}\n"));
    assert_eq!(json(&fake, &["job", "pause", "endless"], "JobPausing")["job"], RUNNING);
    assert_eq!(table(&fake, &["job", "resume", "resting"]), format!("resumed {PAUSED}\n"));
    assert_eq!(json(&fake, &["job", "resume", "resting"], "JobResumed")["job"], PAUSED);
    for verb in ["pause", "resume"] {
        let ran = fake.trainctl(&["job", verb, "digits"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
    }
}

#[test]
fn waiting_goes_on_through_a_pause_and_says_who_asked_for_it() {
    let fake = Fake::start();
    let ran = fake.trainctl(&["job", "wait", "resting"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let said: Vec<&str> = ran.stderr.lines().collect();
    assert_eq!(said[0], "step 3: paused, asked at quiet-heron-02");
    assert!(said.contains(&"step 4: resumed"), "{ran:?}");
    assert!(table(&fake, &["job", "show", "resting"]).contains("paused by:     quiet-heron-02\n"));
}

#[test]
fn job_logs_are_lines_and_cannot_drive_the_terminal() {
    let fake = Fake::start();
    let text = table(&fake, &["job", "logs", "digits", "--tail", "2"]);
    let expected = format!(
        "2026-11-23T10:00:00.123Z INFO  calm-lark-01 traind_actors::session: the job starts job={FINISHED} step=0\n\
         2026-11-23T10:00:00.123Z WARN  calm-lark-01 traind_actors::session: slow\u{fffd}[31m peer\n"
    );
    assert_eq!(text, expected);
    let asked = Request::JobLogs { job: "digits".into(), tail: Some(2), follow: false };
    assert_eq!(fake.asked(), [asked]);
    let ran = fake.trainctl(&["job", "logs", "digits", "-o", "json"]);
    let first: Value = serde_json::from_str(ran.stdout.lines().next().unwrap()).unwrap();
    assert_eq!((first["kind"].as_str(), first["fields"]["step"].as_str()), (Some("LogLine"), Some("0")));
    assert_eq!(ran.stdout.lines().count(), 2, "{ran:?}");
}

#[test]
fn job_metrics_are_a_table_or_all_digits() {
    let fake = Fake::start();
    let text = table(&fake, &["job", "metrics", "digits"]);
    assert_eq!(
        text,
        "    STEP          LOSS  LEARNING RATE  GRADIENT NORM  ACCURACY
       1      1.000000      5.0000e-2              -         -
       3      0.333333      5.0000e-2       1.2500e0         -
       5      0.200000      5.0000e-2       1.2500e0    75.0 %
"
    );
    let csv = table(&fake, &["job", "metrics", "digits", "--format", "csv", "--since-step", "1"]);
    assert_eq!(
        csv,
        "step,loss,learning_rate,gradient_norm,test_correct,test_total,test_accuracy,test_loss,at
3,0.3333333333333333,0.05,1.25,,,,,2026-11-23T10:00:00.123Z
5,0.2,0.05,1.25,270,360,0.75,0.8,2026-11-23T10:00:00.123Z
"
    );
    for arguments in [&["--format", "jsonl"][..], &["-o", "json"], &["-o", "jsonl"]] {
        let mut all = vec!["job", "metrics", "digits"];
        all.extend(arguments);
        let lines = table(&fake, &all);
        let last: Value = serde_json::from_str(lines.lines().last().unwrap()).unwrap();
        assert_eq!(
            (last["kind"].as_str(), last["evaluation"]["correct"].as_u64()),
            (Some("MetricPoint"), Some(270))
        );
    }
    let none = table(&fake, &["job", "metrics", "digits", "--format", "csv", "--since-step", "5"]);
    assert_eq!(none.lines().count(), 1, "the head alone: {none}");
}

#[test]
fn following_goes_on_until_it_is_interrupted() {
    let fake = Fake::start();
    let socket = fake.socket.to_str().unwrap();
    let arguments = ["--socket", socket, "job", "metrics", "endless", "-f", "-o", "name"];
    let mut child = command(env!("CARGO_BIN_EXE_trainctl"), &arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let seen: Vec<String> = lines.by_ref().take(3).map(Result::unwrap).collect();
    assert_eq!(seen, ["1", "3", "5"]);
    assert_eq!(child.try_wait().unwrap(), None, "it goes on");
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)
        .unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(130));
}

#[test]
fn lists_are_an_object_per_element_or_names_alone() {
    let fake = Fake::start();
    let lines = table(&fake, &["job", "ls", "-o", "jsonl"]);
    let kinds: Vec<String> = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["kind"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(kinds, ["Job"; 6]);
    assert_eq!(table(&fake, &["job", "ls", "-o", "name"]).lines().next(), Some(FINISHED));
    let file = fake.file("job.toml", JOB);
    let ran = fake.trainctl(&["job", "submit", &file, "-q", "-o", "name"]);
    assert_eq!((ran.code, ran.stdout, ran.stderr), (Some(0), format!("{FINISHED}\n"), String::new()));
}

#[test]
fn quiet_says_nothing_but_data_and_verbose_says_more() {
    let fake = Fake::start();
    let quiet = fake.trainctl(&["job", "wait", "digits", "-q"]);
    assert_eq!((quiet.code, quiet.stderr.as_str()), (Some(0), ""), "{quiet:?}");
    assert!(quiet.stdout.contains("digits") || quiet.stdout.contains("finished"), "{quiet:?}");
    let failed = fake.trainctl(&["job", "wait", "broken", "-q"]);
    assert_eq!(failed.code, Some(7));
    assert!(failed.stderr.starts_with("error: job "), "an error is always said: {failed:?}");
    let verbose = fake.trainctl(&["job", "wait", "digits", "-v", "--no-color"]);
    assert!(verbose.stderr.contains("learning rate 5.000e-2  gradient norm 1.250e0"), "{verbose:?}");
    let asked = fake.trainctl(&["status", "-v"]);
    assert!(asked.stderr.starts_with("asking the daemon at "), "{asked:?}");
    assert!(!verbose.stderr.contains(['\u{1b}', '\r']), "no terminal, no control characters: {verbose:?}");
}
