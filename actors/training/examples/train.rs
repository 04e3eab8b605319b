//! Trains LeNet on the digits in one process and prints loss, accuracy and times:
//! `cargo run --release -p traind-training --example train [JOB.toml [DEVICE]]`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use traind_training::{JobSpec, Session, numeric_class, set_threads};

const JOB: &str = r#"
name = "lenet-digits"
seed = 42
steps = 400
model = "lenet"
data = "digits"
"#;
const EVALUATE_EVERY_STEPS: u64 = 50;

fn main() -> Result<()> {
    set_threads(1);
    let text = match std::env::args().nth(1) {
        Some(path) => std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?,
        None => JOB.to_owned(),
    };
    let spec = JobSpec::parse(&text)?;
    let device = std::env::args().nth(2).unwrap_or_else(|| "cpu".to_owned());
    println!("{}", numeric_class(&device));
    let mut session = Session::start(&spec, &device)?;
    let elements = session.layout().elements();
    println!("{} parameters, {} samples an epoch", elements, session.epoch_samples());

    let (mut gradient, mut sum, mut mean) =
        (vec![0f32; elements], vec![0f64; elements], vec![0f32; elements]);
    let (mut computing, mut applying) = (Duration::ZERO, Duration::ZERO);
    while session.step() < spec.steps {
        sum.fill(0.0);
        let (mut loss, mut samples) = (0.0, 0.0);
        let start = Instant::now();
        for microbatch in 0..spec.batch.micro_batches {
            let outcome = session.gradient(microbatch, &mut gradient)?;
            sum.iter_mut().zip(&gradient).for_each(|(sum, value)| *sum += f64::from(*value));
            loss += outcome.loss_sum;
            samples += f64::from(outcome.samples);
        }
        computing += start.elapsed();
        mean.iter_mut().zip(&sum).for_each(|(mean, sum)| *mean = (sum / samples) as f32);
        let start = Instant::now();
        session.apply(&mean)?;
        applying += start.elapsed();
        if session.step() % EVALUATE_EVERY_STEPS == 0 || session.step() == spec.steps {
            let held_out = session.evaluate()?;
            println!(
                "step {:4}  loss {:.4}  held out: loss {:.4}  accuracy {:.2} %",
                session.step(),
                loss / samples,
                held_out.loss_mean(),
                100.0 * held_out.accuracy()
            );
        }
    }
    let steps = spec.steps as f64;
    println!(
        "{:.3} ms a micro-batch of {}, {:.2} ms a step's gradients, {:.3} ms an update",
        computing.as_secs_f64() * 1e3 / steps / f64::from(spec.batch.micro_batches),
        spec.batch.micro_batch_size,
        computing.as_secs_f64() * 1e3 / steps,
        applying.as_secs_f64() * 1e3 / steps
    );
    let mut hasher = blake3::Hasher::new();
    session.hash_into(&mut hasher);
    println!("digest {}", hasher.finalize().to_hex());
    Ok(())
}
