//! What checkpoints cost a running job: writing, hashing and the update beside the state that is held.
//!
//! `cargo bench -p traind-integration --bench checkpoint_cost [-- CHECKPOINTS [SAMPLES]]`. One daemon of two threads trains a perceptron of
//! 50 million parameters with AdamW, a state of 600 MB, on SAMPLES samples a step, and keeps a checkpoint every 100 steps. The 25 steps
//! after a checkpoint, in which it is written, are compared with the mean of the 25 before it and the 25 after those: what they
//! take longer is what each hundred steps pay. Neighbours, as the speed of a shared guest changes within minutes. A checkpoint that is
//! not written within its window ends the bench with an error. What noise hides, the processor time of the thread that writes shows.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use traind_integration::{
    AppliedStep, Cluster, Daemon, DaemonOptions, IdxFiles, JobFile, LOG_VARIABLES, Model, Spread, between,
};

/// Checkpoints that are measured unless told otherwise: enough for a median with its spread.
const CHECKPOINTS: u64 = 9;

/// Samples of a step unless told otherwise: half as many as tokens in a step of the Llama of docs/benchmarks.md.
const SAMPLES: u32 = 512;

/// Steps from one checkpoint to the next.
const STEPS: u64 = 100;

/// Steps of each stretch that is compared.
const WINDOW_STEPS: u64 = 25;

/// Steps that are awaited at once: less than the kit's patience.
const AWAITED_STEPS: u64 = 50;

/// Width between the two layers: 784 · 62,500 + 62,500 + 62,500 · 10 + 10 parameters are 49.7 million.
const HIDDEN: u32 = 62_500;

/// Samples of a micro-batch.
const MICRO_BATCH_SIZE: u32 = 128;

fn job(checkpoints: u64, samples: u32) -> JobFile {
    JobFile {
        data: "{ kind = \"idx\", path = \"/proc/self/cwd/images\" }".to_owned(),
        model: Model::Mlp { hidden: HIDDEN },
        micro_batches: samples / MICRO_BATCH_SIZE,
        micro_batch_size: MICRO_BATCH_SIZE,
        checkpoint_every: STEPS,
        // The first is not measured: it takes new memory. The last step keeps one of its own, beyond what is measured.
        ..JobFile::mlp("checkpoint-cost", STEPS * (checkpoints + 2) - STEPS / 4).with_adamw()
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
    let checkpoints = numbers.next().map_or(CHECKPOINTS, u64::from);
    let samples = numbers.next().unwrap_or(SAMPLES).max(MICRO_BATCH_SIZE);
    let [format, level] = LOG_VARIABLES;
    let mut cluster = Cluster::start_with(env!("CARGO_BIN_EXE_traind-kit"), 0, &[format, level]).await?;
    let options = DaemonOptions { threads: 2, ..cluster.next_options() };
    IdxFiles { side: 28, training: 60_000, ..IdxFiles::default() }.write(&options.files().join("images"))?;
    cluster.daemons.push(Daemon::start(options).await?);
    let job = job(checkpoints, samples);
    let (id, all) = (cluster.submit(&job).await?, job.steps);
    // In small parts, as nothing in a test may take as long as all of them.
    for part in 1..all / AWAITED_STEPS {
        cluster.wait_step(&id, part * AWAITED_STEPS).await?;
    }
    cluster.finish(&id).await?;
    let daemon = &cluster.daemons[0];
    let (steps, written) = (daemon.applied_steps()?, daemon.written_checkpoints()?);
    let each = daemon.thread_time("store")? / u32::try_from(written.len())?;
    let (mut busy, mut quiet, mut writing) = (Vec::new(), Vec::new(), Vec::new());
    let (mut cost, mut percent) = (Vec::new(), Vec::new());
    for checkpoint in 2..checkpoints + 2 {
        let kept = checkpoint * STEPS;
        let before = time(&steps, kept - WINDOW_STEPS, kept)?;
        let during = time(&steps, kept, kept + WINDOW_STEPS)?;
        let after = time(&steps, kept + WINDOW_STEPS, kept + 2 * WINDOW_STEPS)?;
        let begun = steps.iter().find(|step| step.step == kept).context("a step")?.at;
        let ended = written.iter().find(|(step, _)| *step == kept).context("a written checkpoint")?.1;
        ensure!(
            between(begun, ended) <= during,
            "the checkpoint of step {kept} was not written in its window"
        );
        let beside = (before + after) / 2;
        let lost = during.as_secs_f64() - beside.as_secs_f64();
        busy.push(during);
        quiet.push(beside);
        writing.push(between(begun, ended));
        cost.push(lost * 1e3);
        percent.push(100.0 * lost / (beside.as_secs_f64() * (STEPS / WINDOW_STEPS) as f64));
    }
    println!("{WINDOW_STEPS} steps in which a checkpoint is written: {}", Spread::of_times(&busy));
    println!("{WINDOW_STEPS} steps beside them: {}", Spread::of_times(&quiet));
    println!("from the step to its checkpoint on the disk: {}", Spread::of_times(&writing));
    println!("the difference: {}", Spread::new(cost, "ms"));
    println!("the difference by the time of {STEPS} steps: {}", Spread::new(percent, "%"));
    println!("processor time of writing one: {:.0} ms", each.as_secs_f64() * 1e3);
    Ok(())
}
