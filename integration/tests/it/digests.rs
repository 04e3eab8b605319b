//! The same bits, whoever was there. Digests are compared byte for byte with those of a single node, computed in the
//! same run: none is committed, since a digest holds within one numeric class only.

use tokio::sync::OnceCell;
use traind_integration::{Cluster, JobFile};

use crate::KIT;

const STEPS: u64 = 60;

fn job() -> JobFile {
    JobFile::lenet("digests", STEPS)
}

/// The digest that a single node reaches; computed once for all tests.
async fn alone() -> anyhow::Result<&'static str> {
    static ALONE: OnceCell<String> = OnceCell::const_new();
    let digest = ALONE.get_or_try_init(|| async {
        let cluster = Cluster::start(KIT, 1).await?;
        let id = cluster.submit(&job()).await?;
        digest_of(&cluster, &id).await
    });
    digest.await.map(String::as_str)
}

async fn digest_of(cluster: &Cluster, id: &str) -> anyhow::Result<String> {
    let detail = cluster.finish(id).await?;
    let result = detail.result.expect("a finished job has a result");
    assert_eq!(detail.step, STEPS);
    Ok(result.digest)
}

#[tokio::test]
async fn three_nodes_reach_the_digest_of_one() -> anyhow::Result<()> {
    let expected = alone().await?;
    let cluster = Cluster::start(KIT, 3).await?;
    let id = cluster.submit(&JobFile { nodes_min: 3, ..job() }).await?;
    let digest = digest_of(&cluster, &id).await?;
    assert_eq!(digest, expected);
    let detail = cluster.detail(&id).await?;
    assert!(detail.work.iter().all(|work| work.microbatches_computed > 0), "{:?}", detail.work);
    Ok(())
}

#[tokio::test]
async fn a_killed_worker_changes_no_bit() -> anyhow::Result<()> {
    let expected = alone().await?;
    let mut cluster = Cluster::start(KIT, 3).await?;
    let id = cluster.submit(&JobFile { nodes_min: 3, ..job() }).await?;
    cluster.wait_step(&id, STEPS / 4).await?;
    let worker = cluster.worker().await?;
    cluster.kill(worker)?;
    assert_eq!(digest_of(&cluster, &id).await?, expected);
    let detail = cluster.detail(&id).await?;
    assert!(detail.views.last().is_some_and(|view| view.members.len() == 2), "{:?}", detail.views);
    Ok(())
}

#[tokio::test]
async fn a_killed_coordinator_changes_no_bit() -> anyhow::Result<()> {
    let expected = alone().await?;
    let mut cluster = Cluster::start(KIT, 3).await?;
    let id = cluster.submit(&JobFile { nodes_min: 3, ..job() }).await?;
    cluster.wait_step(&id, STEPS / 4).await?;
    let coordinator = cluster.coordinator().await?;
    cluster.kill(coordinator)?;
    assert_eq!(digest_of(&cluster, &id).await?, expected);
    Ok(())
}

#[tokio::test]
async fn a_joiner_changes_no_bit_and_works() -> anyhow::Result<()> {
    // Long enough for a process to start, fetch the state and take work.
    let job = JobFile::lenet("joiner", 4 * STEPS);
    let expected = {
        let cluster = Cluster::start(KIT, 1).await?;
        let id = cluster.submit(&job).await?;
        cluster.finish(&id).await?.result.expect("a finished job has a result").digest
    };
    let mut cluster = Cluster::start(KIT, 2).await?;
    let id = cluster.submit(&JobFile { nodes_min: 2, ..job }).await?;
    cluster.wait_step(&id, STEPS / 4).await?;
    let joiner = cluster.add().await?;
    let joiner = cluster.daemons[joiner].node().to_owned();
    let detail = cluster.finish(&id).await?;
    assert_eq!(detail.result.expect("a finished job has a result").digest, expected);
    let work = detail.work.iter().find(|work| work.node.id == joiner).expect("the joiner reported work");
    assert!(work.microbatches_computed > 0, "the joiner computed nothing: {work:?}, {:?}", detail.views);
    Ok(())
}

#[tokio::test]
async fn a_killed_node_that_comes_back_joins_as_another_life() -> anyhow::Result<()> {
    let expected = alone().await?;
    let mut cluster = Cluster::start(KIT, 3).await?;
    let id = cluster.submit(&JobFile { nodes_min: 3, ..job() }).await?;
    cluster.wait_step(&id, STEPS / 4).await?;
    let worker = cluster.worker().await?;
    let mut options = cluster.kill(worker)?;
    options.peers = vec![cluster.daemons[0].address().to_owned()];
    cluster.daemons.push(traind_integration::Daemon::start(options).await?);
    assert_eq!(digest_of(&cluster, &id).await?, expected);
    let detail = cluster.detail(&id).await?;
    assert_eq!(detail.members.len(), 3, "{:?}", detail.views);
    Ok(())
}

#[tokio::test]
async fn all_killed_and_restarted_go_on_from_the_last_checkpoint() -> anyhow::Result<()> {
    let expected = alone().await?;
    let mut cluster = Cluster::start(KIT, 3).await?;
    let id = cluster.submit(&JobFile { nodes_min: 3, ..job() }).await?;
    cluster.wait_step(&id, STEPS / 2).await?;
    wait_checkpoint(&cluster, &id).await?;
    let mut options = Vec::new();
    while !cluster.daemons.is_empty() {
        options.push(cluster.kill(0)?);
    }
    for options in options {
        cluster.daemons.push(traind_integration::Daemon::start(options).await?);
    }
    assert_eq!(digest_of(&cluster, &id).await?, expected);
    let detail = cluster.detail(&id).await?;
    assert!(detail.incarnation > 1, "it started anew from a checkpoint: {:?}", detail.views);
    Ok(())
}

/// Waits until the ledger names a checkpoint.
async fn wait_checkpoint(cluster: &Cluster, id: &str) -> anyhow::Result<()> {
    let mut events = cluster.client().follow(id).await?;
    while let Some(event) = events.next().await? {
        if matches!(event, traind::control::api::FollowEvent::Checkpoint { .. }) {
            return Ok(());
        }
    }
    anyhow::bail!("the job ended without a checkpoint")
}
