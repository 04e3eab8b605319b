//! Daemons as child processes that never outlive their guard.
//!
//! Three ropes: dropping the guard closes the child's standard input, which asks it to stop, and kills it if it does
//! not; should this process be killed, the same pipe closes by itself; Ctrl-C reaches only this process, since the
//! child has a process group of its own.

use std::ffi::OsString;
use std::io::{BufRead as _, BufReader, Read as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use super::failure::Failure;
use crate::cli::DAEMON_ARGUMENT;
use crate::control::Client;
use crate::exit_code;
use crate::ready::ReadyLine;

/// How long a daemon may take to be ready: opening its store takes well under a second, a loaded machine more.
const READY_MAX: Duration = Duration::from_secs(30);

/// How long a daemon that was asked to stop may take before it is killed.
const STOP_MAX: Duration = Duration::from_secs(5);

/// How long after its socket the end of a process may be seen.
const EXIT_SEEN_MAX: Duration = Duration::from_secs(2);

/// Longest ready line, bytes: a path, an address and an id.
const READY_LINE_BYTES_MAX: u64 = 4096;

/// Lines of a failed daemon's log that are shown.
const LOG_LINES_SHOWN_MAX: usize = 10;

/// How to start a daemon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonCommand {
    /// The program.
    pub program: PathBuf,
    /// What stands before the daemon's flags.
    pub prefix: Vec<OsString>,
}

impl DaemonCommand {
    /// This very program: `cargo run --bin trainctl` builds no other.
    pub(super) fn of_this_program() -> Result<Self, Failure> {
        let program = std::env::current_exe().map_err(|error| {
            Failure::new(exit_code::FAILED, "cannot find this program's own file").because(error.to_string())
        })?;
        Ok(Self { program, prefix: vec![DAEMON_ARGUMENT.into()] })
    }
}

/// What one daemon is given.
#[derive(Clone, Debug)]
pub(super) struct DaemonPlan {
    /// Its data directory, made if missing.
    pub(super) data_dir: PathBuf,
    /// Threads that compute, 0 for all cores.
    pub(super) threads: usize,
    /// Addresses of peers.
    pub(super) peers: Vec<String>,
}

/// A daemon that stops when this is dropped.
#[derive(Debug)]
pub(super) struct DaemonProcess {
    child: Child,
    log: PathBuf,
    ready: Option<oneshot::Receiver<ReadyLine>>,
    line: Option<ReadyLine>,
    exited: watch::Receiver<bool>,
    stdout_closed: mpsc::Receiver<()>,
    /// Whether it was killed on purpose.
    pub(super) is_killed: bool,
}

