//! Real daemons, killed, frozen, restarted and added at random moments while a job runs.
//!
//! A seed decides what is done to whom and when; what the processes make of it is up to the machine, so a seed that
//! failed may pass next time. `TRAIND_CHAOS_SEEDS=A..B` runs other seeds than the few of a normal run.
//!
//! Each trial kills as many processes as its plan says while the job runs, coordinators among them, or the test fails.

mod fleet;
mod plan;
mod random;
mod trial;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;
use std::time::Instant;

use anyhow::Context as _;
use traind_integration::Cluster;

use plan::{KILLS, Plan, Trained};

/// The kit's binary, which is the daemon and `trainctl`.
const KIT: &str = env!("CARGO_BIN_EXE_traind-kit");

/// Seeds of a normal run: together well below a minute.
const SEEDS: Range<u64> = 200..202;

/// Kills of a normal run, at the least.
const KILLS_MIN: usize = 30;

/// Names other seeds, as `10..20`.
const SEEDS_VARIABLE: &str = "TRAIND_CHAOS_SEEDS";

fn seeds() -> anyhow::Result<Range<u64>> {
    let Ok(text) = std::env::var(SEEDS_VARIABLE) else { return Ok(SEEDS) };
    let (first, end) =
        text.split_once("..").with_context(|| format!("{SEEDS_VARIABLE} is {text:?}, not A..B"))?;
    let seeds = first.parse()?..end.parse()?;
    anyhow::ensure!(!seeds.is_empty(), "{SEEDS_VARIABLE} names no seed");
    Ok(seeds)
}

/// The digest that a single node reaches, in peace.
async fn alone(trained: Trained) -> anyhow::Result<String> {
    let cluster = Cluster::start(KIT, 1).await?;
    let id = cluster.submit(&trained.job()).await?;
    let detail = cluster.finish(&id).await?;
    Ok(detail.result.context("a finished job has a result")?.digest)
}

#[tokio::test]
async fn whatever_happens_to_daemons_the_job_ends_with_the_digest_of_one() -> anyhow::Result<()> {
    let mut digests = BTreeMap::new();
    let mut failed = Vec::new();
    let (mut kills, begun) = (0, Instant::now());
    let seeds = seeds()?;
    for seed in seeds.clone() {
        let plan = Plan::from_seed(seed);
        let expected = match digests.entry(plan.trained) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(alone(plan.trained).await?),
        };
        let began = Instant::now();
        match trial::run(&plan, expected).await {
            Ok(done) => {
                kills += done.kills;
                println!(
                    "seed {seed}: {} kills in {} deeds, {} views, {} lineages, digest as alone {:.1} s after the last \
                     deed, {:.1} s in all",
                    done.kills,
                    done.deeds,
                    done.views,
                    done.lineages,
                    done.recovered_in.as_secs_f64(),
                    began.elapsed().as_secs_f64()
                );
                if done.kills < KILLS {
                    println!("seed {seed} failed: the job ended after {} of {KILLS} kills", done.kills);
                    failed.push(seed);
                }
            }
            Err(error) => {
                println!("seed {seed} failed: {error:?}");
                failed.push(seed);
            }
        }
    }
    println!("{kills} real SIGKILLs in {:.1} s, seeds {seeds:?}", begun.elapsed().as_secs_f64());
    let again = |seed: &u64| {
        let next = seed + 1;
        format!(
            "{SEEDS_VARIABLE}={seed}..{next} cargo test --release -p traind-integration --test chaos -- --nocapture"
        )
    };
    let commands: Vec<String> = failed.iter().map(again).collect();
    anyhow::ensure!(failed.is_empty(), "{} seeds failed; again with\n{}", failed.len(), commands.join("\n"));
    anyhow::ensure!(kills >= KILLS_MIN.min(KILLS * seeds.count()), "only {kills} kills");
    Ok(())
}
