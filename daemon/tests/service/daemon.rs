//! A `traind` process whose log is read line by line.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// Variables by which a service manager or a user's shell would change what the tests see.
const FOREIGN: [&str; 5] =
    ["STATE_DIRECTORY", "RUNTIME_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"];

/// The command for `program` with nothing of this process's service manager or settings.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).env("NO_COLOR", "1");
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("TRAIND_") || FOREIGN.contains(&text.as_ref()) {
            command.env_remove(&name);
        }
    }
    command
}

/// The command for `traind`.
pub(crate) fn traind(arguments: &[&str]) -> Command {
    command(env!("CARGO_BIN_EXE_traind"), arguments)
}

/// A running daemon, killed when this is dropped.
pub(crate) struct Daemon {
    child: Child,
    log: BufReader<ChildStderr>,
    /// What it has logged so far.
    pub(crate) told: String,
}

impl Daemon {
    /// Starts it.
    pub(crate) fn spawn(command: &mut Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let log = BufReader::new(child.stderr.take().unwrap());
        Self { child, log, told: String::new() }
    }

    /// Reads its log until a line holds `words`.
    pub(crate) fn wait_for(&mut self, words: &str) {
        loop {
            let mut line = String::new();
            let count = self.log.read_line(&mut line).unwrap();
            self.told.push_str(&line);
            assert!(count > 0, "the daemon ended before it said {words:?}:\n{}", self.told);
            if line.contains(words) {
                return;
            }
        }
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// Its end, and all that it logged.
    pub(crate) fn wait(mut self) -> (ExitStatus, String) {
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut self.log, &mut rest).unwrap();
        (self.child.wait().unwrap(), std::mem::take(&mut self.told) + &rest)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Errors mean that it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
