//! Ordered leaves: SIGTERM and `drain` in a running job lose no step and redo nothing.

use traind::control::api::{JobDetail, JobStatus, Request};
use traind_integration::{Cluster, Daemon, JobFile};

use crate::KIT;

const STEPS: u64 = 120;

fn job(nodes_min: u32) -> JobFile {
    JobFile { nodes_min, ..JobFile::lenet("leaving", STEPS) }
}

/// The job must last long enough for a node to leave it, so nobody hurries.
const PACE: &str = "5 ms";

async fn digest_alone() -> anyhow::Result<String> {
    Cluster::digest_alone(KIT, &job(1)).await
}

/// Every micro-batch of every step was computed once, and nothing was taken over from anybody.
fn assert_nothing_redone(detail: &JobDetail) {
    let computed: u64 = detail.work.iter().map(|work| work.microbatches_computed).sum();
    assert_eq!(computed, STEPS * 12, "{:?}\n{:?}", detail.work, detail.views);
    assert_eq!(detail.step, STEPS);
}

#[tokio::test]
async fn a_worker_that_is_asked_to_stop_costs_nothing() -> anyhow::Result<()> {
    leaves(3, false).await
}

#[tokio::test]
async fn a_coordinator_that_is_asked_to_stop_costs_nothing() -> anyhow::Result<()> {
    leaves(3, true).await
}

/// With two nodes the council has one voter: it hands its vote over before it goes.
#[tokio::test]
async fn the_only_voter_that_is_asked_to_stop_costs_nothing() -> anyhow::Result<()> {
    leaves(2, true).await
}

async fn leaves(nodes: u32, is_coordinator: bool) -> anyhow::Result<()> {
    let expected = digest_alone().await?;
    let mut cluster = Cluster::start_paced(KIT, nodes as usize, PACE).await?;
    let id = cluster.submit(&job(nodes)).await?;
    cluster.wait_step(&id, STEPS / 4).await?;
    let leaver = if is_coordinator { cluster.coordinator().await? } else { cluster.worker().await? };
    let leaver = cluster.daemons.remove(leaver);
    let log = leaver.log_path();
    let (status, _options) = leaver.terminate().await?;
    assert!(status.success(), "{status}: {}", std::fs::read_to_string(log)?);
    let left_at = cluster.detail(&id).await?.step;
    assert!(left_at < STEPS, "the job was over before the node left");
    let detail = cluster.finish(&id).await?;
    assert_eq!(detail.result.as_ref().expect("a finished job has a result").digest, expected);
    assert_nothing_redone(&detail);
    assert_eq!(detail.members.len(), nodes as usize - 1);
    Ok(())
}

/// The last node has nobody to hand over to: it stops at a step boundary, and goes on from there when it is back.
#[tokio::test]
async fn all_that_stop_one_after_the_other_come_back_and_have_lost_nothing() -> anyhow::Result<()> {
    let expected = digest_alone().await?;
    let mut cluster = Cluster::start_paced(KIT, 2, PACE).await?;
    let id = cluster.submit(&job(2)).await?;
    cluster.wait_step(&id, STEPS / 4).await?;
    let mut options = Vec::new();
    while !cluster.daemons.is_empty() {
        let (status, again) = cluster.daemons.remove(0).terminate().await?;
        assert!(status.success(), "{status}");
        options.push(again);
    }
    for options in options {
        cluster.daemons.push(Daemon::start(options).await?);
    }
    let detail = cluster.finish(&id).await?;
    assert_eq!(detail.result.as_ref().expect("a finished job has a result").digest, expected);
    assert!(detail.incarnation > 1, "{:?}", detail.views);
    Ok(())
}

#[tokio::test]
async fn a_drained_node_stays_idle_until_it_is_undrained() -> anyhow::Result<()> {
    let cluster = Cluster::start(KIT, 3).await?;
    let job = JobFile { nodes_min: 3, ..JobFile::lenet("drained", 100_000) };
    let id = cluster.submit(&job).await?;
    cluster.wait_step(&id, 10).await?;
    let node = cluster.daemons[cluster.worker().await?].node().to_owned();
    let reason = "kernel update".to_owned();
    let drain = Request::NodeDrain { node: Some(node.clone()), reason, until_restart: false };
    cluster.client().call(&drain).await?;
    cluster.wait_members(&id, 2).await?;
    let detail = cluster.detail(&id).await?;
    assert!(detail.members.iter().all(|member| member.node.id != node), "{:?}", detail.members);
    cluster.client().call(&Request::NodeUndrain { node: Some(node.clone()) }).await?;
    cluster.wait_members(&id, 3).await?;
    cluster.client().call(&Request::JobCancel { job: id }).await?;
    Ok(())
}

#[tokio::test]
async fn a_paused_job_goes_on_where_it_stopped() -> anyhow::Result<()> {
    let expected = digest_alone().await?;
    let cluster = Cluster::start_paced(KIT, 3, PACE).await?;
    let id = cluster.submit(&job(3)).await?;
    cluster.wait_step(&id, STEPS / 4).await?;
    cluster.client().call(&Request::JobPause { job: id.clone() }).await?;
    cluster.wait_status(&id, JobStatus::Paused).await?;
    let paused = cluster.detail(&id).await?;
    assert!(paused.step < STEPS && paused.checkpoints.last().is_some_and(|last| last.step == paused.step));
    cluster.client().call(&Request::JobResume { job: id.clone() }).await?;
    let detail = cluster.finish(&id).await?;
    assert_eq!(detail.result.as_ref().expect("a finished job has a result").digest, expected);
    assert_nothing_redone(&detail);
    Ok(())
}
