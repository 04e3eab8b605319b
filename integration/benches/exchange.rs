//! What a death in the middle of an exchange of 200 MB costs.
//!
//! `cargo bench -p traind-integration --bench exchange [-- ROUNDS]`. Three daemons on loopback train a perceptron of 50 million
//! parameters, 200 MB of float32, in 3 micro-batches, each of which takes 1 s (`limits.micro_batch_time`). What a step in peace
//! takes beyond that second is called a clean exchange: adding up, sending, folding and applying. In each round a worker is killed
//! at an instant that is uniform over the exchange. What the step in flight takes longer is compared with a clean exchange; its
//! micro-batch, which a survivor computes again, takes its second and is told apart.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use traind_integration::{Cluster, IdxFiles, JobFile, LOG_VARIABLES, Model, Spread, applied_by_all, between};

/// Rounds unless told otherwise: enough for a median with its spread.
const ROUNDS: usize = 5;

/// Nodes in peace.
const NODES: usize = 3;

/// Width between the two layers: 784 · 62,500 + 62,500 + 62,500 · 10 + 10 parameters are 49.7 million.
const HIDDEN: u32 = 62_500;

/// Time of a micro-batch, far beyond its arithmetic.
const MICRO_BATCH: Duration = Duration::from_secs(1);

/// Steps before a kill whose median length is that of a step in peace.
const QUIET_STEPS: u64 = 5;

/// How often the log is looked at for the begin of a step, much less than an exchange takes.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What a step in peace takes, and the latest one that all have applied.
fn quiet_step(cluster: &Cluster) -> anyhow::Result<(Duration, u64, SystemTime)> {
    let applied = applied_by_all(cluster.daemons.iter())?;
    let (&last, &at) = applied.last_key_value().context("a step")?;
    let gaps: Vec<Duration> = (last - QUIET_STEPS + 1..=last)
        .filter_map(|step| Some(between(*applied.get(&(step - 1))?, *applied.get(&step)?)))
        .collect();
    let ms = Spread::of_times(&gaps).quantile(0.5).context("steps in peace")?;
    Ok((Duration::from_secs_f64(ms / 1e3), last, at))
}

/// One kill: a clean exchange, and what the step in flight took longer.
async fn kill_one(cluster: &mut Cluster, job: &str, share: f64) -> anyhow::Result<(Duration, f64)> {
    cluster.settle(job, NODES, QUIET_STEPS + 2).await?;
    let (quiet, before, _) = quiet_step(cluster)?;
    let clean = quiet.saturating_sub(MICRO_BATCH);
    let victim = cluster.worker().await?;
    let began = loop {
        let (_, step, at) = quiet_step(cluster)?;
        if step > before {
            break at;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    };
    let until = began + MICRO_BATCH + clean.mul_f64(share);
    tokio::time::sleep(between(SystemTime::now(), until)).await;
    let victim = cluster.daemons.remove(victim);
    let killed = SystemTime::now();
    victim.kill()?;
    cluster.settle(job, NODES - 1, 2).await?;
    let applied = applied_by_all(cluster.daemons.iter())?;
    let (&last, &last_at) =
        applied.iter().rfind(|(_step, at)| **at <= killed).context("a step before the kill")?;
    let next_at = *applied.get(&(last + 1)).context("a step after the kill")?;
    let added = between(last_at, next_at).as_secs_f64() - quiet.as_secs_f64();
    let into = between(last_at, killed).saturating_sub(MICRO_BATCH);
    println!("killed {into:.0?} into an exchange of {clean:.0?}: {added:.2} s added");
    Ok((clean, added))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let rounds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(ROUNDS);
    let pace = format!("{} ms", MICRO_BATCH.as_millis());
    let [format, level] = LOG_VARIABLES;
    let variables = [format, level, ("TRAIND_LIMITS__MICRO_BATCH_TIME", pace.as_str())];
    let mut cluster = Cluster::start_with(env!("CARGO_BIN_EXE_traind-kit"), NODES, &variables).await?;
    // The path is the same on all nodes, the joiners among them.
    let images = cluster.folder().join("images");
    IdxFiles { side: 28, ..IdxFiles::default() }.write(&images)?;
    let job = JobFile {
        data: format!("{{ kind = \"idx\", path = {images:?} }}"),
        model: Model::Mlp { hidden: HIDDEN },
        nodes_min: 3,
        micro_batches: 3,
        micro_batch_size: 1,
        checkpoint_every: 1_000_000,
        ..JobFile::mlp("exchange", 1_000_000)
    };
    let job = cluster.submit(&job).await?;
    let (mut clean, mut added, mut percent) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..rounds {
        let (exchange, more) = kill_one(&mut cluster, &job, (round as f64 + 0.5) / rounds as f64).await?;
        clean.push(exchange);
        added.push(more * 1e3);
        percent.push((more - MICRO_BATCH.as_secs_f64()) / exchange.as_secs_f64() * 100.0);
        cluster.add().await?;
    }
    println!("a clean exchange: {}", Spread::of_times(&clean));
    println!("added to the step in flight: {}", Spread::new(added, "ms"));
    println!(
        "the same without the micro-batch computed again, by a clean exchange: {}",
        Spread::new(percent, "%")
    );
    Ok(())
}
