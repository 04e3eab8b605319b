//! Times one AdamW update in two ways, side by side: a session's, and AdamW written with the tensor library's operations,
//! one tensor after another, as optimisers on top of it are. The session's also takes the gradient's norm, clips, sees that
//! everything stays finite, and gives the model its new parameters:
//! `cargo run --release -p traind-training --example optimiser_throughput [THREADS]`.

use std::time::Instant;

use anyhow::{Context, Result};
use candle_core::{Device, Tensor, Var};
use traind_training::{JobSpec, Session, set_threads};

const MODELS: [&str; 3] =
    ["\"lenet\"", "{ kind = \"mlp\", hidden = [2048, 2048] }", "{ kind = \"mlp\", hidden = [8192, 5000] }"];
const LEARNING_RATE: f64 = 1e-3;
const BETA1: f64 = 0.9;
const BETA2: f64 = 0.999;
const EPSILON: f64 = 1e-8;
const WEIGHT_DECAY: f64 = 0.01;
/// Both are measured in turns, so that other work on the machine slows both down.
const TURNS: usize = 15;

/// A parameter and its moments as tensors.
struct Variable {
    parameter: Var,
    mean: Var,
    square: Var,
    gradient: Tensor,
}

impl Variable {
    fn new(shape: &[usize], parameter: &[f32], gradient: &[f32]) -> candle_core::Result<Self> {
        let zeros = || Var::zeros(shape, candle_core::DType::F32, &Device::Cpu);
        Ok(Self {
            parameter: Var::from_slice(parameter, shape, &Device::Cpu)?,
            mean: zeros()?,
            square: zeros()?,
            gradient: Tensor::from_slice(gradient, shape, &Device::Cpu)?,
        })
    }

    fn update(&self, count: i32) -> candle_core::Result<()> {
        let mean = ((self.mean.as_tensor() * BETA1)? + (&self.gradient * (1.0 - BETA1))?)?;
        let square = ((self.square.as_tensor() * BETA2)? + (self.gradient.sqr()? * (1.0 - BETA2))?)?;
        let corrected_mean = (&mean / (1.0 - BETA1.powi(count)))?;
        let corrected_square = (&square / (1.0 - BETA2.powi(count)))?;
        let direction = (corrected_mean / (corrected_square.sqrt()? + EPSILON)?)?;
        let kept = (self.parameter.as_tensor() * (1.0 - LEARNING_RATE * WEIGHT_DECAY))?;
        self.parameter.set(&(kept - (direction * LEARNING_RATE)?)?)?;
        self.mean.set(&mean)?;
        self.square.set(&square)
    }
}

fn main() -> Result<()> {
    let threads =
        std::env::args().nth(1).map_or(Ok(1), |text| text.parse()).context("THREADS is no number")?;
    set_threads(threads);
    println!("{threads} threads");
    for model in MODELS {
        compare(model)?;
    }
    Ok(())
}

fn compare(model: &str) -> Result<()> {
    let job = "name = \"throughput\"\nsteps = 1000\ndata = \"digits\"\noptimiser = { kind = \"adamw\", clip_norm = 1 }";
    let mut session = Session::start(&JobSpec::parse(&format!("{job}\nmodel = {model}"))?, "cpu")?;
    let elements = session.layout().elements();
    let gradient: Vec<f32> = (0..elements).map(|index| (index % 1013) as f32 * 1e-4 - 0.05).collect();
    let places = session.layout().places().iter();
    let variables: Vec<Variable> = places
        .map(|place| {
            Variable::new(&place.shape, &session.parameters()[place.range()], &gradient[place.range()])
        })
        .collect::<candle_core::Result<_>>()?;
    let (mut fused, mut unfused, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for count in 1..=TURNS {
        let start = Instant::now();
        session.apply(&gradient)?;
        fused.push(start.elapsed().as_secs_f64());
        let start = Instant::now();
        for variable in &variables {
            variable.update(i32::try_from(count)?)?;
        }
        unfused.push(start.elapsed().as_secs_f64());
        ratios.push(unfused[count - 1] / fused[count - 1]);
    }
    for times in [&mut fused, &mut unfused, &mut ratios] {
        times.sort_by(f64::total_cmp);
    }
    let milliseconds = |times: &[f64]| {
        let [least, median, most] = [0, TURNS / 2, TURNS - 1].map(|at| times[at] * 1e3);
        format!("{median:.3} ms ({least:.3} to {most:.3})")
    };
    println!(
        "{elements:9} parameters: session {}; tensor operations {}; ratio {:.1} ({:.1} to {:.1})",
        milliseconds(&fused),
        milliseconds(&unfused),
        ratios[TURNS / 2],
        ratios[0],
        ratios[TURNS - 1]
    );
    Ok(())
}