impl DaemonProcess {
    /// Starts a daemon. It is not ready yet.
    pub(super) fn spawn(command: &DaemonCommand, plan: &DaemonPlan) -> Result<Self, Failure> {
        let failed = |error: std::io::Error| {
            Failure::new(exit_code::FAILED, "cannot start a daemon").because(error.to_string())
        };
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&plan.data_dir);
        made.map_err(failed)?;
        let log = plan.data_dir.with_extension("log");
        let log_file = std::fs::File::create(&log).map_err(failed)?;
        let mut child = daemon(command, plan).stderr(log_file).spawn().map_err(failed)?;
        let stdout = child.stdout.take();
        let (ready_sender, ready) = oneshot::channel();
        let (exit_sender, exited) = watch::channel(false);
        let (closed_sender, stdout_closed) = mpsc::sync_channel(1);
        // The guard exists before anything below can fail.
        let process =
            Self { child, log, ready: Some(ready), line: None, exited, stdout_closed, is_killed: false };
        thread::Builder::new()
            .name("daemon stdout".into())
            .spawn(move || {
                watch_stdout(stdout, ready_sender);
                exit_sender.send_replace(true);
                // An error means that nobody waits for it any more.
                let _ = closed_sender.send(());
            })
            .map_err(failed)?;
        Ok(process)
    }

    /// Waits until the daemon is ready.
    pub(super) async fn ready(&mut self) -> Result<ReadyLine, Failure> {
        if let Some(ready) = &mut self.ready {
            let line = tokio::time::timeout(READY_MAX, ready).await;
            self.ready = None;
            self.line = match line {
                Ok(Ok(line)) => Some(line),
                Ok(Err(_)) => return Err(self.failure("a daemon stopped before it was ready")),
                Err(_) => {
                    return Err(
                        self.failure(&format!("a daemon was not ready after {} s", READY_MAX.as_secs()))
                    );
                }
            };
        }
        self.line.clone().ok_or_else(|| self.failure("a daemon was never ready"))
    }

    /// Its node id, once it is ready.
    pub(super) fn node(&self) -> Option<&str> {
        self.line.as_ref().map(|line| line.node.as_str())
    }

    /// A client of it, once it is ready.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        let line = self.line.as_ref().ok_or_else(|| self.failure("a daemon was never ready"))?;
        Ok(Client::new(&line.socket))
    }

    /// Whether it ended without being asked to.
    pub(super) fn has_failed(&self) -> bool {
        !self.is_killed && *self.exited.borrow()
    }

    /// Waits a moment for its end: its socket closes a little before.
    pub(super) async fn wait_for_exit(&mut self) {
        // A daemon that closed its socket and lives on is told by the failure that brought us here.
        let _ = tokio::time::timeout(EXIT_SEEN_MAX, self.exited.wait_for(|exited| *exited)).await;
    }

    /// A failure with the end of its log.
    pub(super) fn failure(&self, message: &str) -> Failure {
        Failure::new(exit_code::FAILED, message)
            .because(format!("the end of its log:{}", log_tail(&self.log)))
            .next("trainctl demo --keep keeps the whole log")
    }

    /// Kills it with SIGKILL and reaps it.
    pub(super) fn kill(&mut self) -> std::io::Result<ExitStatus> {
        self.is_killed = true;
        self.child.kill()?;
        self.child.wait()
    }

    /// Asks it to stop, by closing its standard input, and does not wait.
    pub(super) fn ask_to_stop(&mut self) {
        drop(self.child.stdin.take());
    }
}

impl Drop for DaemonProcess {
    fn drop(&mut self) {
        self.ask_to_stop();
        // Its standard output closes when it ends; a daemon that hangs is killed.
        let _ = self.stdout_closed.recv_timeout(STOP_MAX);
        // Errors mean that it is gone and reaped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command line, with none of this process's `TRAIND_` variables: they are for the daemons of the system.
fn daemon(command: &DaemonCommand, plan: &DaemonPlan) -> Command {
    let mut daemon = Command::new(&command.program);
    daemon.args(&command.prefix).args(["--dev", "--exit-with-stdin", "--data-dir"]).arg(&plan.data_dir);
    daemon.arg("--threads").arg(plan.threads.to_string());
    plan.peers.iter().for_each(|peer| {
        daemon.arg("--peer").arg(peer);
    });
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TRAIND_")) {
        daemon.env_remove(name);
    }
    daemon.stdin(Stdio::piped()).stdout(Stdio::piped()).process_group(0);
    daemon
}

/// Passes the ready line on, then reads to the end, which comes with the process's.
fn watch_stdout(stdout: Option<ChildStdout>, ready: oneshot::Sender<ReadyLine>) {
    let Some(stdout) = stdout else { return };
    let mut stdout = BufReader::new(stdout);
    let mut line = String::new();
    let read = (&mut stdout).take(READY_LINE_BYTES_MAX).read_line(&mut line);
    if read.is_ok()
        && let Ok(parsed) = serde_json::from_str(&line)
    {
        // An error means that nobody waits for it any more.
        let _ = ready.send(parsed);
    } else {
        drop(ready);
    }
    let _ = std::io::copy(&mut stdout, &mut std::io::sink());
}

fn log_tail(log: &Path) -> String {
    let text =
        std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let shown = &lines[lines.len().saturating_sub(LOG_LINES_SHOWN_MAX)..];
    if shown.is_empty() {
        " (empty)".into()
    } else {
        shown.iter().map(|line| format!("\n    {line}")).collect()
    }
}
