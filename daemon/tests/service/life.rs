//! From the start to the end of a daemon: what the service manager hears, what each signal does, what stays.

use std::fs;
use std::io::Write as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::daemon::{Daemon, command, traind};

/// How long the service manager of these tests waits for a message: a loaded machine starts slowly.
const MESSAGE_MAX: Duration = Duration::from_secs(60);

/// A daemon in a temporary directory of its own, which is below the directory that is given back.
fn dev() -> (TempDir, Daemon) {
    let directory = tempfile::tempdir().unwrap();
    let mut command = traind(&["--dev"]);
    let daemon = Daemon::spawn(command.env("TMPDIR", directory.path()).stdout(Stdio::null()));
    (directory, daemon)
}

fn is_empty(directory: &Path) -> bool {
    fs::read_dir(directory).unwrap().next().is_none()
}

#[test]
fn systemd_hears_of_readiness_and_of_the_end_and_its_directories_are_used() {
    let directory = tempfile::tempdir().unwrap();
    let [state, run] = ["state", "run"].map(|name| directory.path().join(name));
    fs::create_dir(&run).unwrap();
    let (notify, file) = (directory.path().join("notify"), directory.path().join("traind.toml"));
    let manager = UnixDatagram::bind(&notify).unwrap();
    manager.set_read_timeout(Some(MESSAGE_MAX)).unwrap();
    let hear = || {
        let mut buffer = [0; 4096];
        let count = manager.recv(&mut buffer).expect("a message within a minute");
        String::from_utf8(buffer[..count].to_vec()).unwrap()
    };
    fs::write(&file, "[network]\nlisten = [\"/ip4/127.0.0.1/tcp/0\"]\nmdns = false\n").unwrap();
    let daemon = Daemon::spawn(
        traind(&["--config", file.to_str().unwrap()])
            .env("NOTIFY_SOCKET", &notify)
            .env("STATE_DIRECTORY", &state)
            .env("RUNTIME_DIRECTORY", &run)
            .stdout(Stdio::null()),
    );
    let ready = hear();
    assert!(ready.starts_with("READY=1\nSTATUS=") && ready.ends_with('\n'), "{ready:?}");
    let socket = run.join("control.sock");
    std::os::unix::net::UnixStream::connect(&socket).expect("ready means that trainctl is answered");
    assert!(state.join("identity").exists(), "ready means that the store is open");

    daemon.signal(Signal::TERM);
    let stopping = std::iter::repeat_with(hear).find(|message| message.starts_with("STOPPING=1\n"));
    assert!(stopping.is_some_and(|message| message.contains("\nSTATUS=")));
    let (status, log) = daemon.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(!socket.exists(), "the control socket goes with the daemon");
}

#[test]
fn a_second_signal_stops_at_once_but_in_good_order() {
    let (directory, mut daemon) = dev();
    daemon.wait_for(" ready ");
    // Both arrive while the process is held, so that the second finds the first still at work.
    daemon.signal(Signal::STOP);
    daemon.signal(Signal::TERM);
    daemon.signal(Signal::INT);
    daemon.signal(Signal::CONT);
    let (status, log) = daemon.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("again: stopping at once"), "{log}");
    assert!(is_empty(directory.path()), "the temporary directory goes: {log}");
}

#[test]
fn a_daemon_that_hangs_ends_at_the_third_signal_and_leaves_no_temporary_directory() {
    let directory = tempfile::tempdir().unwrap();
    // Its ready line finds a pipe that is full, so that it hangs where it writes to it.
    let (reader, mut writer) = std::io::pipe().unwrap();
    rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::NONBLOCK).unwrap();
    while writer.write(&[0; 4096]).is_ok() {}
    rustix::fs::fcntl_setfl(&writer, rustix::fs::OFlags::empty()).unwrap();
    let mut daemon = Daemon::spawn(traind(&["--dev"]).env("TMPDIR", directory.path()).stdout(writer));
    daemon.wait_for("traind starts");
    assert!(!is_empty(directory.path()), "it has a temporary directory");
    daemon.signal(Signal::TERM);
    daemon.wait_for("SIGTERM: stopping");
    daemon.signal(Signal::TERM);
    daemon.wait_for("SIGTERM again: stopping at once");
    daemon.signal(Signal::INT);
    let (status, log) = daemon.wait();
    assert_eq!(status.code(), Some(130), "{log}");
    assert!(is_empty(directory.path()), "{log}");
    drop(reader);
}

#[test]
fn a_terminal_that_closes_stops_the_daemon_in_good_order() {
    let directory = tempfile::tempdir().unwrap();
    // Whoever runs the tests may have the signal ignored, which children inherit.
    let mut wrapped = command("env", &["--default-signal=HUP", env!("CARGO_BIN_EXE_traind"), "--dev"]);
    let mut daemon = Daemon::spawn(wrapped.env("TMPDIR", directory.path()).stdout(Stdio::null()));
    daemon.wait_for(" ready ");
    daemon.signal(Signal::HUP);
    let (status, log) = daemon.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("SIGHUP: stopping") && is_empty(directory.path()), "{log}");
}

#[test]
fn a_daemon_under_nohup_outlives_its_terminal() {
    let directory = tempfile::tempdir().unwrap();
    let script = "trap '' HUP; exec \"$0\" --dev";
    let mut shell = command("sh", &["-c", script, env!("CARGO_BIN_EXE_traind")]);
    let mut daemon = Daemon::spawn(shell.env("TMPDIR", directory.path()).stdout(Stdio::null()));
    daemon.wait_for(" ready ");
    daemon.signal(Signal::HUP);
    daemon.signal(Signal::TERM);
    let (status, log) = daemon.wait();
    assert_eq!(status.code(), Some(0), "{log}");
    assert!(log.contains("SIGTERM: stopping") && !log.contains("SIGHUP"), "{log}");
}

#[test]
fn a_swarm_that_was_named_once_is_kept_and_no_other_is_taken() {
    let directory = tempfile::tempdir().unwrap();
    let data_dir = directory.path().join("data");
    let start = |more: &[&str]| {
        let arguments = [&["--dev", "--data-dir", data_dir.to_str().unwrap()], more].concat();
        Daemon::spawn(traind(&arguments).stdout(Stdio::null()))
    };
    let [named, other] = ["ab", "cd"].map(|digits| digits.repeat(32));
    for more in [["--swarm", named.as_str()].as_slice(), &[]] {
        let mut daemon = start(more);
        daemon.wait_for(" ready ");
        daemon.signal(Signal::TERM);
        let (status, log) = daemon.wait();
        assert_eq!(status.code(), Some(0), "{log}");
        assert!(!log.contains("founding a swarm"), "{log}");
    }
    let (status, log) = start(&["--swarm", &other]).wait();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains(&format!("is of swarm {named}, and `network.swarm` is {other}")), "{log}");
}
