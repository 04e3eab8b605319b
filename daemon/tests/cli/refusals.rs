//! Everything that goes wrong has its exit code, says what, why, and what to do next.

use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt as _;
use std::path::Path;

use crate::fake::{Fake, JOB, Ran, command, trainctl};

#[test]
fn without_a_daemon_the_socket_and_the_next_command_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("none.sock");
    for arguments in [
        &["status"][..],
        &["node", "ls"],
        &["job", "ls"],
        &["job", "wait", "x"],
        &["checkpoint", "ls"],
        &["drain", "--reason", "x"],
        &["leave", "--yes"],
        &["events", "-f"],
        &["version", "--cluster"],
    ] {
        let mut all = vec!["--socket", socket.to_str().unwrap()];
        all.extend(arguments);
        let ran = trainctl(&all);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""), "{ran:?}");
        let expected = format!("error: no traind answers at {}\n  cause: ", socket.display());
        assert!(
            ran.stderr.starts_with(&expected) && ran.stderr.contains("\n  next:  start one with `traind`"),
            "{ran:?}"
        );
    }
}

#[test]
fn the_environment_names_the_socket_too() {
    let fake = Fake::start();
    let ran = command(env!("CARGO_BIN_EXE_trainctl"), &["job", "ls"])
        .env("TRAIND_SOCKET", &fake.socket)
        .output()
        .unwrap();
    assert!(ran.status.success(), "{ran:?}");
}

#[test]
fn a_wrong_command_line_is_refused() {
    for arguments in [
        &["jobb"][..],
        &[],
        &["job", "wait"],
        &["job", "wait", "x", "--timeout", "soon"],
        &["demo", "--nodes", "2"],
        &["drain"],
        &["drain", "--reason", "two\nlines"],
        &["node", "show"],
        &["node", "show", "x", "--self"],
        &["checkpoint", "export", "x"],
        &["completion", "cmd"],
        &["status", "-q", "-v"],
    ] {
        let ran = trainctl(arguments);
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{arguments:?}: {ran:?}");
    }
    let help = trainctl(&["job", "wait", "--help"]);
    assert_eq!(help.code, Some(0));
    assert!(help.stdout.contains("trainctl job wait lenet-digits --timeout 10m"), "{help:?}");
}

#[test]
fn a_bad_job_file_is_refused_with_file_line_and_key() {
    let fake = Fake::start();
    let broken = fake.file("broken.toml", "name = \"a\"\nsteps = = 1\n");
    let zero = fake.file("zero.toml", &JOB.replace("steps = 9", "steps = 0"));
    let unlucky = fake.file("unlucky.toml", &JOB.replace("steps = 9", "steps = 13"));
    for verb in [&["job", "submit"][..], &["run"]] {
        let with = |file: &str| {
            let mut all = verb.to_vec();
            all.push(file);
            fake.trainctl(&all)
        };
        let ran = with(&broken);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.starts_with(&format!("error: {broken}:2: not TOML: ")), "{ran:?}");
        let ran = with(&zero);
        assert_eq!(ran.code, Some(2), "{ran:?}");
        let allowed = "allowed: a whole number from 1 to 1000000000";
        let expected =
            format!("error: {zero}:2: `steps` is 0 ({allowed})\n  next:  docs/jobs.md explains every key\n");
        assert_eq!(ran.stderr, expected);
        let ran = with(&unlucky);
        assert_eq!(ran.code, Some(2), "what the daemon alone refuses: {ran:?}");
        let expected = format!(
            "error: {unlucky}:2: `steps`: cannot be 13; allowed: luckier ones\n  next:  docs/jobs.md\n"
        );
        assert_eq!(ran.stderr, expected);
        let ran = with("/nonexistent/job.toml");
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.starts_with("error: cannot read /nonexistent/job.toml\n"), "{ran:?}");
    }
}

#[test]
fn a_bad_job_file_is_refused_before_a_daemon_is_asked_or_started() {
    let directory = tempfile::tempdir().unwrap();
    let (socket, file) = (directory.path().join("none.sock"), directory.path().join("job.toml"));
    let run = |verb: &[&str], text: String| {
        std::fs::write(&file, text).unwrap();
        let mut all = vec!["--socket", socket.to_str().unwrap()];
        all.extend(verb);
        all.push(file.to_str().unwrap());
        trainctl(&all)
    };
    for verb in [&["job", "submit"][..], &["run"]] {
        let ran = run(verb, format!("{JOB}colour = \"red\"\n"));
        assert_eq!((ran.code, ran.stdout.as_str()), (Some(2), ""), "{ran:?}");
        assert!(
            ran.stderr.starts_with(&format!("error: {}:5: unknown key `colour`", file.display())),
            "{ran:?}"
        );
    }
    let ran = run(&["run"], format!("{JOB}[nodes]\nmin = 3\n"));
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(3), ""), "{ran:?}");
    let expected =
        format!("error: the job waits for 3 nodes, and no traind answers at {}\n", socket.display());
    assert!(ran.stderr.starts_with(&expected), "{ran:?}");
}

