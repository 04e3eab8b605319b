//! How long a job stands still when a node dies: from SIGKILL to the next step that every survivor has applied.
//!
//! `cargo bench -p traind-integration --bench recovery [-- ROUNDS]`. Three daemons on loopback, LeNet on the digits; in
//! each round a worker, then the coordinator is killed and a new daemon takes its place. Times are taken at the control
//! socket of a survivor, which hears of progress every 200 ms at most, so they are upper bounds.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use traind::control::FollowStream;
use traind::control::api::FollowEvent;
use traind_integration::{Cluster, JobFile};

/// Rounds unless told otherwise: enough for a median with its spread.
const ROUNDS: usize = 9;

/// Nodes in peace.
const NODES: usize = 3;

/// Longest wait for anything that takes a fraction of it.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Clone, Copy)]
struct Seen {
    step: u64,
    epoch: u64,
    members: usize,
}

async fn next_progress(events: &mut FollowStream) -> anyhow::Result<Seen> {
    loop {
        match tokio::time::timeout(PATIENCE, events.next()).await.context("waiting for progress")?? {
            Some(FollowEvent::Progress { stable_step, epoch, members, .. }) => {
                return Ok(Seen { step: stable_step, epoch, members: members.len() });
            }
            Some(FollowEvent::Ended { reason, .. }) => bail!("the job ended: {reason:?}"),
            Some(_) => {}
            None => bail!("the daemon stopped telling"),
        }
    }
}

/// Waits until all nodes train and some steps went by since.
async fn settle(cluster: &Cluster, job: &str) -> anyhow::Result<()> {
    let mut events = cluster.client().follow(job).await?;
    let full = loop {
        let seen = next_progress(&mut events).await?;
        if seen.members == NODES {
            break seen;
        }
    };
    while next_progress(&mut events).await?.step < full.step + 20 {}
    Ok(())
}

async fn kill_one(cluster: &mut Cluster, job: &str, kill_coordinator: bool) -> anyhow::Result<Duration> {
    let victim = if kill_coordinator { cluster.coordinator().await? } else { cluster.worker().await? };
    let witness = (0..cluster.daemons.len()).find(|&position| position != victim).context("a survivor")?;
    let mut events = cluster.daemons[witness].client().follow(job).await?;
    let before = next_progress(&mut events).await?;
    let victim = cluster.daemons.remove(victim);
    let killed = Instant::now();
    victim.kill()?;
    loop {
        let seen = next_progress(&mut events).await?;
        if seen.epoch > before.epoch && seen.step > before.step {
            return Ok(killed.elapsed());
        }
    }
}

fn report(what: &str, mut times: Vec<Duration>) {
    times.sort();
    let [first, .., last] = times.as_slice() else { return };
    let median = times[times.len() / 2];
    println!(
        "{what:24} median {:4} ms, {:4} to {:4} ms, {} rounds",
        median.as_millis(),
        first.as_millis(),
        last.as_millis(),
        times.len()
    );
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let rounds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(ROUNDS);
    let mut cluster = Cluster::start(env!("CARGO_BIN_EXE_traind-kit"), NODES).await?;
    let job = cluster.submit(&JobFile { nodes_min: 3, ..JobFile::lenet("recovery", 1_000_000) }).await?;
    let (mut worker, mut coordinator) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        for kill_coordinator in [false, true] {
            settle(&cluster, &job).await?;
            let time = kill_one(&mut cluster, &job, kill_coordinator).await?;
            if kill_coordinator {
                coordinator.push(time)
            } else {
                worker.push(time)
            }
            cluster.add().await?;
        }
    }
    report("worker killed", worker);
    report("coordinator killed", coordinator);
    Ok(())
}
