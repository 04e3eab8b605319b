//! Several daemons of one swarm, each with a data directory below one temporary folder.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};
use traind::control::Client;
use traind::control::api::{FollowEvent, JobDetail, JobStatus, NodeRole, Request, Response};

use crate::daemon::{Daemon, DaemonOptions};
use crate::job_file::JobFile;

/// The daemon's setting for the least time of a micro-batch.
pub const MICROBATCH_TIME: &str = "TRAIND_LIMITS__MICRO_BATCH_TIME";

/// Clusters compute in turn: three daemons fill the two cores that tests are planned for, and figures of tests that
/// measure would mean nothing beside others.
static TURN: Mutex<()> = Mutex::const_new(());

/// How long anything may take that a healthy cluster does in seconds.
const PATIENCE: Duration = Duration::from_secs(120);

/// Waits for this test's turn.
pub async fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().await
}

/// Daemons of one swarm.
pub struct Cluster {
    binary: PathBuf,
    folder: TempDir,
    started: usize,
    variables: Vec<(String, String)>,
    /// The living daemons.
    pub daemons: Vec<Daemon>,
    _turn: MutexGuard<'static, ()>,
}

impl Cluster {
    /// `count` daemons that know each other. `binary` is the kit's, `env!("CARGO_BIN_EXE_traind-kit")` in a test.
    ///
    /// # Errors
    /// When they do not come up or do not find each other.
    pub async fn start(binary: &str, count: usize) -> anyhow::Result<Self> {
        Self::start_with(binary, count, &[]).await
    }

    /// The same with settings of their own, as environment variables: names and values.
    ///
    /// # Errors
    /// When they do not come up or do not find each other.
    pub async fn start_with(binary: &str, count: usize, variables: &[(&str, &str)]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir().context("a folder for the cluster")?;
        let variables = variables.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let (binary, daemons) = (binary.into(), Vec::new());
        let mut cluster = Self { binary, folder, started: 0, variables, daemons, _turn: turn().await };
        for _ in 0..count {
            cluster.add().await?;
        }
        cluster.wait_live(count).await?;
        Ok(cluster)
    }

