//! Links that are cut one way and both ways while a job runs: daemons on hosts of their own, which are network namespaces
//! on a bridge. Needs root and iproute2; without them it fails and says so.
//!
//! `cargo test --release -p traind-integration --test cuts -- --nocapture`

mod hosts;

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use hosts::Hosts;
use tempfile::TempDir;
use traind::control::FollowStream;
use traind::control::api::{FollowEvent, JobDetail, JobStatus, NodeRole, Request, Response};
use traind_integration::{Cluster, Daemon, DaemonOptions, JobFile, turn};

/// The kit's binary, which is the daemon and `trainctl`.
const KIT: &str = env!("CARGO_BIN_EXE_traind-kit");

/// Hosts with a daemon each: one may be cut off, and the others are a majority of three votes.
const NODES: usize = 4;

/// Steps of the job: it outlasts the cut and what follows.
const STEPS: u64 = 300;

/// Steps that must be done while the cut lasts.
const STEPS_IN_CUT: u64 = 40;

/// Least time of a micro-batch: a step of four nodes takes 30 ms.
const MICRO_BATCH_TIME: &str = "10 ms";

/// Longest wait for what a healthy swarm does in seconds, on a machine that has other things to do.
const PATIENCE: Duration = Duration::from_secs(180);

/// Words in a log that no healthy daemon writes.
const ALARMS: [&str; 4] = ["replicas differ", "cannot go on", "panicked", "council's group failed"];

/// What is cut. Directed links, as hosts of which the first is the coordinator's.
struct Cut {
    what: &'static str,
    links: &'static [(usize, usize)],
    /// Who goes on meanwhile, among others.
    witness: usize,
}

const CUTS: [Cut; 5] = [
    Cut { what: "a worker is not heard by the coordinator", links: &[(3, 0)], witness: 1 },
    Cut { what: "a worker does not hear the coordinator", links: &[(0, 3)], witness: 1 },
    Cut { what: "two workers do not reach each other", links: &[(2, 3), (3, 2)], witness: 1 },
    Cut {
        what: "the coordinator reaches nobody, and nobody it",
        links: &[(0, 1), (0, 2), (0, 3), (1, 0), (2, 0), (3, 0)],
        witness: 1,
    },
    Cut { what: "nobody hears the coordinator", links: &[(0, 1), (0, 2), (0, 3)], witness: 1 },
];

fn job(nodes_min: u32) -> JobFile {
    JobFile { nodes_min, checkpoint_every: 50, ..JobFile::mlp("cuts", STEPS) }
}

/// Daemons on hosts.
struct Fleet {
    daemons: Vec<Daemon>,
    hosts: Hosts,
    _folder: TempDir,
}

impl Fleet {
    /// One on each host. The first of them coordinates.
    async fn start() -> anyhow::Result<Self> {
        let hosts = Hosts::new(NODES)?;
        let folder = tempfile::tempdir().context("a folder for the daemons")?;
        let mut daemons: Vec<Daemon> = Vec::new();
        for index in 0..NODES {
            let options = DaemonOptions {
                binary: KIT.into(),
                data_dir: folder.path().join(format!("host-{index}")),
                peers: daemons.first().map(|daemon| daemon.address().to_owned()).into_iter().collect(),
                listen: format!("/ip4/{}/tcp/7440", Hosts::address(index)),
                threads: 1,
                variables: [("LIMITS__MICRO_BATCH_TIME", MICRO_BATCH_TIME), ("NETWORK__MDNS", "false")]
                    .map(|(name, value)| (format!("TRAIND_{name}"), value.to_owned()))
                    .to_vec(),
                namespace: Some(hosts.name(index).to_owned()),
            };
            daemons.push(Daemon::start(options).await?);
        }
        let wait = Request::NodeWait { live: u32::try_from(NODES)?, timeout_ms: 30_000 };
        for daemon in &daemons {
            daemon.ask(wait.clone()).await?;
        }
        let Response::NodeList { nodes } = daemons[0].ask(Request::NodeList).await? else {
            bail!("no node list")
        };
        let leading = nodes.iter().find(|node| node.role == NodeRole::Coordinator);
        let leading = leading.context("no coordinator")?;
        anyhow::ensure!(leading.id == daemons[0].node(), "the founder does not coordinate");
        Ok(Self { daemons, hosts, _folder: folder })
    }

