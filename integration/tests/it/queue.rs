//! One job at a time; what waits says why.

use traind::control::api::{JobStatus, Request, Response};
use traind_integration::{Cluster, JobFile};

use crate::KIT;

async fn rows(cluster: &Cluster) -> anyhow::Result<Vec<traind::control::api::JobRow>> {
    match cluster.client().call(&Request::JobList).await? {
        Response::JobList { jobs } => Ok(jobs),
        other => anyhow::bail!("no job list: {other:?}"),
    }
}

#[tokio::test]
async fn a_second_job_queues_says_why_and_runs_when_the_first_is_cancelled() -> anyhow::Result<()> {
    let cluster = Cluster::start(KIT, 2).await?;
    let first = cluster.submit(&JobFile::lenet("first", 100_000)).await?;
    cluster.wait_step(&first, 1).await?;
    let second = cluster.submit(&JobFile::lenet("second", 5)).await?;
    let jobs = rows(&cluster).await?;
    assert_eq!((jobs[0].status, jobs[1].status), (JobStatus::Running, JobStatus::Queued));
    let reason = jobs[1].reason.clone().unwrap_or_default();
    assert!(reason.contains("first"), "the reason names the running job: {reason:?}");
    cluster.client().call(&Request::JobCancel { job: first.clone() }).await?;
    assert_eq!(cluster.wait_end(&first).await?.status, JobStatus::Cancelled);
    cluster.finish(&second).await?;
    Ok(())
}

#[tokio::test]
async fn a_job_that_needs_more_nodes_says_so_and_starts_when_they_come() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(KIT, 1).await?;
    let id = cluster.submit(&JobFile { nodes_min: 2, ..JobFile::lenet("patient", 5) }).await?;
    let reason = rows(&cluster).await?[0].reason.clone().unwrap_or_default();
    assert!(reason.contains("2 nodes"), "{reason:?}");
    cluster.add().await?;
    assert_eq!(cluster.finish(&id).await?.members.len(), 2);
    Ok(())
}