    /// The same with daemons that take at least `microbatch_time`, as `2 ms`, for a micro-batch: a job then lasts long enough for
    /// things to happen in it.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub async fn start_paced(binary: &str, count: usize, microbatch_time: &str) -> anyhow::Result<Self> {
        Self::start_with(binary, count, &[(MICROBATCH_TIME, microbatch_time)]).await
    }

    /// The digest that a job reaches on a single node to which nothing happens.
    ///
    /// # Errors
    /// When it does not finish.
    pub async fn digest_alone(binary: &str, job: &JobFile) -> anyhow::Result<String> {
        let cluster = Self::start(binary, 1).await?;
        let id = cluster.submit(&JobFile { nodes_min: 1, ..job.clone() }).await?;
        let detail = cluster.finish(&id).await?;
        Ok(detail.result.context("a finished job has a result")?.digest)
    }

    /// Options of one more daemon, in a directory of its own.
    pub fn next_options(&mut self) -> DaemonOptions {
        self.started += 1;
        DaemonOptions {
            binary: self.binary.clone(),
            data_dir: self.folder.path().join(format!("node-{}", self.started)),
            peers: self.daemons.first().map(|daemon| daemon.address().to_owned()).into_iter().collect(),
            listen: "/ip4/127.0.0.1/tcp/0".to_owned(),
            threads: 1,
            variables: self.variables.clone(),
            namespace: None,
        }
    }

    /// Starts one more daemon.
    ///
    /// # Errors
    /// When it does not become ready.
    pub async fn add(&mut self) -> anyhow::Result<usize> {
        let options = self.next_options();
        self.daemons.push(Daemon::start(options).await?);
        Ok(self.daemons.len() - 1)
    }

    /// The folder that holds everything of this cluster.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A client of the first living daemon.
    #[must_use]
    pub fn client(&self) -> Client {
        self.daemons[0].client()
    }

    /// Waits until every daemon sees `count` live nodes.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn wait_live(&self, count: usize) -> anyhow::Result<()> {
        let live = u32::try_from(count)?;
        let timeout_ms = u64::try_from(PATIENCE.as_millis())?;
        for daemon in &self.daemons {
            let waited = daemon.ask(Request::NodeWait { live, timeout_ms }).await;
            waited.with_context(|| format!("log of the daemon:\n{}", daemon.log().unwrap_or_default()))?;
        }
        Ok(())
    }

    /// Position in `daemons` of the coordinator.
    ///
    /// # Errors
    /// When none is known or it is not one of ours.
    pub async fn coordinator(&self) -> anyhow::Result<usize> {
        let Response::NodeList { nodes } = self.daemons[0].ask(Request::NodeList).await? else {
            bail!("no node list")
        };
        let coordinator =
            nodes.iter().find(|node| node.role == NodeRole::Coordinator).context("no coordinator")?;
        self.daemons
            .iter()
            .position(|daemon| daemon.node() == coordinator.id)
            .context("the coordinator is not ours")
    }

    /// Position of a daemon that is not the coordinator.
    ///
    /// # Errors
    /// When there is none.
    pub async fn worker(&self) -> anyhow::Result<usize> {
        let coordinator = self.coordinator().await?;
        (0..self.daemons.len()).rev().find(|&position| position != coordinator).context("no worker")
    }

    /// Submits a job at the first daemon and gives its id.
    ///
    /// # Errors
    /// When it is refused.
    pub async fn submit(&self, job: &JobFile) -> anyhow::Result<String> {
        match self.daemons[0].ask(Request::job_submit(job.toml())).await? {
            Response::JobSubmitted { job, .. } => Ok(job),
            other => bail!("not submitted: {other:?}"),
        }
    }

    /// Follows a job until `step` steps are stable.
    ///
    /// # Errors
    /// When it ends before, or takes too long.
    pub async fn wait_step(&self, job: &str, step: u64) -> anyhow::Result<u64> {
        let client = self.client();
        let following = async {
            let mut events = client.follow(job).await?;
            loop {
                match events.next().await? {
                    Some(FollowEvent::Progress { stable_step, .. }) if stable_step >= step => {
                        return Ok(stable_step);
                    }
                    Some(FollowEvent::Ended { status, reason, .. }) => {
                        bail!("ended before: {status:?} {reason:?}")
                    }
                    Some(_) => {}
                    None => bail!("the daemon stopped telling"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, following)
            .await
            .with_context(|| self.story(&format!("step {step}")))?
    }

    /// Follows a job until its view has `count` members that all take part.
    ///
    /// # Errors
    /// When it ends before, or takes too long.
    pub async fn wait_members(&self, job: &str, count: usize) -> anyhow::Result<()> {
        let has_members = |event: &FollowEvent| matches!(event, FollowEvent::Progress { members, .. } if members.len() == count);
        self.wait_event(job, &format!("{count} members"), has_members).await
    }

    /// Follows a job until its view has `count` members and `steps` more are stable since.
    ///
    /// # Errors
    /// When it ends before, or takes too long.
    pub async fn settle(&self, job: &str, count: usize, steps: u64) -> anyhow::Result<()> {
        self.wait_members(job, count).await?;
        let detail = self.detail(job).await?;
        self.wait_step(job, detail.step + steps).await?;
        Ok(())
    }

    /// Follows a job until it has that status.
    ///
    /// # Errors
    /// When it ends with another one, or takes too long.
    pub async fn wait_status(&self, job: &str, wanted: JobStatus) -> anyhow::Result<()> {
        let has_status =
            |event: &FollowEvent| matches!(event, FollowEvent::Progress { status, .. } if *status == wanted);
        self.wait_event(job, &format!("status {wanted:?}"), has_status).await
    }

    /// Looks at a job at each of its events until it is as wanted.
    ///
    /// # Errors
    /// When it ends before, or takes too long.
    pub async fn wait_detail(
        &self,
        job: &str,
        what: &str,
        is_wanted: impl Fn(&JobDetail) -> bool,
    ) -> anyhow::Result<JobDetail> {
        let client = self.client();
        let following = async {
            let mut events = client.follow(job).await?;
            loop {
                let detail = self.detail(job).await?;
                if is_wanted(&detail) {
                    return Ok(detail);
                }
                if events.next().await?.is_none() {
                    bail!("ended before: {:?}", detail.reason)
                }
            }
        };
        tokio::time::timeout(PATIENCE, following).await.with_context(|| self.story(what))?
    }

    async fn wait_event(
        &self,
        job: &str,
        what: &str,
        is_wanted: impl Fn(&FollowEvent) -> bool,
    ) -> anyhow::Result<()> {
        let client = self.client();
        let following = async {
            let mut events = client.follow(job).await?;
            loop {
                match events.next().await? {
                    Some(event) if is_wanted(&event) => return Ok(()),
                    Some(FollowEvent::Ended { status, reason, .. }) => {
                        bail!("ended before: {status:?} {reason:?}")
                    }
                    Some(_) => {}
                    None => bail!("the daemon stopped telling"),
                }
            }
        };
        tokio::time::timeout(PATIENCE, following).await.with_context(|| self.story(what))?
    }

    /// Follows a job to its end and gives everything about it.
    ///
    /// # Errors
    /// When it takes too long.
    pub async fn wait_end(&self, job: &str) -> anyhow::Result<JobDetail> {
        let client = self.client();
        let following = async {
            let mut events = client.follow(job).await?;
            while events.next().await?.is_some() {}
            anyhow::Ok(())
        };
        tokio::time::timeout(PATIENCE, following)
            .await
            .with_context(|| self.story("the end of the job"))??;
        self.detail(job).await
    }

    /// Everything about a job.
    ///
    /// # Errors
    /// When the daemon does not know it.
    pub async fn detail(&self, job: &str) -> anyhow::Result<JobDetail> {
        match self.client().call(&Request::JobShow { job: job.to_owned() }).await? {
            Response::JobDetail(detail) => Ok(detail),
            other => bail!("no job detail: {other:?}"),
        }
    }

    /// Submits, waits, and gives the digest of a job that must finish.
    ///
    /// # Errors
    /// When it does not finish.
    pub async fn finish(&self, job: &str) -> anyhow::Result<JobDetail> {
        let detail = self.wait_end(job).await?;
        if detail.status != JobStatus::Finished {
            bail!("job is {:?}: {:?}", detail.status, detail.reason);
        }
        Ok(detail)
    }

    /// Kills the daemon at `position`.
    ///
    /// # Errors
    /// When the system does not let us.
    pub fn kill(&mut self, position: usize) -> anyhow::Result<DaemonOptions> {
        self.daemons.remove(position).kill()
    }

    fn story(&self, what: &str) -> String {
        let logs: Vec<String> = self.daemons.iter().map(|daemon| daemon.log().unwrap_or_default()).collect();
        format!("waiting for {what}; logs:\n{}", logs.join("\n----\n"))
    }
}
