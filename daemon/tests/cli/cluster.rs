//! Nodes that are shown, drained and leave; events, settings, versions; pages and scripts from the command line itself.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;
use traind::control::api::Request;

use crate::fake::{Fake, command, trainctl};
use crate::verbs::{json, table};

#[test]
fn node_show_tells_of_this_node_and_of_others() {
    let fake = Fake::start();
    let own = table(&fake, &["node", "show", "--self"]);
    assert!(
        own.starts_with("node:          calm-lark-01  0101") && own.contains("member (this node)\n"),
        "{own}"
    );
    assert!(own.contains("computes on:   cpu, 1 thread\n") && own.contains("round trip:    -\n"), "{own}");
    let other = table(&fake, &["node", "show", "brave-otter-03"]);
    for line in [
        "role:          down",
        "round trip:    3 ms",
        "traffic:       1.2 MB received from it, 900 B sent to it",
        "kept out:      its /srv/data is another",
        "last error:    connection closed",
    ] {
        assert!(other.lines().any(|found| found == line), "{line:?} is not in\n{other}");
    }
    let value = json(&fake, &["node", "show", "0202"], "NodeDetail");
    assert_eq!((value["name"].as_str(), value["rtt_ms"].as_u64()), (Some("quiet-heron-02"), Some(3)));
    assert_eq!(value["boot"], "80000000000000b0", "what no double holds is a string");
    let unknown = fake.trainctl(&["node", "show", "nobody"]);
    assert_eq!(unknown.code, Some(4), "{unknown:?}");
    assert_eq!(unknown.stderr, "error: no node \"nobody\"\n  next:  trainctl node ls\n");
}

#[test]
fn drain_waits_says_for_what_and_undrain_ends_it() {
    let fake = Fake::start();
    let ran = fake.trainctl(&["drain", "--self", "--reason", "new fan"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), "drained calm-lark-01: new fan\n"), "{ran:?}");
    assert_eq!(
        ran.stderr,
        "draining calm-lark-01; Ctrl-C ends the waiting, not the drain\n  \
         waits for its place in the view of job endless\n"
    );
    let drain = Request::NodeDrain { node: None, reason: "new fan".into(), until_restart: false };
    assert_eq!(fake.asked()[0], drain);
    let listed = table(&fake, &["node", "ls"]);
    assert!(listed.contains("  drained: new fan (asked at quiet-heron-02)\n"), "{listed}");
    assert_eq!(table(&fake, &["undrain", "calm-lark-01"]), "calm-lark-01 takes work\n");
    let at_once = fake.trainctl(&["drain", "--reason", "stuck", "--no-wait"]);
    assert_eq!((at_once.code, at_once.stdout.as_str()), (Some(0), "draining calm-lark-01: stuck\n"));
    let value = json(&fake, &["drain", "--reason", "again"], "NodeDetail");
    assert_eq!(
        (value["drain"]["drained"].as_bool(), value["drain"]["reason"].as_str()),
        (Some(true), Some("again"))
    );
    assert_eq!(fake.trainctl(&["drain", "nobody", "--reason", "x"]).code, Some(4));
    assert_eq!(fake.trainctl(&["undrain", "nobody"]).code, Some(4));
}

/// A drain that never ends, once it has said what it waits for.
fn stuck(fake: &Fake) -> (Child, impl Iterator<Item = String> + use<>) {
    let arguments = ["--socket", fake.socket.to_str().unwrap(), "drain", "--reason", "stuck"];
    let mut child = command(env!("CARGO_BIN_EXE_trainctl"), &arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = BufReader::new(child.stderr.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.any(|line| line.contains("waits for its place")));
    (child, said)
}

#[test]
fn the_end_of_the_waiting_is_not_the_end_of_the_drain() {
    let fake = Fake::start();
    let (mut child, mut said) = stuck(&fake);
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::INT)
        .unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let rest: Vec<String> = said.by_ref().collect();
    assert_eq!(
        rest,
        [
            "error: interrupted",
            "  cause: only the waiting ended: the drain goes on; trainctl undrain calm-lark-01 ends it"
        ]
    );
    let late = fake.trainctl(&["drain", "--reason", "stuck", "--deadline", "0s"]);
    assert_eq!(late.code, Some(6), "{late:?}");
    assert!(late.stderr.contains("only the waiting ended: the drain goes on"), "{late:?}");
    assert!(!fake.asked().iter().any(|asked| matches!(asked, Request::NodeUndrain { .. })));

    let (mut child, said) = stuck(&fake);
    fake.trainctl(&["undrain", "--self"]);
    assert_eq!(child.wait().unwrap().code(), Some(1));
    let rest: Vec<String> = said.collect();
    assert!(rest.contains(&"  cause: somebody undrained it".to_owned()), "{rest:?}");
}

#[test]
fn leave_asks_first_drains_and_then_leaves() {
    let fake = Fake::start();
    let unasked = fake.trainctl(&["leave"]);
    assert_eq!(unasked.code, Some(2), "{unasked:?}");
    assert!(unasked.stderr.contains("next:  trainctl leave --self --yes"), "{unasked:?}");
    assert!(!fake.asked().contains(&Request::Leave));
    let ran = fake.trainctl(&["leave", "--self", "--yes"]);
    assert_eq!(
        (ran.code, ran.stdout.as_str()),
        (Some(0), "calm-lark-01 has left; its daemon stops\n"),
        "{ran:?}"
    );
    let asked = fake.asked();
    let drained = asked.iter().position(|asked| matches!(asked, Request::NodeDrain { .. })).unwrap();
    assert_eq!(asked.last(), Some(&Request::Leave));
    assert!(drained < asked.len() - 1);
    // A deadline for the test, not a wait: the server says so when the answer is sent.
    fake.stopped.recv_timeout(Duration::from_secs(20)).expect("the daemon stops");
    assert_eq!(json(&fake, &["leave", "--yes"], "Left")["node"]["name"], "calm-lark-01");
    fake.set_live(1);
    let alone = fake.trainctl(&["leave", "--yes"]);
    assert_eq!((alone.code, alone.stdout.as_str()), (Some(1), ""), "{alone:?}");
    assert!(
        alone.stderr.ends_with("  cause: calm-lark-01 stays drained; trainctl undrain ends that\n"),
        "{alone:?}"
    );
}

