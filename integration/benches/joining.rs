//! How soon a new process takes part, and what that costs the others.
//!
//! `cargo bench -p traind-integration --bench joining [-- ROUNDS [HIDDEN [MEGABYTES]]]`. Three daemons train the perceptron of the bench
//! `recovery` in steps of 100 ms. In each round a fourth starts, takes part and leaves again. Its time runs from the start of
//! the process to the first step applied that it computed a micro-batch of. The longest gap between two steps of any of
//! the others meanwhile is compared with their longest gap in as much time just before, and so are their steps in that time.
//!
//! With HIDDEN the state is a long one: that of a perceptron of that width with AdamW, 12.4 kB for each of it, in steps of 1.2 s;
//! chunks move at so many megabytes a second at each node.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use traind_integration::{Cluster, Daemon, JobFile, LOG_VARIABLES, Model, Spread, between};

/// Rounds unless told otherwise.
const ROUNDS: usize = 10;

/// Nodes without the one that joins.
const NODES: usize = 3;

/// Least time of a micro-batch: a third of 12 of them take 100 ms.
const MICRO_BATCH_TIME: &str = "25 ms";

/// Steps in peace before a start: more than the time of a join.
const QUIET_STEPS: u64 = 30;

/// The same where the state is long.
const LONG_MICRO_BATCH_TIME: &str = "300 ms";
const LONG_QUIET_STEPS: u64 = 12;

/// Megabytes a second unless told otherwise.
const MEGABYTES: u32 = 20;

/// Time of a step of `daemon` between `begin` and `end`, in the mean.
fn mean_step(daemon: &Daemon, begin: SystemTime, end: SystemTime) -> anyhow::Result<Duration> {
    let steps = daemon.applied_steps()?;
    let within: Vec<_> = steps.iter().filter(|step| step.at >= begin && step.at <= end).collect();
    let (first, last) = (within.first().context("a step")?, within.last().context("a step")?);
    Ok(between(first.at, last.at) / u32::try_from(within.len() - 1).context("steps")?.max(1))
}

/// Longest time between two steps of `daemon` that touches the time from `begin` to `end`.
fn longest_gap(daemon: &Daemon, begin: SystemTime, end: SystemTime) -> anyhow::Result<Duration> {
    let steps = daemon.applied_steps()?;
    let gaps = steps.windows(2).filter(|pair| pair[1].at > begin && pair[0].at < end);
    gaps.map(|pair| between(pair[0].at, pair[1].at)).max().context("two steps of another node")
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<u32>().ok());
    let rounds = numbers.next().map_or(ROUNDS, |rounds| rounds as usize);
    let long = numbers.next();
    let transfers = format!("{} MB/s", numbers.next().unwrap_or(MEGABYTES));
    let [format, level] = LOG_VARIABLES;
    let pace = if long.is_some() { LONG_MICRO_BATCH_TIME } else { MICRO_BATCH_TIME };
    let quiet_steps = if long.is_some() { LONG_QUIET_STEPS } else { QUIET_STEPS };
    let mut variables = vec![format, level, ("TRAIND_LIMITS__MICRO_BATCH_TIME", pace)];
    variables.extend(long.map(|_| ("TRAIND_LIMITS__TRANSFERS", transfers.as_str())));
    let mut cluster = Cluster::start_with(env!("CARGO_BIN_EXE_traind-kit"), NODES, &variables).await?;
    let job = JobFile {
        model: Model::Mlp { hidden: 256 },
        nodes_min: 3,
        checkpoint_every: 1000,
        ..JobFile::mlp("joining", 1_000_000)
    };
    let job = match long {
        Some(hidden) => JobFile { model: Model::Mlp { hidden }, ..job }.with_adamw(),
        None => job,
    };
    let job = cluster.submit(&job).await?;
    let (mut ready, mut joined, mut ratios, mut longest, mut means) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        cluster.settle(&job, NODES, quiet_steps).await?;
        let started = SystemTime::now();
        let joiner = cluster.add().await?;
        ready.push(between(started, SystemTime::now()));
        cluster.settle(&job, NODES + 1, quiet_steps / 3).await?;
        while cluster.daemons[joiner].applied_steps()?.iter().all(|applied| applied.computed == 0) {
            cluster.settle(&job, NODES + 1, 1).await?;
        }
        let joiner = cluster.daemons.remove(joiner);
        let first = joiner.applied_steps()?.into_iter().find(|applied| applied.computed > 0);
        let first = first.context("a step that the new node computed for")?.at;
        joined.push(between(started, first));
        let mut worst = (0.0f64, Duration::ZERO);
        let mut mean: f64 = 0.0;
        for daemon in &cluster.daemons {
            let before = longest_gap(daemon, started - between(started, first), started)?;
            let meanwhile = longest_gap(daemon, started, first)?;
            let ratio = meanwhile.as_secs_f64() / before.as_secs_f64();
            worst = (worst.0.max(ratio), worst.1.max(meanwhile));
            // A short state is there within a step or two.
            if long.is_some() {
                let before = mean_step(daemon, started - between(started, first), started)?;
                mean = mean.max(mean_step(daemon, started, first)?.as_secs_f64() / before.as_secs_f64());
            }
        }
        ratios.push(worst.0);
        longest.push(worst.1);
        means.push(mean * 100.0);
        joiner.terminate().await?;
    }
    println!("start of the process to ready: {}", Spread::of_times(&ready));
    println!("start of the process to its first contributed step: {}", Spread::of_times(&joined));
    println!("longest gap of the others meanwhile: {}", Spread::of_times(&longest));
    let percent = ratios.iter().map(|ratio| ratio * 100.0).collect();
    println!("that gap by their longest in as much time before: {}", Spread::new(percent, "%"));
    if long.is_some() {
        println!("a step of the others meanwhile by one before, in the mean: {}", Spread::new(means, "%"));
    }
    Ok(())
}
