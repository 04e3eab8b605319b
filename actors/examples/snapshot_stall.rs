//! How long a checkpoint holds training up: taking the state of 50 million parameters with AdamW's moments, and what the update
//! after it costs more than another one, because it is written beside the state that is held. In turns with a memcpy of as
//! many bytes.
//!
//! `cargo run --release -p traind-actors --example snapshot_stall [ROUNDS [THREADS]]`

use std::hint::black_box;
use std::time::Instant;

use traind_training::{JobSpec, Session, set_threads};

/// 1,024 inputs, two layers of 6,577: 50.1 million parameters, of which AdamW makes a state of 601 MB.
const JOB: &str = "name = \"stall\"\nseed = 1\nsteps = 10\n[model]\nkind = \"mlp\"\nhidden = [6577, 6577]\n\
    [data]\nkind = \"digits\"\n[batch]\nmicro_batches = 1\nmicro_batch_size = 1\n\
    [optimiser]\nkind = \"adamw\"\nlearning_rate = 0.001\n";
/// Steps from one checkpoint to the next, for the share that is told.
const CHECKPOINT_STEPS: f64 = 100.0;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let rounds: usize = arguments.next().map_or(Ok(9), |text| text.parse())?;
    set_threads(arguments.next().map_or(Ok(2), |text| text.parse())?);
    let mut session = Session::start(&JobSpec::parse(JOB)?, "cpu")?;
    let gradient = vec![1e-3; session.layout().elements()];
    let bytes = usize::try_from(session.state_bytes())?;
    let source = session.state();
    let mut target = source.clone();
    // Both memories of the state are used before anything is timed.
    drop(session.snapshot());
    let first = session.snapshot();
    session.apply(&gradient)?;
    drop(first);
    let [mut copies, mut captures, mut updates, mut beside] = [const { Vec::new() }; 4];
    for _ in 0..rounds {
        copies.push(timed(|| target.copy_from_slice(black_box(&source))));
        black_box(&mut target);
        let mut updated = Ok(());
        updates.push(timed(|| updated = session.apply(&gradient).map(drop)));
        updated?;
        let mut snapshot = None;
        captures.push(timed(|| {
            snapshot = Some(session.snapshot());
            session.prepare_update_beside();
        }));
        let mut updated = Ok(());
        beside.push(timed(|| updated = session.apply(&gradient).map(drop)));
        updated?;
        let held: usize = snapshot.iter().flat_map(|held| held.pieces()).map(<[u8]>::len).sum();
        anyhow::ensure!(held == bytes, "the state held has {held} bytes of {bytes}");
    }
    let added = beside.iter().zip(&updates).zip(&captures);
    let mut stalls: Vec<f64> = added.map(|((beside, update), capture)| capture + beside - update).collect();
    let mut ratios: Vec<f64> = stalls.iter().zip(&copies).map(|(stall, copy)| stall / copy).collect();
    println!("state: {:.0} MB", bytes as f64 / 1e6);
    let told = [
        ("memcpy", &mut copies),
        ("taking the state", &mut captures),
        ("update in place", &mut updates),
        ("update beside the state that is held", &mut beside),
        ("stall: taking it, and what that update takes more", &mut stalls),
    ]
    .map(|(what, values)| {
        let (median, least, most) = spread(values);
        println!("{what}: {median:.3} ms ({least:.3} to {most:.3})");
        median
    });
    let (median, least, most) = spread(&mut ratios);
    println!("stall over memcpy: {median:.2} ({least:.2} to {most:.2})");
    let [.., update, _, stall] = told;
    println!(
        "of {CHECKPOINT_STEPS} steps that were updates alone: {:.2} %",
        100.0 * stall / (update * CHECKPOINT_STEPS)
    );
    Ok(())
}

/// What that takes, in milliseconds.
fn timed(work: impl FnOnce()) -> f64 {
    let start = Instant::now();
    work();
    start.elapsed().as_secs_f64() * 1e3
}

/// Median, least and largest.
fn spread(values: &mut [f64]) -> (f64, f64, f64) {
    values.sort_by(f64::total_cmp);
    (values[values.len() / 2], values[0], values[values.len() - 1])
}
