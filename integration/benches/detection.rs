//! How soon a death and a silence are noticed, and whether busy cores make anybody call a living peer silent.
//!
//! `cargo bench -p traind-integration --bench detection [-- ROUNDS [SECONDS]]`. Three daemons. In each round one is killed
//! (SIGKILL), then another is stopped (SIGSTOP), and the time is taken until both others say in their logs that they lost it.
//! Then a job trains on all three for SECONDS while two threads per core of this program spin: nobody may be called
//! silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context as _;
use traind_integration::{Cluster, Daemon, JobFile, Spread, between};

/// Rounds unless told otherwise.
const ROUNDS: usize = 20;

/// Seconds of saturation unless told otherwise. A thorough run takes 600.
const SATURATED_SECONDS: u64 = 60;

/// Daemons.
const NODES: usize = 3;

/// Longest wait for a verdict.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two looks at a log.
const LOOK_INTERVAL: Duration = Duration::from_millis(5);

/// Peace before each deed: heartbeats make a history.
const PEACE: Duration = Duration::from_secs(2);

/// From `since` to the word of the last of `witnesses` that it lost `node`.
async fn noticed<'a>(
    witnesses: impl Iterator<Item = &'a Daemon>,
    node: &str,
    since: SystemTime,
) -> anyhow::Result<Duration> {
    let mut latest = Duration::ZERO;
    for witness in witnesses {
        let deadline = Instant::now() + PATIENCE;
        let lost = loop {
            let lost = witness.lost_peers()?.into_iter().rfind(|lost| node.starts_with(&lost.peer));
            match lost.filter(|lost| lost.at >= since) {
                Some(lost) => break lost,
                None => anyhow::ensure!(Instant::now() < deadline, "nobody notices that {node} is gone"),
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        };
        latest = latest.max(between(since, lost.at));
    }
    Ok(latest)
}

/// Keeps all cores busy until it is dropped.
struct Spinning(Arc<AtomicBool>);

impl Spinning {
    fn start() -> Self {
        let goes_on = Arc::new(AtomicBool::new(true));
        let threads = 2 * std::thread::available_parallelism().map_or(1, usize::from);
        for _ in 0..threads {
            let goes_on = Arc::clone(&goes_on);
            std::thread::spawn(move || {
                while goes_on.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        Self(goes_on)
    }
}

impl Drop for Spinning {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let rounds = numbers.next().map_or(Ok(ROUNDS), usize::try_from)?;
    let seconds = numbers.next().unwrap_or(SATURATED_SECONDS);
    let variables = [("TRAIND_LOG__FORMAT", "json")];
    let mut cluster = Cluster::start_with(env!("CARGO_BIN_EXE_traind-kit"), NODES, &variables).await?;
    let (mut deaths, mut silences) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        tokio::time::sleep(PEACE).await;
        let victim = cluster.daemons.remove(0);
        let (node, killed) = (victim.node().to_owned(), SystemTime::now());
        let options = victim.kill()?;
        deaths.push(noticed(cluster.daemons.iter(), &node, killed).await?);
        cluster.daemons.push(Daemon::start(options).await?);
        cluster.wait_live(NODES).await?;
        tokio::time::sleep(PEACE).await;
        let (victim, witnesses) = cluster.daemons.split_first().context("daemons")?;
        let stopped = SystemTime::now();
        victim.freeze()?;
        let noticed = noticed(witnesses.iter(), victim.node(), stopped).await;
        victim.thaw()?;
        silences.push(noticed?);
        cluster.wait_live(NODES).await?;
    }
    println!("a death: {}", Spread::of_times(&deaths));
    println!("a silence: {}", Spread::of_times(&silences));
    let job = cluster.submit(&JobFile { nodes_min: 3, ..JobFile::lenet("busy", 1_000_000) }).await?;
    cluster.settle(&job, NODES, 10).await?;
    let begun = SystemTime::now();
    let spinning = Spinning::start();
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    drop(spinning);
    let step = cluster.detail(&job).await?.step;
    let mut lost = Vec::new();
    for daemon in &cluster.daemons {
        lost.extend(daemon.lost_peers()?.into_iter().filter(|lost| lost.at >= begun));
    }
    println!("{seconds} s with all cores busy, {step} steps: {} peers called lost {lost:?}", lost.len());
    anyhow::ensure!(lost.is_empty(), "living peers were called lost");
    Ok(())
}
