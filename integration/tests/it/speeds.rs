//! Uneven machines: leases follow how long each takes.

use anyhow::Context as _;
use traind_integration::{Cluster, Daemon, JobFile, MICROBATCH_TIME};

use crate::KIT;

/// Least time of a micro-batch on the quick ones and on the slow one: far more than it takes, so that other work of the machine
/// makes none of them slow.
const QUICK: &str = "10 ms";
const SLOW: &str = "100 ms";

#[tokio::test]
async fn a_slow_node_gets_less_work_and_the_result_is_the_same() -> anyhow::Result<()> {
    let job = JobFile { nodes_min: 3, ..JobFile::lenet("uneven", 100) };
    let expected = Cluster::digest_alone(KIT, &job).await?;
    let mut cluster = Cluster::start_paced(KIT, 2, QUICK).await?;
    let mut options = cluster.next_options();
    options.variables = vec![(MICROBATCH_TIME.to_owned(), SLOW.to_owned())];
    cluster.daemons.push(Daemon::start(options).await?);
    cluster.wait_live(3).await?;
    let slow = cluster.daemons[2].node().to_owned();
    let id = cluster.submit(&job).await?;
    let moved = cluster
        .wait_detail(&id, "work moved", |detail| {
            detail.views.iter().any(|view| view.reason.ends_with("as the quickest: work moves"))
        })
        .await?;
    for member in &moved.members {
        let is_right = match member.node.id == slow {
            true => member.microbatches_leased == 1,
            false => member.microbatches_leased >= 5,
        };
        assert!(is_right, "{:?}", moved.members);
    }
    let detail = cluster.finish(&id).await?;
    assert_eq!(detail.result.as_ref().context("a finished job has a result")?.digest, expected);
    let sum = |count: fn(&traind::control::api::WorkRow) -> u64| detail.work.iter().map(count).sum::<u64>();
    let (computed, taken_over) =
        (sum(|work| work.microbatches_computed), sum(|work| work.microbatches_taken_over));
    assert_eq!(computed, job.steps * 12 + taken_over, "{:?}", detail.work);
    Ok(())
}
