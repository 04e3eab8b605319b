//! Joiners get the state in chunks from all that have it.

use std::time::Duration;

use anyhow::Context as _;
use traind_integration::{Cluster, Daemon, JobFile, Model};

use crate::KIT;

/// What a daemon gives of chunks: the state of this job takes seconds.
const SLOW: [(&str, &str); 2] =
    [("TRAIND_LIMITS__TRANSFERS", "2 MB/s"), ("TRAIND_LIMITS__MICRO_BATCH_TIME", "5 ms")];

/// What a joiner logs when it begins to get a state, and goes on in another view.
const FETCHED: &str = "the state is fetched";

/// What it logs before that, once it has read its data and built its model.
const READY: &str = "the session is ready, a view may admit this node";

/// So long a joiner may take to begin.
const PATIENCE: Duration = Duration::from_secs(60);

/// A job with a state of 8 MB.
fn large(steps: u64) -> JobFile {
    let model = Model::Mlp { hidden: 512 };
    JobFile { model, nodes_min: 1, checkpoint_every: 10_000, ..JobFile::mlp("joiners", steps).with_adamw() }
}

fn fetches(daemon: &Daemon) -> anyhow::Result<usize> {
    Ok(daemon.log()?.matches(FETCHED).count())
}

async fn wait_fetch(daemon: &Daemon) -> anyhow::Result<()> {
    let begun = async {
        while fetches(daemon)? == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        anyhow::Ok(())
    };
    tokio::time::timeout(PATIENCE, begun).await.context("the joiner did not begin to get the state")?
}

async fn computed(cluster: &Cluster, id: &str, node: &str) -> anyhow::Result<u64> {
    let detail = cluster.detail(id).await?;
    Ok(detail.work.iter().find(|work| work.node.id == node).map_or(0, |work| work.microbatches_computed))
}

#[tokio::test]
async fn a_donor_that_is_killed_while_a_joiner_gets_the_state_changes_no_bit() -> anyhow::Result<()> {
    let job = large(60);
    let expected = Cluster::digest_alone(KIT, &job).await?;
    let mut cluster = Cluster::start_with(KIT, 2, &SLOW).await?;
    let id = cluster.submit(&JobFile { nodes_min: 2, ..job.clone() }).await?;
    cluster.wait_step(&id, 10).await?;
    let worker = cluster.worker().await?;
    let joiner = cluster.add().await?;
    wait_fetch(&cluster.daemons[joiner]).await?;
    let joiner = cluster.daemons[joiner].node().to_owned();
    cluster.kill(worker)?;
    let detail = cluster.finish(&id).await?;
    assert_eq!(detail.result.context("a finished job has a result")?.digest, expected);
    assert!(computed(&cluster, &id, &joiner).await? > 0, "the joiner took part: {:?}", detail.views);
    let daemon = cluster.daemons.iter().find(|daemon| daemon.node() == joiner).context("the joiner lives")?;
    assert!(fetches(daemon)? >= 2, "it had not got all of it when the donor died");
    let log = daemon.log()?;
    let (ready, fetched) =
        (log.find(READY).context("it was ready")?, log.find(FETCHED).context("it fetched")?);
    assert!(ready < fetched, "the others need not wait for a joiner to build its model");
    Ok(())
}

#[tokio::test]
async fn joiners_that_come_at_once_change_no_bit() -> anyhow::Result<()> {
    let job = large(50);
    let expected = Cluster::digest_alone(KIT, &job).await?;
    let mut cluster = Cluster::start_with(KIT, 1, &SLOW).await?;
    let id = cluster.submit(&job).await?;
    cluster.wait_step(&id, 5).await?;
    let options: Vec<_> = (0..4).map(|_| cluster.next_options()).collect();
    let starting = options.into_iter().map(|options| tokio::spawn(Daemon::start(options)));
    for started in starting.collect::<Vec<_>>() {
        cluster.daemons.push(started.await??);
    }
    let detail = cluster.finish(&id).await?;
    assert_eq!(detail.result.context("a finished job has a result")?.digest, expected);
    let nodes: Vec<String> = cluster.daemons.iter().map(|daemon| daemon.node().to_owned()).collect();
    for node in nodes {
        assert!(computed(&cluster, &id, &node).await? > 0, "{node} took part: {:?}", detail.views);
    }
    Ok(())
}
