//! Tests of the training engine through its public interface.

// The lint knows functions marked as tests only, not what they call.
#![allow(clippy::unwrap_used)]

mod accuracy;
mod csv_files;
mod determinism;
mod evaluation;
mod export;
mod fixtures;
mod gradient;
mod idx_files;
mod import;
mod language;
mod numerics;
mod options;
mod reference;
mod refusals;
mod sample_order;
mod state;
mod text_files;

use traind_training::{JobSpec, Session};

/// The job that is shipped as the example, for so many steps.
fn job(steps: u64) -> JobSpec {
    job_with(steps, "")
}

/// The same with more lines of TOML.
fn job_with(steps: u64, more: &str) -> JobSpec {
    let keys = "name = \"lenet-digits\"\nseed = 42\nmodel = \"lenet\"\ndata = \"digits\"\n";
    JobSpec::parse(&format!("{keys}steps = {steps}\n{more}")).unwrap()
}

/// The mean gradient of the current step, summed over the micro-batches in f64, and the mean loss.
fn mean_gradient(session: &mut Session, spec: &JobSpec) -> (Vec<f32>, f64) {
    let elements = session.layout().elements();
    let (mut gradient, mut sum) = (vec![0f32; elements], vec![0f64; elements]);
    let (mut loss, mut samples) = (0.0, 0.0);
    for microbatch in 0..spec.batch.micro_batches {
        let outcome = session.gradient(microbatch, &mut gradient).unwrap();
        sum.iter_mut().zip(&gradient).for_each(|(sum, value)| *sum += f64::from(*value));
        loss += outcome.loss_sum;
        samples += f64::from(outcome.samples);
    }
    (sum.into_iter().map(|value| (value / samples) as f32).collect(), loss / samples)
}

/// Trains for so many steps; the mean loss of the last.
fn train(session: &mut Session, spec: &JobSpec, steps: u64) -> f64 {
    let mut last_loss = f64::NAN;
    for _ in 0..steps {
        let (gradient, loss) = mean_gradient(session, spec);
        session.apply(&gradient).unwrap();
        last_loss = loss;
    }
    last_loss
}
