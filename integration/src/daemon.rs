//! One daemon as a child process.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use traind::control::Client;
use traind::control::api::{Request, Response};
use traind::ready::ReadyLine;

use crate::hung_thread::{HungThread, thread_named};

/// In which Linux tells processor time to users, on all machines that traind runs on.
const TICK: Duration = Duration::from_millis(10);

/// How long a daemon may take to stop by itself, and to say that it is ready.
const PATIENCE: Duration = Duration::from_secs(30);

/// The daemon's setting for how much it logs.
const LOG_LEVEL: &str = "TRAIND_LOG__LEVEL";

/// How to start a daemon.
#[derive(Clone, Debug)]
pub struct DaemonOptions {
    /// The binary of the kit.
    pub binary: PathBuf,
    /// Its data directory, kept over restarts.
    pub data_dir: PathBuf,
    /// Addresses of peers; none founds a swarm.
    pub peers: Vec<String>,
    /// Address to listen on.
    pub listen: String,
    /// Threads that compute.
    pub threads: u32,
    /// Settings, as environment variables: names and values.
    pub variables: Vec<(String, String)>,
    /// The network namespace that it is to run in, as a host of its own; `None` is loopback, with `--dev`.
    pub namespace: Option<String>,
}

impl DaemonOptions {
    /// Its working directory. `/proc/self/cwd/NAME` in a job is a file of its own on every daemon.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.data_dir.with_extension("files")
    }
}

/// A running daemon. Dropping it kills the process.
#[derive(Debug)]
pub struct Daemon {
    options: DaemonOptions,
    child: Child,
    ready: ReadyLine,
}

