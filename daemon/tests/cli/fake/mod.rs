//! A control server with known answers, and a way to run the programs.

mod backend;
pub(crate) mod data;
mod sets;

use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tempfile::TempDir;
use tokio::sync::watch;
use traind::control::ControlServer;
use traind::control::api::Request;
use traind::stop_signal::{StopHandle, StopSignal};

pub(crate) use backend::FakeBackend;
pub(crate) use data::{FAILED, FINISHED, PAUSED, QUEUED, REFUSED, RUNNING};

/// A job file.
pub(crate) const JOB: &str = "name = \"digits\"\nsteps = 9\nmodel = \"lenet\"\ndata = \"digits\"\n";

/// A served control socket; stops when dropped.
pub(crate) struct Fake {
    pub(crate) directory: TempDir,
    pub(crate) socket: PathBuf,
    pub(crate) backend: Arc<FakeBackend>,
    /// Told when the daemon may stop.
    pub(crate) stopped: std::sync::mpsc::Receiver<()>,
    stop: StopHandle,
    server: Option<JoinHandle<()>>,
}

impl Fake {
    pub(crate) fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("control.sock");
        let (stopped_sender, stopped) = std::sync::mpsc::sync_channel(1);
        let backend = Arc::new(FakeBackend {
            asked: Mutex::default(),
            uploaded: Mutex::default(),
            drain: Mutex::default(),
            staging: directory.path().to_owned(),
            live: watch::Sender::new(2),
            stopped: stopped_sender,
        });
        let (stop, signal) = StopHandle::new();
        let (bound_sender, bound) = std::sync::mpsc::sync_channel(1);
        let served = (socket.clone(), Arc::clone(&backend));
        let server = std::thread::spawn(move || serve(served.0, served.1, signal, bound_sender));
        bound.recv().expect("the server binds");
        Self { directory, socket, backend, stopped, stop, server: Some(server) }
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Request> {
        self.backend.asked.lock().unwrap().clone()
    }

    /// Makes that many nodes live.
    pub(crate) fn set_live(&self, live: u64) {
        self.backend.live.send_replace(live);
    }

    /// Runs `trainctl` against this server.
    pub(crate) fn trainctl(&self, arguments: &[&str]) -> Ran {
        let mut all = vec!["--socket", self.socket.to_str().unwrap()];
        all.extend(arguments);
        trainctl(&all)
    }

    /// Writes a file beside the socket.
    pub(crate) fn file(&self, name: &str, text: &str) -> String {
        let path = self.directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop.stop();
        self.server.take().map(JoinHandle::join);
    }
}

fn serve(
    socket: PathBuf,
    backend: Arc<FakeBackend>,
    stop: StopSignal,
    bound: std::sync::mpsc::SyncSender<()>,
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let server = ControlServer::bind(&socket).unwrap();
        bound.send(()).unwrap();
        server.serve(backend, stop).await;
    });
}

/// What a program did.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// A command with nothing of this environment that would change what it does.
pub(crate) fn command(program: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("TRAIND_")) {
        command.env_remove(name);
    }
    command
}

pub(crate) fn trainctl(arguments: &[&str]) -> Ran {
    command(env!("CARGO_BIN_EXE_trainctl"), arguments).output().unwrap().into()
}

pub(crate) fn traind(arguments: &[&str]) -> Ran {
    command(env!("CARGO_BIN_EXE_traind"), arguments).output().unwrap().into()
}
