//! Data from disk: every node reads its own files and says before the job starts whether they are the right ones.

use traind::control::api::{JobStatus, Request, Response};
use traind_integration::{Cluster, IdxFiles, JobFile};

use crate::KIT;

/// A directory that each daemon has for itself: it is relative to where the daemon was started.
const PATH: &str = "/proc/self/cwd/stripes";

fn job(name: &str, steps: u64) -> JobFile {
    JobFile {
        data: format!("{{ kind = \"idx\", path = \"{PATH}\" }}"),
        nodes_min: 3,
        ..JobFile::mlp(name, steps)
    }
}

fn write(cluster: &Cluster, position: usize, files: &IdxFiles) -> anyhow::Result<()> {
    files.write(&cluster.daemons[position].files().join("stripes"))
}

#[tokio::test]
async fn a_job_on_files_learns_the_same_on_one_node_and_on_three() -> anyhow::Result<()> {
    let mut digests = Vec::new();
    for nodes in [1u32, 3] {
        let cluster = Cluster::start(KIT, nodes as usize).await?;
        for position in 0..nodes as usize {
            write(&cluster, position, &IdxFiles::default())?;
        }
        let job = JobFile { nodes_min: nodes, evaluation_every: 50, ..job("stripes", 200) };
        let id = cluster.submit(&job).await?;
        let detail = cluster.finish(&id).await?;
        let result = detail.result.clone().expect("a finished job has a result");
        assert_eq!(result.test_total, 101);
        assert!(result.test_correct > 95, "{result:?}");
        digests.push((result.digest, detail.evaluations.clone()));
        // The last state is tested at the end; on the way every 50 steps, all held-out samples once.
        let steps: Vec<u64> = detail.evaluations.iter().map(|point| point.step).collect();
        assert_eq!(steps, [50, 100, 150], "{:?}", detail.evaluations);
        assert!(detail.evaluations.iter().all(|point| point.total == 101), "{:?}", detail.evaluations);
    }
    assert_eq!(digests[0], digests[1], "digest and tests do not depend on the nodes");
    Ok(())
}

#[tokio::test]
async fn a_node_without_the_files_refuses_the_job_before_it_starts() -> anyhow::Result<()> {
    let cluster = Cluster::start(KIT, 3).await?;
    write(&cluster, 0, &IdxFiles::default())?;
    write(&cluster, 1, &IdxFiles::default())?;
    let id = cluster.submit(&job("absent", 200)).await?;
    let detail = cluster.wait_end(&id).await?;
    assert_eq!((detail.status, detail.step), (JobStatus::Refused, 0));
    let refusal = detail.refusal.expect("a refused job says who refused it");
    assert_eq!(refusal.node.id, cluster.daemons[2].node());
    assert!(refusal.reason.contains("train-images"), "{}", refusal.reason);
    assert!(detail.views.is_empty(), "{:?}", detail.views);
    Ok(())
}

#[tokio::test]
async fn a_node_with_other_files_refuses_the_job_before_it_starts() -> anyhow::Result<()> {
    let cluster = Cluster::start(KIT, 3).await?;
    write(&cluster, 0, &IdxFiles::default())?;
    write(&cluster, 1, &IdxFiles { seed: 2, ..IdxFiles::default() })?;
    write(&cluster, 2, &IdxFiles::default())?;
    let id = cluster.submit(&job("other", 200)).await?;
    let detail = cluster.wait_end(&id).await?;
    assert_eq!((detail.status, detail.step), (JobStatus::Refused, 0));
    let refusal = detail.refusal.expect("a refused job says who refused it");
    assert_eq!(refusal.node.id, cluster.daemons[1].node());
    assert!(refusal.reason.contains("other data"), "{}", refusal.reason);
    Ok(())
}

#[tokio::test]
async fn files_that_do_not_fit_together_are_refused_where_they_are_submitted() -> anyhow::Result<()> {
    let cluster = Cluster::start(KIT, 1).await?;
    let directory = cluster.daemons[0].files().join("stripes");
    IdxFiles::default().write(&directory)?;
    IdxFiles { training: 300, ..IdxFiles::default() }.write(&directory.join("shorter"))?;
    let labels = "train-labels-idx1-ubyte";
    std::fs::copy(directory.join("shorter").join(labels), directory.join(labels))?;
    let error = cluster.submit(&job("lengths", 200)).await.expect_err("must be refused");
    let told = format!("{error:#}");
    assert!(told.contains("400") && told.contains("300"), "{told}");
    let Response::JobList { jobs } = cluster.client().call(&Request::JobList).await? else {
        anyhow::bail!("no list")
    };
    assert!(jobs.is_empty(), "{jobs:?}");
    Ok(())
}

#[tokio::test]
async fn a_joiner_without_the_files_is_kept_out_and_the_job_goes_on() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(KIT, 2).await?;
    write(&cluster, 0, &IdxFiles::default())?;
    write(&cluster, 1, &IdxFiles::default())?;
    let id = cluster.submit(&JobFile { nodes_min: 2, ..job("kept-out", 100_000) }).await?;
    cluster.wait_step(&id, 10).await?;
    let joiner = cluster.add().await?;
    let node = cluster.daemons[joiner].node().to_owned();
    cluster.wait_live(3).await?;
    let detail =
        cluster.wait_detail(&id, "a node that is kept out", |detail| !detail.kept_out.is_empty()).await?;
    assert_eq!(detail.kept_out[0].node.id, node);
    assert!(detail.kept_out[0].reason.contains("train-images"), "{:?}", detail.kept_out);
    let step = detail.step;
    cluster.wait_step(&id, step + 10).await?;
    let detail = cluster.detail(&id).await?;
    assert_eq!(detail.members.len(), 2, "{:?}", detail.members);
    cluster.client().call(&Request::JobCancel { job: id }).await?;
    Ok(())
}
