//! Real daemons, killed, frozen, restarted and added at random moments while a job runs.
//!
//! A seed decides what is done to whom and when; what the processes make of it is up to the machine, so a seed that
//! failed may pass next time. `TRAIND_CHAOS_SEEDS=A..B` runs other seeds than the few of a normal run.

mod fleet;
mod plan;
mod random;
mod trial;

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::ops::Range;

use anyhow::Context as _;
use traind_integration::Cluster;

/// The kit's binary, which is the daemon and `trainctl`.
const KIT: &str = env!("CARGO_BIN_EXE_traind-kit");

/// Seeds of a normal run: together well below a minute.
const SEEDS: Range<u64> = 200..202;

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

/// The digest that a single node reaches.
async fn alone(steps: u64) -> anyhow::Result<String> {
    let cluster = Cluster::start(KIT, 1).await?;
    let id = cluster.submit(&plan::job(steps)).await?;
    let detail = cluster.finish(&id).await?;
    Ok(detail.result.context("a finished job has a result")?.digest)
}

#[tokio::test]
async fn whatever_happens_to_daemons_the_job_ends_with_the_digest_of_one() -> anyhow::Result<()> {
    let mut digests = BTreeMap::new();
    let mut failed = Vec::new();
    for seed in seeds()? {
        let plan = plan::Plan::from_seed(seed);
        let expected = match digests.entry(plan.steps) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(unknown) => unknown.insert(alone(plan.steps).await?),
        };
        let began = std::time::Instant::now();
        match trial::run(&plan, expected).await {
            Ok(told) => println!("seed {seed}: {told}, {:.1} s", began.elapsed().as_secs_f64()),
            Err(error) => {
                println!("seed {seed} failed: {error:?}\nplan: {plan:#?}");
                failed.push(seed);
            }
        }
    }
    anyhow::ensure!(failed.is_empty(), "seeds that failed: {failed:?}");
    Ok(())
}
