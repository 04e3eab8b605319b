//! The daemons of a demo. Dropping it stops and reaps them all.

use std::path::PathBuf;

use super::super::daemon_process::{DaemonCommand, DaemonPlan, DaemonProcess};
use super::super::failure::Failure;
use super::super::verbs::unexpected;
use crate::control::Client;
use crate::control::api::{Request, Response};
use crate::exit_code;

/// How long all daemons may take to find each other.
const TOGETHER_MAX_MS: u64 = 30_000;

/// Threads per daemon: they share one machine.
const THREADS: usize = 1;

/// The daemons of a demo.
#[derive(Debug)]
pub(super) struct Cluster {
    command: DaemonCommand,
    root: PathBuf,
    address: Option<String>,
    /// In the order of their start; the first is the one that is followed and is never killed.
    pub(super) daemons: Vec<DaemonProcess>,
}

impl Cluster {
    /// No daemon yet; their directories will be in `root`.
    pub(super) fn new(command: DaemonCommand, root: PathBuf) -> Self {
        Self { command, root, address: None, daemons: Vec::new() }
    }

    /// Starts `count` daemons, the first founds; waits until all know each other. Gives their names.
    pub(super) async fn found(&mut self, count: u32) -> Result<String, Failure> {
        self.start_first("node-1").await?;
        for number in 2..=count {
            let daemon = self.spawn(&format!("node-{number}"))?;
            self.daemons.push(daemon);
        }
        for daemon in &mut self.daemons {
            daemon.ready().await?;
        }
        let wait = Request::NodeWait { live: count, timeout_ms: TOGETHER_MAX_MS };
        match self.client()?.call(&wait).await? {
            Response::NodeList { nodes } => {
                let names: Vec<String> = nodes.into_iter().map(|node| node.name).collect();
                Ok(names.join(", "))
            }
            other => Err(unexpected(&other)),
        }
    }

    /// Starts one daemon alone.
    pub(super) async fn found_single(&mut self) -> Result<(), Failure> {
        self.start_first("single").await
    }

    /// Starts one more daemon, which is not ready yet and not in `daemons`.
    pub(super) fn spawn_newcomer(&self) -> Result<DaemonProcess, Failure> {
        self.spawn(&format!("node-{}", self.daemons.len() + 1))
    }

    /// A client of the first daemon.
    pub(super) fn client(&self) -> Result<Client, Failure> {
        let first = self.daemons.first();
        first.ok_or_else(|| Failure::new(exit_code::FAILED, "no daemon was started"))?.client()
    }

    /// The failure of a daemon that ended without being asked to.
    pub(super) fn failed_daemon(&self) -> Option<Failure> {
        let daemon = self.daemons.iter().find(|daemon| daemon.has_failed())?;
        Some(daemon.failure("a daemon stopped in the middle"))
    }

    /// The more telling of `failure` and the end of the daemon that is followed, if it ended.
    pub(super) async fn explain(&mut self, failure: Failure) -> Failure {
        if failure.is_not_running()
            && let Some(first) = self.daemons.first_mut()
        {
            first.wait_for_exit().await;
        }
        self.failed_daemon().unwrap_or(failure)
    }

    async fn start_first(&mut self, name: &str) -> Result<(), Failure> {
        let mut first = self.spawn(name)?;
        self.address = Some(first.ready().await?.address);
        self.daemons.push(first);
        Ok(())
    }

    fn spawn(&self, name: &str) -> Result<DaemonProcess, Failure> {
        let peers = self.address.iter().cloned().collect();
        let plan = DaemonPlan { data_dir: self.root.join(name), threads: THREADS, peers };
        DaemonProcess::spawn(&self.command, &plan)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // All at once, so that the slowest decides how long it takes; then each guard waits for its own.
        self.daemons.iter_mut().for_each(DaemonProcess::ask_to_stop);
    }
}
