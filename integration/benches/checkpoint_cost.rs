//! What checkpoints cost a running job: writing, hashing and the update beside the state that is held.
//!
//! `cargo bench -p traind-integration --bench checkpoint_cost [-- CYCLES [SAMPLES]]`. One daemon of two threads trains a perceptron of 50
//! million parameters with AdamW, a state of 600 MB, on SAMPLES samples a step. Every 200 steps it keeps a checkpoint: the 100
//! steps after one are compared with the 100 steps after those, in which nothing is written. A job with a checkpoint
//! every 100 steps pays the difference in each hundred. What a guest's own noise hides, the processor time of the thread that writes shows.

use std::time::Duration;

use anyhow::Context as _;
use traind_integration::{
    AppliedStep, Cluster, Daemon, DaemonOptions, IdxFiles, JobFile, LOG_VARIABLES, Model, Spread, between,
};

/// Checkpoints that are measured unless told otherwise: enough for a median with its spread.
const CYCLES: u64 = 5;

/// Samples of a step unless told otherwise: half as many as tokens in a step of the Llama of docs/benchmarks.md.
const SAMPLES: u32 = 512;

/// Steps with a checkpoint, and as many without one.
const STEPS: u64 = 100;

/// Steps that are awaited at once: less than the kit's patience.
const AWAITED_STEPS: u64 = 50;

/// Width between the two layers: 784 · 62,500 + 62,500 + 62,500 · 10 + 10 parameters are 49.7 million.
const HIDDEN: u32 = 62_500;

/// Samples of a micro-batch.
const MICRO_BATCH_SIZE: u32 = 128;

fn job(cycles: u64, samples: u32) -> JobFile {
    JobFile {
        data: "{ kind = \"idx\", path = \"/proc/self/cwd/images\" }".to_owned(),
        model: Model::Mlp { hidden: HIDDEN },
        micro_batches: samples / MICRO_BATCH_SIZE,
        micro_batch_size: MICRO_BATCH_SIZE,
        checkpoint_every: 2 * STEPS,
        // Its last step keeps a checkpoint of its own, beyond what is measured.
        ..JobFile::mlp("checkpoint-cost", 2 * STEPS * (cycles + 1) + 1).with_adamw()
    }
}

/// From the first of `steps` numbered `from` to that numbered `to`.
fn time(steps: &[AppliedStep], from: u64, to: u64) -> anyhow::Result<Duration> {
    let at = |number| steps.iter().find(|step| step.step == number).map(|step| step.at).context("a step");
    Ok(between(at(from)?, at(to)?))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<u32>().ok());
    let cycles = numbers.next().map_or(CYCLES, u64::from);
    let samples = numbers.next().unwrap_or(SAMPLES).max(MICRO_BATCH_SIZE);
    let [format, level] = LOG_VARIABLES;
    let mut cluster = Cluster::start_with(env!("CARGO_BIN_EXE_traind-kit"), 0, &[format, level]).await?;
    let options = DaemonOptions { threads: 2, ..cluster.next_options() };
    IdxFiles { side: 28, training: 60_000, ..IdxFiles::default() }.write(&options.files().join("images"))?;
    cluster.daemons.push(Daemon::start(options).await?);
    let id = cluster.submit(&job(cycles, samples)).await?;
    // In small parts, as nothing in a test may take as long as all of them.
    for step in 1..2 * (cycles + 1) * STEPS / AWAITED_STEPS {
        cluster.wait_step(&id, step * AWAITED_STEPS).await?;
    }
    cluster.finish(&id).await?;
    // One after every 200 steps, and one at the end.
    let each = cluster.daemons[0].thread_time("store")? / u32::try_from(cycles + 2)?;
    let steps = cluster.daemons[0].applied_steps()?;
    let (mut with, mut without, mut cost, mut percent) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for cycle in 1..=cycles {
        let kept = cycle * 2 * STEPS;
        let (busy, quiet) =
            (time(&steps, kept, kept + STEPS)?, time(&steps, kept + STEPS, kept + 2 * STEPS)?);
        with.push(busy);
        without.push(quiet);
        let lost_ms = (busy.as_secs_f64() - quiet.as_secs_f64()) * 1e3;
        cost.push(lost_ms);
        percent.push(lost_ms / 10.0 / quiet.as_secs_f64());
    }
    println!("{STEPS} steps with a checkpoint: {}", Spread::of_times(&with));
    println!("{STEPS} steps without one: {}", Spread::of_times(&without));
    println!("the difference: {}", Spread::new(cost, "ms"));
    println!("the difference by the time without one: {}", Spread::new(percent, "%"));
    println!("processor time of writing one: {:.0} ms", each.as_secs_f64() * 1e3);
    Ok(())
}
