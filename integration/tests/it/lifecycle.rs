//! Starting, stopping, and the demo that a newcomer sees first.

use std::process::Command;

use traind_integration::{Cluster, Daemon, JobFile};

use crate::KIT;

#[tokio::test]
async fn a_daemon_stops_cleanly_on_sigterm_and_comes_back_as_the_same_node() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(KIT, 1).await?;
    let id = cluster.submit(&JobFile::lenet("before", 3)).await?;
    cluster.finish(&id).await?;
    let daemon = cluster.daemons.remove(0);
    let (node, address) = (daemon.node().to_owned(), daemon.address().to_owned());
    let (status, options) = daemon.terminate().await?;
    assert!(status.success(), "{status}");
    let daemon = Daemon::start(options).await?;
    assert_eq!((daemon.node(), daemon.address()), (node.as_str(), address.as_str()));
    cluster.daemons.push(daemon);
    assert_eq!(cluster.detail(&id).await?.step, 3, "the ledger is still there");
    Ok(())
}

#[tokio::test]
async fn a_restarted_node_finds_its_swarm_without_being_told() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(KIT, 2).await?;
    let worker = cluster.worker().await?;
    let (status, mut options) = cluster.daemons.remove(worker).terminate().await?;
    assert!(status.success(), "{status}");
    options.peers.clear();
    cluster.daemons.push(Daemon::start(options).await?);
    cluster.wait_live(2).await
}

#[tokio::test]
async fn the_demo_kills_joins_and_ends_with_equal_digests() -> anyhow::Result<()> {
    let _turn = traind_integration::turn().await;
    let folder = tempfile::tempdir()?;
    let temporary = folder.path().to_owned();
    let output = tokio::task::spawn_blocking(move || {
        Command::new(KIT).args(["demo", "--steps", "80"]).env("TMPDIR", temporary).output()
    })
    .await??;
    let told =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{told}");
    assert!(output.status.success(), "{told}");
    assert!(told.contains("EQUAL"), "{told}");
    let left: Vec<_> = std::fs::read_dir(folder.path())?.collect();
    assert!(left.is_empty(), "the demo left {left:?}");
    Ok(())
}
