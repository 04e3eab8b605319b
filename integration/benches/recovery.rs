//! What a death costs a job: from SIGKILL to the next finished step, and how much later the step in flight ends.
//!
//! `cargo bench -p traind-integration --bench recovery [-- ROUNDS]`. Three daemons on loopback train a perceptron of 0.27
//! million parameters in 24 micro-batches, each of which takes at least 12.5 ms (`limits.micro_batch_time`): a step of
//! three nodes takes 100 ms, and what a survivor computes for the dead takes its time too. In each round a worker, then
//! the coordinator is killed, at an instant that is uniform over the step, and a new daemon takes its place. Times are those of
//! the survivors' logs; a step is finished when all survivors have applied it.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use traind_integration::{Cluster, JobFile, LOG_VARIABLES, Model, Spread, applied_by_all, between};

/// Rounds unless told otherwise: enough for a median with its spread.
const ROUNDS: usize = 9;

/// Nodes in peace.
const NODES: usize = 3;

/// Micro-batches of a step.
const MICRO_BATCHES: u32 = 24;

/// Least time of a micro-batch: a third of them take 100 ms.
const MICRO_BATCH_TIME: &str = "12500 us";

/// A step in peace.
const STEP: Duration = Duration::from_millis(100);

/// Steps before a kill whose median length is that of a step in peace.
const QUIET_STEPS: u64 = 9;

/// What one kill cost.
struct Cost {
    /// From SIGKILL to the next finished step.
    to_next_step: Duration,
    /// How much longer the step in flight took than one in peace, milliseconds; less than zero where it was shorter.
    added_ms: f64,
}

async fn kill_one(
    cluster: &mut Cluster,
    job: &str,
    kill_coordinator: bool,
    phase: Duration,
) -> anyhow::Result<Cost> {
    cluster.settle(job, NODES, QUIET_STEPS + 3).await?;
    let victim = if kill_coordinator { cluster.coordinator().await? } else { cluster.worker().await? };
    tokio::time::sleep(phase).await;
    let victim = cluster.daemons.remove(victim);
    let killed = SystemTime::now();
    victim.kill()?;
    cluster.settle(job, NODES - 1, 3).await?;
    let applied = applied_by_all(cluster.daemons.iter())?;
    let (&last, &last_at) =
        applied.iter().rfind(|(_step, at)| **at <= killed).context("a step before the kill")?;
    let next_at = *applied.get(&(last + 1)).context("a step after the kill")?;
    let gaps: Vec<Duration> = (last - QUIET_STEPS + 1..=last)
        .filter_map(|step| Some(between(*applied.get(&(step - 1))?, *applied.get(&step)?)))
        .collect();
    let quiet_ms = Spread::of_times(&gaps).quantile(0.5).context("steps in peace")?;
    let added_ms = between(last_at, next_at).as_secs_f64() * 1e3 - quiet_ms;
    let into_step = between(last_at, killed);
    println!(
        "killed {into_step:.1?} into a step: next finished after {:.1?}, {added_ms:.1} ms added",
        between(killed, next_at)
    );
    Ok(Cost { to_next_step: between(killed, next_at), added_ms })
}

fn report(what: &str, costs: &[Cost]) {
    let times: Vec<Duration> = costs.iter().map(|cost| cost.to_next_step).collect();
    println!("{what} killed, to the next finished step: {}", Spread::of_times(&times));
    let added = costs.iter().map(|cost| cost.added_ms).collect();
    println!("{what} killed, added to the step in flight: {}", Spread::new(added, "ms"));
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let rounds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(ROUNDS);
    let [format, level] = LOG_VARIABLES;
    let variables = [format, level, ("TRAIND_LIMITS__MICRO_BATCH_TIME", MICRO_BATCH_TIME)];
    let mut cluster = Cluster::start_with(env!("CARGO_BIN_EXE_traind-kit"), NODES, &variables).await?;
    let job = JobFile {
        model: Model::Mlp { hidden: 256 },
        nodes_min: 3,
        micro_batches: MICRO_BATCHES,
        checkpoint_every: 1000,
        ..JobFile::mlp("recovery", 1_000_000)
    };
    let job = cluster.submit(&job).await?;
    let (mut worker, mut coordinator) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        for kill_coordinator in [false, true] {
            // Instants evenly over a step, whatever the rounds: its begin is not known here and does not matter.
            let phase = STEP.mul_f64((round as f64 + 0.5) / rounds as f64);
            let cost = kill_one(&mut cluster, &job, kill_coordinator, phase).await?;
            if kill_coordinator {
                coordinator.push(cost);
            } else {
                worker.push(cost);
            }
            cluster.add().await?;
        }
    }
    report("a worker", &worker);
    report("the coordinator", &coordinator);
    Ok(())
}
