//! Nodes that live, are connected, and do not finish their work.

use anyhow::Context as _;
use traind::control::api::{Request, Response};
use traind_integration::{Cluster, JobFile};

use crate::KIT;
use crate::why::{why, words};

/// The thread of a daemon that computes.
const TRAINER: &str = "trainer";

#[tokio::test]
async fn a_node_whose_device_hangs_is_taken_out_and_taken_back_when_it_works_again() -> anyhow::Result<()> {
    let job = JobFile { nodes_min: 3, ..JobFile::lenet("hangs", 300) };
    let expected = Cluster::digest_alone(KIT, &job).await?;
    let cluster = Cluster::start_paced(KIT, 3, "20 ms").await?;
    let id = cluster.submit(&job).await?;
    // By then it is known how long each takes.
    cluster.wait_step(&id, 20).await?;
    let coordinator = &cluster.daemons[cluster.coordinator().await?];
    let victim = &cluster.daemons[cluster.worker().await?];
    let hung = victim.hang_thread(TRAINER)?;

    // It is told beforehand who holds up the step, and what will end that.
    let waits = |answer: &serde_json::Value| words(answer, "waits").contains("it has computed");
    let answer = why(coordinator, "hangs", "tells who holds up the step", waits).await?;
    assert!(words(&answer, "waits").contains("a view without it is committed"), "{answer:#}");
    let out = cluster
        .wait_detail(&id, "a view without the node that hangs", |detail| {
            detail.views.iter().any(|view| view.reason.contains(" held up step "))
        })
        .await?;
    assert!(out.members.iter().all(|member| member.node.id != victim.node()), "{:?}", out.members);
    // The others go on at their speed while it hangs, and it stays outside until it has answered.
    let step = cluster.wait_step(&id, out.step + 20).await?;
    let unanswered = |answer: &serde_json::Value| words(answer, "waits").contains("is still at what it");
    why(coordinator, "hangs", "says what the node is still at", unanswered).await?;
    let Response::NodeList { nodes } = cluster.client().call(&Request::NodeList).await? else {
        anyhow::bail!("no list of nodes");
    };
    let row = nodes.iter().find(|row| row.id == victim.node()).context("the node is in the list")?;
    assert!(row.kept_out.as_ref().is_some_and(|why| why.contains("still at what it")), "{row:?}");

    hung.release()?;
    cluster.wait_members(&id, 3).await?;
    let back = cluster.detail(&id).await?;
    assert!(back.step >= step, "{} is before {step}", back.step);
    let detail = cluster.finish(&id).await?;
    assert_eq!(detail.result.context("a finished job has a result")?.digest, expected);
    let computed: u64 = detail.work.iter().map(|work| work.microbatches_computed).sum();
    let taken_over: u64 = detail.work.iter().map(|work| work.microbatches_taken_over).sum();
    // What hung was computed by others, and then by itself for nobody.
    assert!(computed >= job.steps * 12 && computed <= job.steps * 12 + taken_over + 12, "{:?}", detail.work);
    Ok(())
}
