//! A majority of the council dies at once.

use traind_integration::{Cluster, Daemon, DaemonOptions, JobFile};

use crate::KIT;

/// Long enough for deaths in its middle; nobody hurries.
fn job(name: &str) -> JobFile {
    JobFile { nodes_min: 3, ..JobFile::mlp(name, 300) }
}

/// The digest that a single node reaches.
async fn alone(job: &JobFile) -> anyhow::Result<String> {
    let cluster = Cluster::start(KIT, 1).await?;
    let id = cluster.submit(&JobFile { nodes_min: 1, ..job.clone() }).await?;
    Ok(cluster.finish(&id).await?.result.expect("a finished job has a result").digest)
}

/// Kills the coordinator and one other of three at once; the survivor is the only daemon left.
async fn kill_two(cluster: &mut Cluster) -> anyhow::Result<Vec<DaemonOptions>> {
    let coordinator = cluster.coordinator().await?;
    let first = cluster.kill(coordinator)?;
    Ok(vec![first, cluster.kill(0)?])
}

#[tokio::test]
async fn the_survivor_of_a_lost_majority_trains_on_to_the_same_bits() -> anyhow::Result<()> {
    let job = job("survivor");
    let expected = alone(&job).await?;
    let mut cluster = Cluster::start(KIT, 3).await?;
    let id = cluster.submit(&job).await?;
    cluster.wait_step(&id, job.steps / 3).await?;
    kill_two(&mut cluster).await?;
    let detail = cluster.finish(&id).await?;
    assert_eq!(detail.result.expect("a finished job has a result").digest, expected);
    assert_eq!((detail.members.len(), detail.incarnation), (1, 1), "{:?}", detail.views);
    Ok(())
}
