//! What deaths cost over time: steps done while nodes are killed again and again, by those of a quiet run with as many
//! seconds of living nodes.
//!
//! `cargo bench -p traind-integration --bench goodput [-- STEP_MS [SECONDS [MICRO_BATCHES]]]`. Four daemons train a perceptron, each a
//! quarter of MICRO_BATCHES that last so long (`limits.micro_batch_time`) that a step in peace takes STEP_MS. For SECONDS nobody is
//! killed; then, for as long, one node at a time, any, after times whose mean is 5.5 steps; then 1 step. Whoever is killed starts
//! again at once with its data directory.
//!
//! Seconds of living nodes are counted twice: a node lives while its process does, and a node lives only while it takes
//! part, that is from the begin of the first step that it computes for.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use traind_integration::{Cluster, Daemon, JobFile, LOG_VARIABLES, Model, between};

/// A step in peace unless told otherwise, milliseconds.
const STEP_MS: u64 = 1000;

/// Seconds of each stretch unless told otherwise.
const SECONDS: u64 = 60;

/// Micro-batches of a step unless told otherwise.
const MICRO_BATCHES: u64 = 12;

/// Daemons.
const NODES: usize = 4;

/// Mean times between kills, in steps of peace.
const MTBF_STEPS: [f64; 2] = [5.5, 1.0];

/// SplitMix64 (Steele, Lea, Flood 2014), as a number from 0 to 1.
fn random(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (mixed ^ (mixed >> 31)) as f64 / u64::MAX as f64
}

/// Steps done until `at`, with the share of the one in progress.
fn progress(applied: &BTreeMap<u64, SystemTime>, at: SystemTime) -> anyhow::Result<f64> {
    let (&step, &begun) = applied.iter().rfind(|(_step, time)| **time <= at).context("a step before")?;
    let (_, &ended) = applied.range(step + 1..).next().context("a step after")?;
    let share = between(begun, at).as_secs_f64() / between(begun, ended).as_secs_f64();
    Ok(step as f64 + share)
}

/// When each step was applied first.
fn first_applied(daemons: &[Daemon]) -> anyhow::Result<BTreeMap<u64, SystemTime>> {
    let mut all: BTreeMap<u64, SystemTime> = BTreeMap::new();
    for daemon in daemons {
        for applied in daemon.applied_steps()? {
            let first = all.entry(applied.step).or_insert(applied.at);
            *first = (*first).min(applied.at);
        }
    }
    Ok(all)
}

/// A process was killed and started again.
struct Kill {
    node: String,
    killed: SystemTime,
    started: SystemTime,
}

/// A stretch of time.
struct Stretch {
    begin: SystemTime,
    end: SystemTime,
    kills: Vec<Kill>,
}

impl Stretch {
    /// Seconds of processes that lived.
    fn process_seconds(&self) -> f64 {
        let dead: f64 = self.kills.iter().map(|kill| between(kill.killed, kill.started).as_secs_f64()).sum();
        NODES as f64 * between(self.begin, self.end).as_secs_f64() - dead
    }

    /// Seconds of nodes that took part.
    fn member_seconds(&self, daemons: &[Daemon]) -> anyhow::Result<f64> {
        let mut absent = 0.0;
        for (index, kill) in self.kills.iter().enumerate() {
            let daemon = daemons.iter().find(|daemon| daemon.node() == kill.node).context("a killed node")?;
            let again = self.kills[index + 1..].iter().find(|later| later.node == kill.node);
            let end = again.map_or(self.end, |again| again.killed);
            let steps = daemon.applied_steps()?;
            let own: Vec<_> =
                steps.iter().filter(|applied| applied.at > kill.started && applied.at < end).collect();
            let first = own.iter().position(|applied| applied.computed > 0);
            // The step began when the one before was applied; where none was seen, the node came with it.
            let takes_part = match first {
                Some(0) => kill.started,
                Some(first) => own[first - 1].at,
                None => end,
            };
            absent += between(kill.killed, takes_part).as_secs_f64();
        }
        Ok(NODES as f64 * between(self.begin, self.end).as_secs_f64() - absent)
    }
}

/// Kills for `time`, on the average every `mean`; nobody without one.
async fn stretch(
    cluster: &mut Cluster,
    time: Duration,
    mean: Option<Duration>,
    seed: &mut u64,
) -> anyhow::Result<Stretch> {
    let begin = SystemTime::now();
    let end = begin + time;
    let (mut kills, mut next) = (Vec::new(), begin);
    while let Some(mean) = mean {
        next += mean.mul_f64(-(1.0 - random(seed)).max(1e-9).ln());
        if next >= end {
            break;
        }
        tokio::time::sleep(between(SystemTime::now(), next)).await;
        let victim = (random(seed) * NODES as f64) as usize % NODES;
        let killed = SystemTime::now();
        let victim = cluster.daemons.remove(victim);
        let node = victim.node().to_owned();
        let options = victim.kill()?;
        kills.push(Kill { node, killed, started: SystemTime::now() });
        cluster.daemons.push(Daemon::start(options).await?);
    }
    tokio::time::sleep(between(SystemTime::now(), end)).await;
    Ok(Stretch { begin, end, kills })
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut numbers = std::env::args().skip(1).filter_map(|argument| argument.parse::<u64>().ok());
    let step_ms = numbers.next().unwrap_or(STEP_MS);
    let time = Duration::from_secs(numbers.next().unwrap_or(SECONDS));
    let micro_batches = numbers.next().unwrap_or(MICRO_BATCHES).max(NODES as u64);
    let pace = format!("{} us", step_ms * 1000 * NODES as u64 / micro_batches);
    let [format, level] = LOG_VARIABLES;
    let variables = [format, level, ("TRAIND_LIMITS__MICRO_BATCH_TIME", pace.as_str())];
    let mut cluster = Cluster::start_with(env!("CARGO_BIN_EXE_traind-kit"), NODES, &variables).await?;
    let job = JobFile {
        model: Model::Mlp { hidden: 256 },
        nodes_min: 4,
        micro_batches: u32::try_from(micro_batches)?,
        checkpoint_every: 10,
        ..JobFile::mlp("goodput", 1_000_000)
    };
    let job = cluster.submit(&job).await?;
    let mut seed = 1;
    let mut quiet_rate = None;
    for mtbf in [None].into_iter().chain(MTBF_STEPS.map(Some)) {
        cluster.settle(&job, NODES, 3).await?;
        let mean = mtbf.map(|steps| Duration::from_millis(step_ms).mul_f64(steps));
        let done = stretch(&mut cluster, time, mean, &mut seed).await?;
        // What is known of the step may be a moment old.
        cluster.settle(&job, NODES, 2).await?;
        let applied = first_applied(&cluster.daemons)?;
        let steps = progress(&applied, done.end)? - progress(&applied, done.begin)?;
        let (alive, takes_part) = (done.process_seconds(), done.member_seconds(&cluster.daemons)?);
        let quiet = *quiet_rate.get_or_insert(steps / alive);
        let lineages = cluster.detail(&job).await?.incarnation;
        let what =
            mtbf.map_or_else(|| "nobody killed".to_owned(), |steps| format!("a kill every {steps} steps"));
        println!(
            "{what}: {steps:.2} steps in {} s, {} kills, lineage {lineages}; {:.1} % of quiet by {alive:.1} s of \
             processes, {:.1} % by {takes_part:.1} s of members",
            time.as_secs(),
            done.kills.len(),
            100.0 * steps / alive / quiet,
            100.0 * steps / takes_part / quiet
        );
    }
    Ok(())
}