#[test]
fn events_are_lines_and_what_was_left_out_is_said() {
    let fake = Fake::start();
    let ran = fake.trainctl(&["events", "--tail", "5"]);
    assert_eq!(
        ran.stdout,
        "2026-11-23T10:00:00.123Z  node joined          brave-otter-03 joined\n\
         2026-11-23T10:00:00.123Z  checkpoint           checkpoint of digits (step 5)\n"
    );
    assert_eq!(ran.stderr, "warning: 2 lines were left out: they came too fast\n");
    assert_eq!(fake.asked(), [Request::Events { tail: Some(5), follow: false }]);
    let lines = fake.trainctl(&["events", "-o", "jsonl"]).stdout;
    let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((first["kind"].as_str(), first["event"].as_str()), (Some("EventLine"), Some("node_joined")));
    assert_eq!(table(&fake, &["events", "-o", "name"]), "node_joined\ncheckpoint\n");
}

#[test]
fn config_show_tells_values_and_origins_with_a_daemon_and_without() {
    let fake = Fake::start();
    assert_eq!(
        table(&fake, &["config", "show"]),
        "KEY       VALUE\ndata_dir  \"/srv/traind\"\nthreads   0\n"
    );
    let origins = table(&fake, &["config", "show", "--origin"]);
    assert!(origins.contains("data_dir  \"/srv/traind\"  file /etc/traind/traind.toml:3\n"), "{origins}");
    assert_eq!(json(&fake, &["config", "show"], "Config")["entries"][1]["origin"], "default");
    let file = fake.file("traind.toml", "\nthreads = 3\n");
    let offline = table(&fake, &["config", "show", "--origin", "--offline", "--config", &file]);
    let line = offline.lines().find(|line| line.starts_with("threads ")).unwrap();
    assert!(line.contains(" 3 ") && line.ends_with(&format!("file {file}:2")), "{offline}");
    let nowhere = fake.directory.path().join("none.sock");
    let without = trainctl(&["--socket", nowhere.to_str().unwrap(), "config", "show", "--config", &file]);
    assert_eq!(without.code, Some(0), "{without:?}");
    assert!(without.stderr.starts_with("no daemon runs"), "{without:?}");
    let not_running = trainctl(&["--socket", nowhere.to_str().unwrap(), "config", "show"]);
    assert_eq!(not_running.code, Some(3), "{not_running:?}");
    assert!(not_running.stderr.contains("trainctl config show --offline"), "{not_running:?}");
    let bad = fake.file("bad.toml", "thredas = 3\n");
    let refused = fake.trainctl(&["config", "show", "--offline", "--config", &bad]);
    assert_eq!(refused.code, Some(2), "{refused:?}");
    assert!(refused.stderr.contains("bad.toml:1: unknown key `thredas`"), "{refused:?}");
}

#[test]
fn version_names_all_and_warns_of_a_mix() {
    let fake = Fake::start();
    let ran = fake.trainctl(&["version", "--cluster"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    for line in [
        concat!("traind:        ", env!("CARGO_PKG_VERSION"), " on calm-lark-01"),
        "quiet-heron-02  0.0.9    live",
        "brave-otter-03  -        down",
    ] {
        assert!(ran.stdout.lines().any(|found| found == line), "{line:?} is not in\n{}", ran.stdout);
    }
    assert!(
        ran.stderr.starts_with(concat!(
            "warning: versions differ (0.0.9, ",
            env!("CARGO_PKG_VERSION"),
            "): "
        )),
        "{ran:?}"
    );
    assert!(!table(&fake, &["version"]).contains("quiet-heron-02"));
    let value = json(&fake, &["version"], "VersionReport");
    assert_eq!((value["mixed"].as_bool(), value["daemon"]["protocol"].as_str()), (Some(true), Some("2")));
    let alone = trainctl(&["--socket", "/nonexistent/control.sock", "version"]);
    assert_eq!(alone.code, Some(0), "{alone:?}");
    assert!(alone.stdout.contains("traind:        none answers\n"), "{alone:?}");
}

#[test]
fn completions_and_pages_cover_every_verb() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = trainctl(&["completion", shell]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        for word in ["undrain", "metrics", "export"] {
            assert!(ran.stdout.contains(word), "{shell} does not complete {word}");
        }
    }
    let directory = tempfile::tempdir().unwrap();
    let out = directory.path().to_str().unwrap();
    let ran = trainctl(&["man", "--out", out]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stdout.lines().count(), 51, "43 verbs, 6 groups and 2 programs: {}", ran.stdout);
    let page = std::fs::read_to_string(directory.path().join("man1/trainctl-checkpoint-export.1")).unwrap();
    assert!(page.contains("trainctl checkpoint export") && page.contains("\\-\\-force"), "{page}");
    let daemon = std::fs::read_to_string(directory.path().join("man8/traind.8")).unwrap();
    assert!(daemon.contains("check\\-config"), "{daemon}");
    let refused = trainctl(&["man", "--out", "/dev/null/x"]);
    assert_eq!(refused.code, Some(1), "{refused:?}");
}
