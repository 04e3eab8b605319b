//! Compares a GPU's gradients with the processor's, for each parameter:
//! `cargo run --release --features cuda -p traind-training --example device_gradients [DEVICE] [JOB.toml]`.
//! Fails if a relative error is larger than [`ERROR_MAX`], or if the GPU computes other bits the second time.

use anyhow::{Context, Result, ensure};
use traind_training::{JobSpec, Session, numeric_class, set_threads};

const JOBS: [&str; 2] = [
    "name = \"lenet\"\nseed = 42\nsteps = 20\nmodel = \"lenet\"\ndata = \"digits\"\n",
    "name = \"mlp\"\nseed = 42\nsteps = 20\nmodel = \"mlp\"\ndata = \"digits\"\n",
];
/// Largest error relative to the parameter's largest gradient: f32 sums of some thousand terms in another order.
const ERROR_MAX: f64 = 1e-4;
const STEPS: u64 = 20;

fn main() -> Result<()> {
    set_threads(1);
    let mut arguments = std::env::args().skip(1);
    let device = arguments.next().unwrap_or_else(|| "cuda:0".to_owned());
    let jobs = match arguments.next() {
        Some(path) => vec![std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?],
        None => JOBS.map(str::to_owned).to_vec(),
    };
    println!("cpu: {}\n{device}: {}", numeric_class("cpu"), numeric_class(&device));
    let mut worst = 0f64;
    for job in jobs {
        worst = worst.max(compare(&JobSpec::parse(&job)?, &device)?);
    }
    ensure!(worst <= ERROR_MAX, "a relative error of {worst:.1e} is larger than {ERROR_MAX:.0e}");
    println!("the largest relative error is {worst:.1e}, at most {ERROR_MAX:.0e} is allowed");
    Ok(())
}

/// Trains on the processor and computes every micro-batch on both. The largest relative error of any parameter.
fn compare(spec: &JobSpec, device: &str) -> Result<f64> {
    let (mut host, mut other) = (Session::start(spec, "cpu")?, Session::start(spec, device)?);
    let elements = host.layout().elements();
    let mut errors = vec![0f64; host.layout().places().len()];
    let (mut wanted, mut found, mut again) =
        (vec![0f32; elements], vec![0f32; elements], vec![0f32; elements]);
    for step in 0..STEPS.min(spec.steps) {
        host.gradient(0, &mut wanted)?;
        other.gradient(0, &mut found)?;
        other.gradient(0, &mut again)?;
        let same = found.iter().zip(&again).all(|(first, second)| first.to_bits() == second.to_bits());
        ensure!(same, "step {step}: {device} computed other bits the second time");
        for (error, place) in errors.iter_mut().zip(host.layout().places()) {
            let (wanted, found) = (&wanted[place.range()], &found[place.range()]);
            let largest = wanted.iter().fold(0f32, |largest, value| largest.max(value.abs()));
            let difference =
                wanted.iter().zip(found).fold(0f32, |most, (one, other)| most.max((one - other).abs()));
            *error = error.max(f64::from(difference) / f64::from(largest.max(f32::MIN_POSITIVE)));
        }
        let samples = spec.batch.micro_batch_size as f32;
        let mean: Vec<f32> = wanted.iter().map(|sum| sum / samples).collect();
        host.apply(&mean)?;
        other.apply(&mean)?;
        ensure!(host.state() == other.state(), "step {step}: the states differ after the same update");
    }
    println!("{}: largest relative error in {} steps", spec.name, host.step());
    for (error, place) in errors.iter().zip(host.layout().places()) {
        println!("  {:<14} {error:.1e}", place.name);
    }
    Ok(errors.into_iter().fold(0.0, f64::max))
}