    fn logs(&self) -> String {
        let logs = self.daemons.iter().map(|daemon| daemon.log().unwrap_or_default());
        logs.collect::<Vec<_>>().join("\n----\n")
    }
}

/// Waits until `step` steps are stable, by the word of one daemon.
async fn reach(events: &mut FollowStream, step: u64) -> anyhow::Result<u64> {
    let following = async {
        loop {
            match events.next().await? {
                Some(FollowEvent::Progress { stable_step, .. }) if stable_step >= step => {
                    return Ok(stable_step);
                }
                Some(FollowEvent::Ended { status, reason, .. }) => bail!("ended: {status:?} {reason:?}"),
                Some(_) => {}
                None => bail!("the daemon stopped telling"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, following).await.with_context(|| format!("waiting for step {step}"))?
}

/// How the job ended, by the word of one daemon.
async fn end_of(daemon: &Daemon, job: &str) -> anyhow::Result<JobDetail> {
    let client = daemon.client();
    let following = async {
        let mut events = client.follow(job).await?;
        while events.next().await?.is_some() {}
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, following).await.context("waiting for the end of the job")??;
    match daemon.ask(Request::JobShow { job: job.to_owned() }).await? {
        Response::JobDetail(detail) => Ok(detail),
        other => bail!("no job detail: {other:?}"),
    }
}

async fn attempt(fleet: &Fleet, cut: &Cut, expected: &str) -> anyhow::Result<String> {
    let spec = job(u32::try_from(NODES)?).toml();
    let Response::JobSubmitted { job, .. } = fleet.daemons[0].ask(Request::job_submit(spec)).await? else {
        bail!("not submitted")
    };
    let witness = &fleet.daemons[cut.witness];
    let mut events = loop {
        // Nothing tells that a daemon has learned of a job: until then it says that there is none.
        let mut events = witness.client().follow(&job).await?;
        match events.next().await {
            Ok(_first) => break events,
            Err(_not_yet) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let before = reach(&mut events, 20).await?;
    for &(from, to) in cut.links {
        fleet.hosts.cut(from, to)?;
    }
    let begun = Instant::now();
    let meanwhile = reach(&mut events, before + STEPS_IN_CUT).await.context("while the cut lasts")?;
    let time = begun.elapsed();
    for &(from, to) in cut.links {
        fleet.hosts.mend(from, to)?;
    }
    let mut views = 0;
    for (index, daemon) in fleet.daemons.iter().enumerate() {
        let detail = end_of(daemon, &job).await.with_context(|| format!("at host {index}"))?;
        let digest = detail.result.as_ref().map(|result| result.digest.as_str());
        anyhow::ensure!(detail.status == JobStatus::Finished, "{detail:#?}");
        anyhow::ensure!(digest == Some(expected), "digest {digest:?}, a single node has {expected}");
        views = views.max(detail.views.len());
    }
    let logs = fleet.logs();
    let alarm = logs.lines().find(|line| ALARMS.iter().any(|alarm| line.contains(alarm)));
    anyhow::ensure!(alarm.is_none(), "a log says {alarm:?}");
    Ok(format!("{} steps in the cut in {:.1} s, {views} views", meanwhile - before, time.as_secs_f64()))
}

#[tokio::test]
async fn whatever_link_is_cut_the_job_goes_on_and_ends_with_the_digest_of_one() -> anyhow::Result<()> {
    let expected = {
        let cluster = Cluster::start(KIT, 1).await?;
        let id = cluster.submit(&job(1)).await?;
        cluster.finish(&id).await?.result.context("a finished job has a result")?.digest
    };
    let _turn = turn().await;
    let mut failed = Vec::new();
    for cut in CUTS {
        let fleet = Fleet::start().await?;
        match attempt(&fleet, &cut, &expected).await {
            Ok(told) => println!("{}: {told}, digest as alone", cut.what),
            Err(error) => {
                println!("{} failed: {error:?}\nlogs:\n{}", cut.what, fleet.logs());
                failed.push(cut.what);
            }
        }
    }
    anyhow::ensure!(failed.is_empty(), "cuts that failed: {failed:#?}");
    Ok(())
}
