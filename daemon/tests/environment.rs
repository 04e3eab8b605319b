//! A process that was started by a service manager speaks to it, and its children do not.
//!
//! Without libtest, because the environment may only change while there is one thread.
#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use traind::service::ServiceNotifier;

const VARIABLES: [&str; 3] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// The argument by which this program is the service, and what the service then is.
const ALONE: &str = "__alone";
const WITH_THREADS: &str = "__with-threads";

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some(ALONE) => service(false),
        Some(WITH_THREADS) => service(true),
        // Tools that ask for the tests are told of none.
        Some("--list") => {}
        _ => {
            assert_eq!(variables_after(ALONE), [""; 3], "a child would speak for the daemon");
            let kept = variables_after(WITH_THREADS);
            assert!(kept.iter().all(|value| !value.is_empty()), "changed beside another thread: {kept:?}");
            println!("test children_do_not_speak_for_the_daemon ... ok");
        }
    }
}

/// Runs the service and returns the variables that it has left, having heard from it.
fn variables_after(mode: &str) -> [String; 3] {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("notify");
    let manager = UnixDatagram::bind(&path).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // The shell names its own process, which becomes the service, as systemd does.
    let mut shell = Command::new("sh");
    shell.args(["-c", "WATCHDOG_PID=$$ exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap()).arg(mode);
    shell.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "8000000");
    let ran = shell.output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let mut buffer = [0; 512];
    let count = manager.recv(&mut buffer).expect("the service speaks");
    assert_eq!(&buffer[..count], b"READY=1\nSTATUS=here\n");
    let text = String::from_utf8(ran.stdout).unwrap();
    let mut lines = text.lines().map(str::to_owned);
    std::array::from_fn(|_| lines.next().unwrap())
}

fn service(has_threads: bool) {
    let (stop, stopped) = std::sync::mpsc::sync_channel::<()>(0);
    let thread = has_threads.then(|| std::thread::spawn(move || stopped.recv().is_err()));
    let notifier = ServiceNotifier::take_from_environment().unwrap();
    assert_eq!(notifier.watchdog_interval(), Some(Duration::from_secs(4)));
    notifier.ready("here");
    for name in VARIABLES {
        println!("{}", std::env::var(name).unwrap_or_default());
    }
    drop(stop);
    if let Some(thread) = thread {
        assert!(thread.join().unwrap());
    }
}