impl Daemon {
    /// Starts a daemon and waits until it says that it is ready.
    ///
    /// # Errors
    /// When it ends instead; its log is in `DATA_DIR.log`.
    pub async fn start(options: DaemonOptions) -> anyhow::Result<Self> {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(options.data_dir.with_extension("log"))
            .context("opening the daemon's log")?;
        let mut command = program(&options);
        let files = options.files();
        std::fs::create_dir_all(&files).context("making the daemon's working directory")?;
        command
            .current_dir(files)
            .args(["--exit-with-stdin", "--threads", &options.threads.to_string()])
            .args(["--listen", &options.listen])
            .arg("--data-dir")
            .arg(&options.data_dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log);
        // Settings of the test's own environment are none of the daemon's, but for how much it says.
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("TRAIND_") && name != LOG_LEVEL {
                command.env_remove(name);
            }
        }
        if std::env::var_os(LOG_LEVEL).is_none() {
            command.env(LOG_LEVEL, "info");
        }
        command.envs(options.variables.iter().map(|(name, value)| (name, value)));
        for peer in &options.peers {
            command.args(["--peer", peer]);
        }
        let mut child = command.spawn().context("starting a daemon")?;
        let stdout = child.stdout.take().context("the daemon's output")?;
        let reading = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).map(|_length| line)
        });
        let line = tokio::time::timeout(PATIENCE, reading)
            .await
            .context("waiting for a daemon to be ready")???;
        let ready = serde_json::from_str(&line).with_context(|| {
            let log = std::fs::read_to_string(options.data_dir.with_extension("log")).unwrap_or_default();
            format!("the daemon is not ready, its log says:\n{log}")
        })?;
        Ok(Self { options, child, ready })
    }

    /// A client of its control socket.
    #[must_use]
    pub fn client(&self) -> Client {
        Client::new(&self.ready.socket)
    }

    /// Asks it.
    ///
    /// # Errors
    /// When it refuses or does not answer.
    pub async fn ask(&self, request: Request) -> anyhow::Result<Response> {
        self.client().call(&request).await.with_context(|| format!("asking {request:?}"))
    }

    /// Its node id, in hexadecimal.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.ready.node
    }

    /// An address that others can dial.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.ready.address
    }

    /// Its data directory.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.options.data_dir
    }

    /// Its working directory.
    #[must_use]
    pub fn files(&self) -> PathBuf {
        self.options.files()
    }

    /// Its process.
    #[must_use]
    pub fn process_id(&self) -> u32 {
        self.child.id()
    }

    /// The names of its threads, as the kernel has them.
    ///
    /// # Errors
    /// When the process is gone.
    pub fn thread_names(&self) -> anyhow::Result<Vec<String>> {
        let tasks =
            std::fs::read_dir(format!("/proc/{}/task", self.process_id())).context("listing threads")?;
        let mut names = Vec::new();
        for task in tasks {
            match std::fs::read_to_string(task?.path().join("comm")) {
                Ok(name) => names.push(name.trim_end().to_owned()),
                // Threads of a pool come and go: this one has ended since it was listed.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {}
                Err(error) => return Err(error).context("reading a thread's name"),
            }
        }
        Ok(names)
    }

    /// SIGKILL, and waits until the process is gone.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn kill(mut self) -> anyhow::Result<DaemonOptions> {
        self.child.kill().context("killing a daemon")?;
        self.child.wait().context("waiting for a killed daemon")?;
        Ok(self.restart_options())
    }

    /// SIGTERM, and waits until the process has ended by itself.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn terminate(self) -> anyhow::Result<(ExitStatus, DaemonOptions)> {
        self.signal(Signal::TERM).context("asking a daemon to stop")?;
        self.wait().await
    }

    /// Waits until the process has ended by itself.
    ///
    /// # Errors
    /// When it does not end in time.
    pub async fn wait(mut self) -> anyhow::Result<(ExitStatus, DaemonOptions)> {
        let (options, log) = (self.restart_options(), self.log_path());
        // Waiting closes the standard input of the child, whose end would let the daemon stop at once.
        let stdin = self.child.stdin.take();
        let waiting = tokio::task::spawn_blocking(move || {
            let status = self.child.wait();
            drop(stdin);
            status
        });
        let status = tokio::time::timeout(PATIENCE, waiting).await.with_context(|| {
            let log = std::fs::read_to_string(log).unwrap_or_default();
            format!("waiting for a daemon to stop; its log:\n{log}")
        })???;
        Ok((status, options))
    }

    /// SIGSTOP: the process does nothing until [`Self::thaw`], its connections stay.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn freeze(&self) -> anyhow::Result<()> {
        self.signal(Signal::STOP).context("freezing a daemon")
    }

    /// SIGCONT.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn thaw(&self) -> anyhow::Result<()> {
        self.signal(Signal::CONT).context("continuing a daemon")
    }

    /// The one thread of that name stands still until what is returned is released; all others go on.
    ///
    /// # Errors
    /// When there is not exactly one, or the system does not let us.
    pub fn hang_thread(&self, name: &str) -> anyhow::Result<HungThread> {
        HungThread::stop(self.child.id(), name)
    }

    /// Processor time that the one thread of that name has had so far.
    ///
    /// # Errors
    /// When there is not exactly one, or the system does not tell.
    pub fn thread_time(&self, name: &str) -> anyhow::Result<Duration> {
        let (pid, thread) = (self.child.id(), thread_named(self.child.id(), name)?);
        let path = format!("/proc/{pid}/task/{thread}/stat");
        let told = std::fs::read_to_string(&path).with_context(|| format!("reading {path}"))?;
        // After the name, which may hold anything, come the state and ten numbers; then the ticks in user code and in the kernel.
        let (_, numbers) = told.rsplit_once(')').with_context(|| format!("no name in {path}"))?;
        let ticks: Vec<u64> =
            numbers.split_whitespace().skip(11).take(2).map(str::parse).collect::<Result<_, _>>()?;
        Ok(TICK * u32::try_from(ticks.iter().sum::<u64>())?)
    }

    /// How the process ended, if it has.
    ///
    /// # Errors
    /// When the system does not tell.
    pub fn ended(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        self.child.try_wait().context("looking after a daemon")
    }

    fn signal(&self, signal: Signal) -> anyhow::Result<()> {
        let pid =
            i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("the daemon's process id")?;
        kill_process(pid, signal).with_context(|| format!("sending {signal:?}"))
    }

    /// How to start it again where it was: same directory, same address.
    #[must_use]
    pub fn restart_options(&self) -> DaemonOptions {
        let listen = self.ready.address.split("/p2p/").next().unwrap_or_default().to_owned();
        DaemonOptions { listen, ..self.options.clone() }
    }

    /// Where it logs.
    #[must_use]
    pub fn log_path(&self) -> PathBuf {
        self.options.data_dir.with_extension("log")
    }

    /// Everything it logged so far.
    ///
    /// # Errors
    /// When the log cannot be read.
    pub fn log(&self) -> anyhow::Result<String> {
        std::fs::read_to_string(self.log_path()).context("reading a daemon's log")
    }
}

/// The binary as a daemon that says on its standard output when it is ready.
fn program(options: &DaemonOptions) -> Command {
    let Some(namespace) = &options.namespace else {
        let mut command = Command::new(&options.binary);
        command.args([traind::cli::DAEMON_ARGUMENT, "--dev"]);
        return command;
    };
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).arg(&options.binary);
    command.args([traind::cli::DAEMON_ARGUMENT, "--ready-fd", "1"]);
    command
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
