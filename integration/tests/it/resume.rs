//! Going on after everybody died is the same as never having stopped, byte for byte.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use traind_integration::{Cluster, Daemon, JobFile};

use crate::KIT;
use crate::shell::Shell;

/// Enough for a vocabulary of 300 tokens and some sequences.
fn text() -> String {
    (0..300).map(|line| format!("Line {line} says that {} squared is {}.\n", line * 3, line * line)).collect()
}

fn write_text(cluster: &Cluster) -> anyhow::Result<()> {
    for daemon in &cluster.daemons {
        fs::write(daemon.files().join("text.txt"), text())?;
    }
    Ok(())
}

/// The digest of the last state of a job that must finish, and the files that it is exported as.
async fn outcome(cluster: &Cluster, id: &str, to: &Path) -> anyhow::Result<(String, Vec<u8>)> {
    let result = cluster.finish(id).await?.result.context("a finished job has a result")?;
    let out = to.display().to_string();
    Shell::at_holder(cluster, id).await?.text(&["checkpoint", "export", id, "--out", &out]).await?;
    Ok((result.digest, fs::read(to.join("model.safetensors"))?))
}

#[tokio::test]
async fn two_hundred_steps_equal_a_hundred_a_death_of_all_and_a_hundred() -> anyhow::Result<()> {
    // AdamW, dropout 0.1, a learning rate that changes with every step.
    let job = JobFile { nodes_min: 2, ..JobFile::llama("resumed", 200) };
    let models = tempfile::tempdir()?;
    let cluster = Cluster::start(KIT, 2).await?;
    write_text(&cluster)?;
    let id = cluster.submit(&job).await?;
    let expected = outcome(&cluster, &id, &models.path().join("through")).await?;
    drop(cluster);

    let mut cluster = Cluster::start(KIT, 2).await?;
    write_text(&cluster)?;
    let id = cluster.submit(&job).await?;
    let reached = cluster.wait_step(&id, 100).await?;
    let mut killed = Vec::new();
    while !cluster.daemons.is_empty() {
        killed.push(cluster.kill(0)?);
    }
    for options in killed {
        cluster.daemons.push(Daemon::start(options).await?);
    }
    cluster.wait_live(2).await?;
    let (digest, model) = outcome(&cluster, &id, &models.path().join("resumed")).await?;
    assert_eq!(digest, expected.0);
    assert!(model == expected.1, "the exported models differ");
    let detail = cluster.detail(&id).await?;
    let founded = detail.views.iter().find(|view| view.incarnation > detail.views[0].incarnation);
    let founded = founded.with_context(|| format!("nobody died at step {reached}: {:?}", detail.views))?;
    assert!(founded.reason.contains("the checkpoint of step"), "{founded:?}");
    Ok(())
}
