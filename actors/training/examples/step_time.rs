//! Times training steps of a reference model on made-up data and prints one line of JSON:
//! `cargo run --release -p traind-training --example step_time -- MODEL THREADS [STEPS [WARMUP [checkpoint]]]`, with MODEL one of
//! `llama`, `lenet`, `mlp`. A step is a forward and backward pass and an update, as in any framework.

use std::time::Instant;

use anyhow::{Context, Result, bail};
use traind_training::{DataFacts, DirectBatch, DirectTraining, JobSpec, set_threads};

const LLAMA: &str = "kind = \"llama\"\nvocab_size = 4096\nhidden_size = 256\nintermediate_size = 1024\n\
                     num_hidden_layers = 4\nnum_attention_heads = 4\nmax_position_embeddings = 128\n\
                     [optimiser]\nkind = \"adamw\"\nlearning_rate = 3e-4\n";
const LENET: &str = "kind = \"lenet\"\n[optimiser]\nlearning_rate = 0.01\n";
const MLP: &str = "kind = \"mlp\"\nhidden = [256]\n[optimiser]\nlearning_rate = 0.01\n";
/// Batches that are used in turn.
const BATCHES: usize = 8;

/// A small generator of numbers: their quality does not matter here.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % u64::from(bound)) as u32
    }

    fn uniform(&mut self) -> f32 {
        self.below(1 << 20) as f32 / (1 << 19) as f32 - 1.0
    }
}

struct Made {
    pixels: Vec<f32>,
    tokens: Vec<u32>,
    targets: Vec<u32>,
}

/// Processor time of this process so far, all threads.
fn processor_seconds() -> Result<f64> {
    let mut nanoseconds = 0.0;
    for thread in std::fs::read_dir("/proc/self/task")? {
        let text = std::fs::read_to_string(thread?.path().join("schedstat"))?;
        nanoseconds += text.split(' ').next().context("no time in schedstat")?.parse::<f64>()?;
    }
    Ok(nanoseconds / 1e9)
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let number = |index: usize, default: usize| {
        arguments.get(index).map_or(Ok(default), |text| text.parse()).context("no number")
    };
    let (model, threads) = (arguments.first().context("MODEL is missing")?, number(1, 1)?);
    set_threads(threads);
    let (steps, warmup) = (number(2, 30)?, number(3, 5)?);
    let (keys, image_shape, classes, samples) = match model.as_str() {
        "llama" => (LLAMA, [1, 1, 128], 4096, 8),
        "lenet" => (LENET, [1, 32, 32], 10, 64),
        "mlp" => (MLP, [1, 28, 28], 10, 64),
        other => bail!("no model {other}"),
    };
    let recomputes = arguments.get(4).is_some_and(|word| word == "checkpoint");
    let head = format!(
        "name = \"a\"\nsteps = 1000000\ndata = \"digits\"\nactivation_checkpointing = {recomputes}\n"
    );
    let spec = JobSpec::parse(&format!("{head}[model]\n{keys}"))?;
    let is_text = model == "llama";
    let facts = DataFacts { image_shape, classes, tokens: is_text, black: 0.0, bytes: 0 };
    let mut training = DirectTraining::<f32>::new(&spec, &facts)?;
    let mut numbers = Numbers(1);
    let elements = samples * image_shape.iter().product::<usize>();
    let bound = u32::try_from(classes)?;
    let batches: Vec<Made> = (0..BATCHES)
        .map(|_| Made {
            pixels: if is_text { Vec::new() } else { (0..elements).map(|_| numbers.uniform()).collect() },
            tokens: if is_text { (0..elements).map(|_| numbers.below(bound)).collect() } else { Vec::new() },
            targets: (0..if is_text { elements } else { samples }).map(|_| numbers.below(bound)).collect(),
        })
        .collect();
    let (mut times, mut updates, mut loss) = (Vec::new(), Vec::new(), 0.0);
    let mut busy_before = 0.0;
    for step in 0..warmup + steps {
        if step == warmup {
            busy_before = processor_seconds()?;
        }
        let made = &batches[step % BATCHES];
        let batch = if is_text {
            DirectBatch::Tokens { context: image_shape[2], tokens: &made.tokens, targets: &made.targets }
        } else {
            DirectBatch::Images { pixels: &made.pixels, labels: &made.targets }
        };
        let start = Instant::now();
        loss = training.backward(batch)?;
        let middle = Instant::now();
        training.apply()?;
        if step >= warmup {
            times.push(start.elapsed().as_secs_f64() * 1e3);
            updates.push(middle.elapsed().as_secs_f64() * 1e3);
        }
    }
    let busy = (processor_seconds()? - busy_before) * 1e3 / steps as f64;
    times.sort_by(f64::total_cmp);
    updates.sort_by(f64::total_cmp);
    let (least, median, most) = (times[0], times[times.len() / 2], times[times.len() - 1]);
    println!(
        "{{\"model\": \"{model}\", \"threads\": {threads}, \"ms_min\": {least:.3}, \"ms_med\": {median:.3}, \
         \"ms_max\": {most:.3}, \"cpu_ms_step\": {busy:.3}, \"update_ms_med\": {:.3}, \"loss\": {loss:.4}, \"peak_MB\": {:.1}}}",
        updates[updates.len() / 2],
        (training.activation_peak_bytes() + 4 * training.parameters().len()) as f64 / 1e6,
    );
    Ok(())
}
