//! Prints what an exported model says of the first held-out samples of its job's data, as JSON, for other programs to
//! compare: `cargo run --release -p traind-training --example logits -- DIRECTORY SAMPLES`.

use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use traind_training::{CONFIG_FILE, DataSet, JobSpec, ModelConfig, Session, initial_state, set_threads};

const USAGE: &str = "usage: logits DIRECTORY SAMPLES";

/// One entry per sample in each list.
#[derive(Serialize)]
struct Output {
    /// Classes.
    labels: Vec<u32>,
    /// The model's input before the border, normalised; channel by channel, row by row.
    inputs: Vec<Vec<f32>>,
    /// The model's output.
    logits: Vec<Vec<f32>>,
}

fn main() -> Result<()> {
    set_threads(1);
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().context(USAGE)?;
    let directory = Path::new(&directory);
    let count: usize = arguments.next().context(USAGE)?.parse().context(USAGE)?;

    let path = directory.join(CONFIG_FILE);
    let config = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let config: ModelConfig =
        serde_json::from_slice(&config).with_context(|| format!("{} is no export's", path.display()))?;
    let spec = JobSpec::parse(&config.traind.job_file).context("the job in the export cannot be read")?;
    let mut session = Session::start(&spec, "cpu")?;
    session.restore(&initial_state(&spec, directory)?)?;

    let data = DataSet::open(&spec.data)?;
    let samples: Vec<u32> = data.held_out().into_iter().take(count).collect();
    let input = |sample: &u32| {
        let mut image = Vec::new();
        data.append_image(*sample, &mut image);
        image
    };
    let output = Output {
        labels: samples.iter().map(|sample| data.label(*sample)).collect(),
        inputs: samples.iter().map(input).collect(),
        logits: session.infer(&samples)?,
    };
    println!("{}", serde_json::to_string(&output)?);
    Ok(())
}
