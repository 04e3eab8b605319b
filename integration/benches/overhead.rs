//! What a step costs beyond its arithmetic, how soon a daemon is ready, and what an idle one takes.
//!
//! `cargo bench -p traind-integration --bench overhead [-- ROUNDS]`. The job is a perceptron of 0.2 million parameters
//! (784-256-10) on images of its own. Each round runs it on three daemons of one thread, and its arithmetic alone in this
//! process: gradients of all micro-batches and the update, shared perfectly by as many threads as the machine has cores.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use traind_integration::{Cluster, Daemon, IdxFiles, JobFile, Model};
use traind_training::{JobSpec, Session};

/// Rounds unless told otherwise: enough for a median with its spread.
const ROUNDS: usize = 5;

/// Steps that are timed, after the first ones.
const STEPS: u64 = 400;

/// Steps before the clock starts: views settle, pages are touched.
const WARM_UP: u64 = 50;

fn job() -> JobFile {
    JobFile {
        data: "{ kind = \"idx\", path = \"/proc/self/cwd/images\" }".to_owned(),
        model: Model::Mlp { hidden: 256 },
        nodes_min: 3,
        micro_batches: 3,
        micro_batch_size: 8,
        checkpoint_every: 1_000_000,
        ..JobFile::mlp("overhead", WARM_UP + STEPS)
    }
}

/// Milliseconds of a step on three daemons.
async fn on_three(cluster: &Cluster) -> anyhow::Result<f64> {
    let id = cluster.submit(&job()).await?;
    let first = cluster.wait_step(&id, WARM_UP).await?;
    let started = Instant::now();
    cluster.finish(&id).await?;
    Ok(started.elapsed().as_secs_f64() * 1e3 / (WARM_UP + STEPS - first) as f64)
}

/// Milliseconds of the arithmetic of a step on one core.
fn alone(spec: &JobSpec) -> anyhow::Result<f64> {
    let mut session = Session::start(spec, "cpu")?;
    let mut gradient = vec![0.0; session.layout().elements()];
    let mut started = Instant::now();
    for step in 0..WARM_UP + STEPS {
        if step == WARM_UP {
            started = Instant::now();
        }
        for microbatch in 0..spec.batch.micro_batches {
            session.gradient(microbatch, &mut gradient)?;
        }
        session.apply(&gradient)?;
    }
    Ok(started.elapsed().as_secs_f64() * 1e3 / STEPS as f64)
}

/// Memory of a process that is in RAM, MB.
fn resident_mb(daemon: &Daemon) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.process_id()))?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).context("VmRSS")?;
    let kib: f64 = line.split_whitespace().nth(1).context("a number")?.parse()?;
    Ok(kib * 1024.0 / 1e6)
}

fn report(what: &str, unit: &str, mut values: Vec<f64>) {
    values.sort_by(f64::total_cmp);
    let [first, .., last] = values.as_slice() else { return };
    println!(
        "{what:44} median {:7.2} {unit}, {first:.2} to {last:.2}, {} rounds",
        values[values.len() / 2],
        values.len()
    );
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    // As in a daemon of one thread.
    traind_training::set_threads(1);
    let rounds = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(ROUNDS);
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(3) as f64;
    let mut cluster = Cluster::start(env!("CARGO_BIN_EXE_traind-kit"), 3).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let idle = cluster.daemons.iter().map(resident_mb).collect::<anyhow::Result<Vec<f64>>>()?;
    let images = IdxFiles { side: 28, training: 2_000, ..IdxFiles::default() };
    for daemon in &cluster.daemons {
        images.write(&daemon.files().join("images"))?;
    }
    let own = cluster.folder().join("own");
    images.write(&own.join("images"))?;
    std::env::set_current_dir(&own)?;
    let spec = JobSpec::parse(&job().toml())?;
    let (mut swarm, mut arithmetic, mut over) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (three, one) = (on_three(&cluster).await?, alone(&spec)?);
        swarm.push(three);
        arithmetic.push(one);
        // Perfectly shared: the gradients of the step, once in all, on all cores. Updates are the swarm's own cost.
        over.push(three - one / cores);
    }
    let mut ready = Vec::new();
    for _ in 0..rounds {
        let options = cluster.next_options();
        let started = Instant::now();
        let daemon = Daemon::start(options).await?;
        ready.push(started.elapsed().as_secs_f64() * 1e3);
        daemon.kill()?;
    }
    report("a step on three daemons", "ms", swarm);
    report("its arithmetic on one core", "ms", arithmetic);
    report("a step beyond its arithmetic on these cores", "ms", over);
    report("start of a process to ready", "ms", ready);
    report("memory of an idle daemon in RAM", "MB", idle);
    Ok(())
}
