//! The cases. Each has a directory of its own, which must be empty again when the demo has ended.

use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

use crate::DEMO_ARGUMENT;
use crate::pretend_daemon::{ALIVE, MOOD};

type Case = (&'static str, fn());

const CASES: [Case; 7] = [
    ("a_node_is_killed_another_joins_and_the_digests_are_equal", equal),
    ("different_digests_are_said_so_and_fail", different),
    ("the_report_as_json_has_everything", json),
    ("a_daemon_that_cannot_start_is_told_with_its_log", cannot_start),
    ("a_daemon_that_dies_in_the_middle_is_told_with_its_log", dies),
    ("control_c_stops_everything", interrupted),
    ("even_sigkill_of_the_demo_leaves_no_daemon", killed),
];

/// Runs the cases whose name contains `filter`, one after the other.
pub(crate) fn run_all(filter: Option<&str>) -> ExitCode {
    let mut failed = 0;
    for (name, case) in CASES.iter().filter(|(name, _)| filter.is_none_or(|filter| name.contains(filter))) {
        let is_ok = std::panic::catch_unwind(case).is_ok();
        println!("test {name} ... {}", if is_ok { "ok" } else { "FAILED" });
        failed += u32::from(!is_ok);
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A demo that runs.
struct Running {
    child: Child,
    temporary: TempDir,
    alive: TempDir,
}

/// A demo that has ended.
struct Ended {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Running {
    fn start(mood: &str, arguments: &[&str]) -> Self {
        let (temporary, alive) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let child = Command::new(std::env::current_exe().unwrap())
            .arg(DEMO_ARGUMENT)
            .args(arguments)
            .env("TMPDIR", temporary.path())
            .env("TRAIND_THREADS", "this must not reach the daemons")
            .env(ALIVE, alive.path())
            .env(MOOD, mood)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self { child, temporary, alive }
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    /// Reads what the demo says until a line contains `text`.
    fn wait_for_line(&mut self, text: &str) {
        let mut stdout = BufReader::new(self.child.stdout.take().unwrap());
        let mut line = String::new();
        while !line.contains(text) {
            line.clear();
            assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "the demo ended without saying {text:?}");
        }
        self.child.stdout = Some(stdout.into_inner());
    }

    /// Waits for the end, then for that of all daemons; their number is given.
    fn end(mut self, leaves_directory: bool) -> (Ended, usize) {
        let mut stderr_pipe = self.child.stderr.take().unwrap();
        let stderr = std::thread::spawn(move || {
            let mut text = String::new();
            stderr_pipe.read_to_string(&mut text).unwrap();
            text
        });
        let mut stdout = String::new();
        self.child.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
        let code = self.child.wait().unwrap().code();
        let stderr = stderr.join().unwrap();
        let count = self.wait_for_daemons(!leaves_directory);
        let left = entries(self.temporary.path());
        assert!(leaves_directory || left.is_empty(), "left behind: {left:?}\n{stdout}\n{stderr}");
        (Ended { code, stdout, stderr }, count)
    }

    /// Each daemon holds a lock on a file of its own as long as it lives.
    fn wait_for_daemons(&self, must_be_gone: bool) -> usize {
        let locks = entries(self.alive.path());
        for path in &locks {
            let file = File::open(path).unwrap();
            if must_be_gone {
                assert!(file.try_lock().is_ok(), "a daemon outlived the demo: {path:?}");
            } else {
                file.lock().unwrap();
            }
        }
        locks.len()
    }
}

fn entries(directory: &Path) -> Vec<PathBuf> {
    std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// Checks that the lines occur in this order.
#[track_caller]
fn in_order(text: &str, expected: &[&str]) {
    let mut rest = text;
    for part in expected {
        let found = rest.find(part);
        assert!(found.is_some(), "{part:?} is not in the rest of\n{text}");
        rest = &rest[found.unwrap() + part.len()..];
    }
}

fn equal() {
    let (ended, daemons) = Running::start("good", &[]).end(false);
    assert_eq!((ended.code, daemons), (Some(0), 5), "{}\n{}", ended.stdout, ended.stderr);
    in_order(
        &ended.stdout,
        &[
            "1. 3 daemons train together",
            "3 nodes up in",
            "submitted lenet-digits as",
            "step 40: killed ",
            "with SIGKILL, in the middle of a step",
            "view 2: ",
            "step 60: started a new daemon",
            "view 3: ",
            "done: all 100 steps",
            "2. One fresh daemon trains the same job alone",
            "done: all 100 steps",
            "loss with several nodes (x killed, + started)",
            "who computed what",
            "100 steps x 12 micro-batches = 1200; computed 1200",
            "what became of the killed node's work",
            ": connection closed",
            "view 2 goes on without it after step 40",
            "joined in view 3 at step 70",
            "test accuracy 97.0 % (97 of 100 unseen samples)",
            "several nodes  dddd",
            "one node       dddd",
            "EQUAL",
        ],
    );
    assert_eq!(ended.stderr, "");
}

fn different() {
    let (ended, _) = Running::start("different", &[]).end(false);
    assert_eq!(ended.code, Some(1), "{}\n{}", ended.stdout, ended.stderr);
    in_order(
        &ended.stdout,
        &["several nodes  3333", "one node       1111", "DIFFERENT: this must not happen"],
    );
    assert!(!ended.stdout.contains("EQUAL"));
}

fn json() {
    let (ended, _) = Running::start("good", &["json"]).end(false);
    let report: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(
        (report["apiVersion"].as_str(), report["kind"].as_str()),
        (Some("traind/v1"), Some("DemoReport"))
    );
    assert_eq!(
        (report["equal"].as_bool(), report["microbatches_computed"].as_u64()),
        (Some(true), Some(1200))
    );
    assert_eq!((report["views"].as_array().unwrap().len(), report["steps"].as_u64()), (3, Some(100)));
    assert!(report["killed"]["name"].is_string() && report["joined"]["name"].is_string());
    assert!(ended.stderr.contains("3 nodes up in"), "{}", ended.stderr);
}

fn cannot_start() {
    let (ended, daemons) = Running::start("cannot_start", &[]).end(false);
    assert_eq!((ended.code, daemons), (Some(1), 1), "{}", ended.stderr);
    in_order(
        &ended.stderr,
        &["error: a daemon stopped before it was ready", "the end of its log:", "no room on the device"],
    );
}

fn dies() {
    let (ended, daemons) = Running::start("dies", &[]).end(false);
    assert_eq!((ended.code, daemons), (Some(1), 3), "{}", ended.stderr);
    in_order(&ended.stderr, &["error: ", "the end of its log:", "the founder gives up"]);
}

fn interrupted() {
    let mut running = Running::start("endless", &[]);
    running.wait_for_line("submitted lenet-digits");
    running.signal(Signal::INT);
    let (ended, daemons) = running.end(false);
    assert_eq!((ended.code, daemons), (Some(130), 3), "{}", ended.stderr);
    assert!(ended.stderr.contains("interrupted"), "{}", ended.stderr);
}

fn killed() {
    let mut running = Running::start("endless", &[]);
    running.wait_for_line("submitted lenet-digits");
    running.signal(Signal::KILL);
    // The directory stays: nobody is left to remove it. The daemons end by themselves.
    let (ended, daemons) = running.end(true);
    assert_eq!((ended.code, daemons), (None, 3));
}
