//! How long a checkpoint holds training up: the copy of a state of 50 million parameters with AdamW's moments into memory
//! that was used before, in turns with a memcpy of as many bytes; and what an update costs beside it.
//!
//! `cargo run --release -p traind-actors --example snapshot_stall [ROUNDS]`

use std::hint::black_box;
use std::time::Instant;

use bytes::BytesMut;
use traind_training::{JobSpec, Session};

/// 64 inputs, two layers of 7,000: 49.5 million parameters, of which AdamW makes a state of 594 MB.
const JOB: &str = "name = \"stall\"\nseed = 1\nsteps = 10\n[model]\nkind = \"mlp\"\nhidden = [7000, 7000]\n\
    [data]\nkind = \"digits\"\n[batch]\nmicro_batches = 1\nmicro_batch_size = 1\n\
    [optimiser]\nkind = \"adamw\"\nlearning_rate = 0.001\n";
/// Steps from one checkpoint to the next, for the share that is told.
const CHECKPOINT_STEPS: f64 = 100.0;

fn main() -> anyhow::Result<()> {
    let rounds: usize = std::env::args().nth(1).map_or(Ok(9), |text| text.parse())?;
    let mut session = Session::start(&JobSpec::parse(JOB)?, "cpu")?;
    let gradient = vec![1e-3; session.layout().elements()];
    let bytes = usize::try_from(session.state_bytes())?;
    let source = session.state();
    let mut target = source.clone();
    let mut buffer = BytesMut::with_capacity(bytes);
    buffer.extend_from_slice(&source);
    let (mut copies, mut captures, mut updates) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let start = Instant::now();
        target.copy_from_slice(black_box(&source));
        copies.push(start.elapsed().as_secs_f64() * 1e3);
        black_box(&mut target);
        let start = Instant::now();
        buffer.clear();
        session.write_state(|piece| buffer.extend_from_slice(piece));
        captures.push(start.elapsed().as_secs_f64() * 1e3);
        anyhow::ensure!(buffer.len() == bytes, "the copy has {} bytes of {bytes}", buffer.len());
        let start = Instant::now();
        session.apply(&gradient)?;
        updates.push(start.elapsed().as_secs_f64() * 1e3);
    }
    let mut ratios: Vec<f64> = captures.iter().zip(&copies).map(|(capture, copy)| capture / copy).collect();
    let [copy, capture, update, ratio] =
        [&mut copies, &mut captures, &mut updates, &mut ratios].map(|values| {
            values.sort_by(f64::total_cmp);
            (values[values.len() / 2], values[0], values[values.len() - 1])
        });
    println!("state: {:.0} MB", bytes as f64 / 1e6);
    for (what, (median, least, most)) in [("memcpy", copy), ("checkpoint", capture), ("update alone", update)]
    {
        println!("{what}: {median:.1} ms ({least:.1} to {most:.1})");
    }
    println!("checkpoint over memcpy: {:.2} ({:.2} to {:.2})", ratio.0, ratio.1, ratio.2);
    println!(
        "of {CHECKPOINT_STEPS} steps that were updates alone: {:.2} %",
        100.0 * capture.0 / (update.0 * CHECKPOINT_STEPS)
    );
    Ok(())
}
