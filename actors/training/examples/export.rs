//! Trains a job for a few steps in one process and exports the model:
//! `cargo run --release -p traind-training --example export -- JOB.toml STEPS DIRECTORY`.

use std::path::Path;

use anyhow::{Context, Result};
use traind_training::{JobSpec, Session, export_state, set_threads};

const USAGE: &str = "usage: export JOB.toml STEPS DIRECTORY";

fn main() -> Result<()> {
    set_threads(1);
    let mut arguments = std::env::args().skip(1);
    let path = arguments.next().context(USAGE)?;
    let steps: u64 = arguments.next().context(USAGE)?.parse().context(USAGE)?;
    let directory = arguments.next().context(USAGE)?;
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let spec = JobSpec::parse(&text)?;
    let mut session = Session::start(&spec, "cpu")?;
    let elements = session.layout().elements();
    let (mut gradient, mut sum) = (vec![0f32; elements], vec![0f64; elements]);
    for _ in 0..steps {
        sum.fill(0.0);
        let mut samples = 0.0;
        for microbatch in 0..spec.batch.micro_batches {
            let outcome = session.gradient(microbatch, &mut gradient)?;
            sum.iter_mut().zip(&gradient).for_each(|(sum, value)| *sum += f64::from(*value));
            samples += f64::from(outcome.samples);
        }
        let mean: Vec<f32> = sum.iter().map(|sum| (sum / samples) as f32).collect();
        session.apply(&mean)?;
    }
    let exported = export_state(&spec, &session.state(), None, Path::new(&directory), false)?;
    let evaluation = session.evaluate()?;
    println!(
        "{} parameters after {} steps, accuracy {:.2} %: {}",
        exported.parameters,
        exported.step,
        100.0 * evaluation.accuracy(),
        exported.model.display()
    );
    Ok(())
}