#[test]
fn an_unknown_job_is_no_such_object_and_an_ambiguous_one_is_usage() {
    let fake = Fake::start();
    for arguments in [
        &["job", "show", "ff"][..],
        &["job", "wait", "ff"],
        &["job", "cancel", "ff"],
        &["job", "pause", "ff"],
        &["job", "resume", "ff"],
        &["job", "logs", "ff"],
        &["job", "metrics", "ff"],
        &["checkpoint", "ls", "ff"],
        &["checkpoint", "show", "ff"],
        &["checkpoint", "export", "ff", "--out", "/nonexistent"],
    ] {
        let ran = fake.trainctl(arguments);
        assert_eq!(ran.code, Some(4), "{ran:?}");
        assert_eq!(ran.stderr, "error: no job \"ff\"\n  next:  trainctl job ls\n");
    }
    let ran = fake.trainctl(&["job", "show", "0"]);
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.starts_with("error: \"0\" names 6 jobs: "), "{ran:?}");
}

#[test]
fn what_the_state_of_things_forbids_fails() {
    let fake = Fake::start();
    let ran = fake.trainctl(&["job", "cancel", "digits"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert_eq!(ran.stderr, "error: job digits has finished\n  cause: nothing is left to cancel\n");
}

#[test]
fn an_answer_that_is_none_is_said_so() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("odd.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    let server = std::thread::spawn(move || {
        for answer in ["gibberish\n", "{\"apiVersion\":\"traind/v2\",\"kind\":\"Status\"}\n", ""] {
            listener.accept().unwrap().0.write_all(answer.as_bytes()).unwrap();
        }
    });
    let status = || trainctl(&["--socket", socket.to_str().unwrap(), "status"]);
    let gibberish = status();
    assert_eq!(gibberish.code, Some(1), "{gibberish:?}");
    assert!(gibberish.stderr.contains("gave no valid answer: not a request or answer"), "{gibberish:?}");
    let newer = status();
    assert_eq!(newer.code, Some(1), "{newer:?}");
    assert!(newer.stderr.contains("apiVersion \"traind/v2\" is not \"traind/v1\""), "{newer:?}");
    let closed = status();
    assert_eq!(closed.code, Some(3), "{closed:?}");
    assert!(closed.stderr.contains("closed the connection"), "{closed:?}");
    server.join().unwrap();
}

#[test]
fn programs_read_a_failure_as_an_object() {
    let fake = Fake::start();
    let failure = |arguments: &[&str]| {
        let ran = fake.trainctl(arguments);
        assert_eq!(ran.stdout, "", "{ran:?}");
        let value: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
        assert_eq!(
            (value["apiVersion"].as_str(), value["kind"].as_str()),
            (Some("traind/v1"), Some("Error"))
        );
        assert_eq!(value["exit_code"].as_i64(), ran.code.map(i64::from), "{ran:?}");
        value
    };
    let unknown = failure(&["job", "show", "ff", "-o", "json"]);
    assert_eq!(
        (unknown["code"].as_str(), unknown["next"].as_str()),
        (Some("no_such_object"), Some("trainctl job ls"))
    );
    let refused = failure(&["job", "cancel", "digits", "-o", "jsonl"]);
    assert_eq!((refused["code"].as_str(), refused["exit_code"].as_i64()), (Some("refused"), Some(1)));
    assert_eq!(refused["cause"], "nothing is left to cancel");
    let usage = failure(&["jobb", "-o", "json"]);
    assert_eq!((usage["code"].as_str(), usage["exit_code"].as_i64()), (Some("bad_request"), Some(2)));
    let late = failure(&["events", "-f", "--tail", "0", "-o", "json", "--timeout", "0"]);
    assert_eq!((late["code"].as_str(), late["exit_code"].as_i64()), (Some("timed_out"), Some(6)));
}

/// Runs `trainctl` as somebody whom the socket is not for: another user if this one may do anything.
fn as_a_stranger(fake: &Fake, arguments: &[&str]) -> Ran {
    let is_root = rustix::process::geteuid().is_root();
    let mode = |path: &Path, mode| std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    let program = fake.directory.path().join("trainctl");
    // Copied by another process: one that starts others must not hold a program open for writing.
    let copied = command("cp", &[env!("CARGO_BIN_EXE_trainctl"), program.to_str().unwrap()]).status();
    assert!(copied.unwrap().success());
    mode(&program, 0o755);
    mode(fake.directory.path(), 0o755);
    mode(&fake.socket, if is_root { 0o660 } else { 0 });
    let mut all = vec!["--socket", fake.socket.to_str().unwrap()];
    all.extend(arguments);
    let mut command = command(program.to_str().unwrap(), &all);
    if is_root {
        command.uid(65_534).gid(65_534);
    }
    command.output().unwrap().into()
}

#[test]
fn a_socket_of_others_is_explained_by_owner_and_mode() {
    let fake = Fake::start();
    let ran = as_a_stranger(&fake, &["status"]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(5), ""), "{ran:?}");
    let expected =
        format!("error: no permission to talk to {}\n  cause: it belongs to user ", fake.socket.display());
    assert!(ran.stderr.starts_with(&expected) && ran.stderr.contains(", its mode is 0"), "{ran:?}");
    assert!(ran.stderr.contains("\n  next:  ") && ran.stderr.contains("sudo"), "{ran:?}");
    let file = fake.file("job.toml", JOB);
    std::fs::set_permissions(&file, Permissions::from_mode(0o644)).unwrap();
    let ran = as_a_stranger(&fake, &["run", &file, "-o", "json"]);
    assert_eq!(ran.code, Some(5), "no daemon of its own is started: {ran:?}");
    assert!(ran.stderr.contains(r#""code":"permission_denied""#), "{ran:?}");
}
