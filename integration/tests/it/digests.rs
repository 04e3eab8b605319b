//! The same bits, whoever was there. Digests are compared byte for byte with those of a single node, computed in the
//! same run: none is committed, since a digest holds within one numeric class only.

use traind::control::api::FollowEvent;
use traind_integration::{Cluster, Daemon, JobFile};

use crate::KIT;

/// Least time of a micro-batch: nobody hurries, so that a job lasts long enough for what happens in it.
const PACE: &str = "2 ms";

async fn digest_of(cluster: &Cluster, id: &str, job: &JobFile) -> anyhow::Result<String> {
    let detail = cluster.finish(id).await?;
    let result = detail.result.expect("a finished job has a result");
    assert_eq!(detail.step, job.steps);
    Ok(result.digest)
}

async fn three_nodes(expected: &str, job: &JobFile) -> anyhow::Result<()> {
    let cluster = Cluster::start(KIT, 3).await?;
    let id = cluster.submit(job).await?;
    assert_eq!(digest_of(&cluster, &id, job).await?, expected);
    let detail = cluster.detail(&id).await?;
    assert!(detail.work.iter().all(|work| work.microbatches_computed > 0), "{:?}", detail.work);
    Ok(())
}

async fn killed_worker(expected: &str, job: &JobFile) -> anyhow::Result<()> {
    let mut cluster = Cluster::start_paced(KIT, 3, PACE).await?;
    let id = cluster.submit(job).await?;
    cluster.wait_step(&id, job.steps / 4).await?;
    let worker = cluster.worker().await?;
    cluster.kill(worker)?;
    assert_eq!(digest_of(&cluster, &id, job).await?, expected);
    let detail = cluster.detail(&id).await?;
    assert!(detail.views.last().is_some_and(|view| view.members.len() == 2), "{:?}", detail.views);
    Ok(())
}

async fn killed_coordinator(expected: &str, job: &JobFile) -> anyhow::Result<()> {
    let mut cluster = Cluster::start_paced(KIT, 3, PACE).await?;
    let id = cluster.submit(job).await?;
    cluster.wait_step(&id, job.steps / 4).await?;
    let coordinator = cluster.coordinator().await?;
    cluster.kill(coordinator)?;
    assert_eq!(digest_of(&cluster, &id, job).await?, expected);
    Ok(())
}

/// The job must last long enough for a process to start, fetch the state and take work.
async fn joiner(expected: &str, job: &JobFile) -> anyhow::Result<()> {
    let mut cluster = Cluster::start_paced(KIT, 2, PACE).await?;
    let id = cluster.submit(&JobFile { nodes_min: 2, ..job.clone() }).await?;
    cluster.wait_step(&id, job.steps / 4).await?;
    let joiner = cluster.add().await?;
    let joiner = cluster.daemons[joiner].node().to_owned();
    let detail = cluster.finish(&id).await?;
    assert_eq!(detail.result.expect("a finished job has a result").digest, expected);
    let work = detail.work.iter().find(|work| work.node.id == joiner).expect("the joiner reported work");
    assert!(work.microbatches_computed > 0, "the joiner computed nothing: {work:?}, {:?}", detail.views);
    Ok(())
}

async fn killed_and_back(expected: &str, job: &JobFile) -> anyhow::Result<()> {
    let mut cluster = Cluster::start_paced(KIT, 3, PACE).await?;
    let id = cluster.submit(job).await?;
    cluster.wait_step(&id, job.steps / 4).await?;
    let worker = cluster.worker().await?;
    let mut options = cluster.kill(worker)?;
    options.peers = vec![cluster.daemons[0].address().to_owned()];
    cluster.daemons.push(Daemon::start(options).await?);
    assert_eq!(digest_of(&cluster, &id, job).await?, expected);
    let detail = cluster.detail(&id).await?;
    assert_eq!(detail.members.len(), 3, "{:?}", detail.views);
    Ok(())
}

async fn all_killed(expected: &str, job: &JobFile) -> anyhow::Result<()> {
    let mut cluster = Cluster::start_paced(KIT, 3, PACE).await?;
    let id = cluster.submit(job).await?;
    cluster.wait_step(&id, job.steps / 2).await?;
    wait_checkpoint(&cluster, &id).await?;
    let mut options = Vec::new();
    while !cluster.daemons.is_empty() {
        options.push(cluster.kill(0)?);
    }
    for options in options {
        cluster.daemons.push(Daemon::start(options).await?);
    }
    assert_eq!(digest_of(&cluster, &id, job).await?, expected);
    let detail = cluster.detail(&id).await?;
    assert!(detail.incarnation > 1, "it started anew from a checkpoint: {:?}", detail.views);
    Ok(())
}

/// Waits until the ledger names a checkpoint.
async fn wait_checkpoint(cluster: &Cluster, id: &str) -> anyhow::Result<()> {
    let mut events = cluster.client().follow(id).await?;
    while let Some(event) = events.next().await? {
        if matches!(event, FollowEvent::Checkpoint { .. }) {
            return Ok(());
        }
    }
    anyhow::bail!("the job ended without a checkpoint")
}

/// The list of what may happen to a job, for one model and optimiser; the joiner's job is `$joiner_steps` long.
macro_rules! same_bits {
    ($module:ident, $job:expr, $joiner_steps:expr) => {
        mod $module {
            use tokio::sync::OnceCell;
            use traind_integration::JobFile;

            /// The digest of a single node; computed once for all tests of this module.
            async fn expected() -> anyhow::Result<&'static str> {
                static ALONE: OnceCell<String> = OnceCell::const_new();
                let digest = ALONE
                    .get_or_try_init(|| async { super::Cluster::digest_alone(crate::KIT, &job()).await });
                digest.await.map(String::as_str)
            }

            fn job() -> JobFile {
                JobFile { nodes_min: 3, ..$job }
            }

            #[tokio::test]
            async fn three_nodes_reach_the_digest_of_one() -> anyhow::Result<()> {
                super::three_nodes(expected().await?, &job()).await
            }

            #[tokio::test]
            async fn a_killed_worker_changes_no_bit() -> anyhow::Result<()> {
                super::killed_worker(expected().await?, &job()).await
            }

            #[tokio::test]
            async fn a_killed_coordinator_changes_no_bit() -> anyhow::Result<()> {
                super::killed_coordinator(expected().await?, &job()).await
            }

            #[tokio::test]
            async fn a_joiner_changes_no_bit_and_works() -> anyhow::Result<()> {
                let job = JobFile { steps: $joiner_steps, ..job() };
                super::joiner(&super::Cluster::digest_alone(crate::KIT, &job).await?, &job).await
            }

            #[tokio::test]
            async fn a_killed_node_that_comes_back_joins_as_another_life() -> anyhow::Result<()> {
                super::killed_and_back(expected().await?, &job()).await
            }

            #[tokio::test]
            async fn all_killed_and_restarted_go_on_from_the_last_checkpoint() -> anyhow::Result<()> {
                super::all_killed(expected().await?, &job()).await
            }
        }
    };
}

same_bits!(lenet_sgd, JobFile::lenet("lenet-sgd", 60), 240);
same_bits!(lenet_adamw, JobFile::lenet("lenet-adamw", 60).with_adamw(), 240);
// Steps of the MLP are short: many of them leave time for things to happen in between.
same_bits!(mlp_sgd, JobFile::mlp("mlp-sgd", 200), 700);
same_bits!(mlp_adamw, JobFile::mlp("mlp-adamw", 200).with_adamw(), 700);
