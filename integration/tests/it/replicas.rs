//! Copies of checkpoints: what is left when disks are lost or damaged.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use traind::control::Client;
use traind::control::api::{
    CheckpointDetail, EventKind, EventLine, JobDetail, Request, Response, StreamItem,
};
use traind_integration::{Cluster, Daemon, DaemonOptions, JobFile};

use crate::KIT;

/// What the coordinator waits for a holder and for a writer, and some more.
const PATIENCE: Duration = Duration::from_secs(150);

fn job(name: &str) -> JobFile {
    JobFile { nodes_min: 3, checkpoint_every: 10, ..JobFile::mlp(name, 300).with_adamw() }
}

fn digest(detail: &JobDetail) -> anyhow::Result<String> {
    Ok(detail.result.as_ref().context("a finished job has a result")?.digest.clone())
}

async fn newest(client: &Client, job: &str) -> anyhow::Result<CheckpointDetail> {
    match client.call(&Request::CheckpointShow { job: job.to_owned(), step: None }).await? {
        Response::CheckpointDetail(detail) => Ok(detail),
        other => anyhow::bail!("no checkpoint: {other:?}"),
    }
}

/// Waits for an event of the swarm, also one that was.
async fn wait_event(
    client: &Client,
    what: &str,
    is_wanted: impl Fn(&EventLine) -> bool,
) -> anyhow::Result<EventLine> {
    let following = async {
        let mut seen = Vec::new();
        let mut events = client.stream(&Request::Events { tail: None, follow: true }).await?;
        while let Some(item) = events.next().await? {
            if let StreamItem::EventLine(line) = item {
                if is_wanted(&line) {
                    return Ok(line);
                }
                seen.push(line.message);
            }
        }
        anyhow::bail!("the daemon stopped telling: {seen:#?}")
    };
    tokio::time::timeout(PATIENCE, following).await.with_context(|| format!("waiting for {what}"))?
}

/// A finished job of three nodes, and its last checkpoint with both its holders.
async fn finished(cluster: &Cluster, job: &JobFile) -> anyhow::Result<(String, CheckpointDetail)> {
    let id = cluster.submit(job).await?;
    cluster.finish(&id).await?;
    let client = cluster.client();
    let mut checkpoint = newest(&client, &id).await?;
    if checkpoint.row.holders.len() < 2 {
        // The job ended as soon as one had written it.
        let is_copied = |line: &EventLine| {
            line.event == EventKind::CheckpointCopied
                && line.step == Some(job.steps)
                && line.message.contains(&format!("step {} too", job.steps))
        };
        wait_event(&client, "the second copy", is_copied).await?;
        checkpoint = newest(&client, &id).await?;
    }
    assert_eq!((checkpoint.row.step, checkpoint.row.holders.len()), (job.steps, 2), "{checkpoint:?}");
    Ok((id, checkpoint))
}

fn position_of(cluster: &Cluster, node: &str) -> anyhow::Result<usize> {
    cluster.daemons.iter().position(|daemon| daemon.node() == node).context("the node is one of ours")
}

/// Steps of the checkpoints that lie whole in a data directory.
fn steps_on_disk(data_dir: &Path) -> anyhow::Result<Vec<u64>> {
    let mut steps = Vec::new();
    for entry in std::fs::read_dir(data_dir.join("manifests"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let step: Option<u64> =
            name.split('-').nth(1).and_then(|rest| rest.get(..20)).and_then(|step| step.parse().ok());
        steps.extend(step);
    }
    Ok(steps)
}

/// The newest checkpoint has two copies. Every daemon is killed and the disk of one that holds it is lost: the job goes on
/// from the other copy, and ends with the same bits.
#[tokio::test]
async fn a_lost_disk_costs_no_checkpoint() -> anyhow::Result<()> {
    let job = job("lost-disk");
    let expected = Cluster::digest_alone(KIT, &job).await?;
    // Steps of 20 ms leave time for something to happen in between.
    let mut cluster = Cluster::start_paced(KIT, 3, "5 ms").await?;
    let id = cluster.submit(&job).await?;
    let detail = cluster
        .wait_detail(&id, "a checkpoint with two holders", |detail| {
            detail.checkpoints.iter().any(|row| row.step >= 50 && row.holders.len() == 2)
        })
        .await?;
    let known = detail.checkpoints.iter().filter(|row| row.holders.len() == 2).map(|row| row.step).max();
    let known = known.context("a checkpoint with two holders")?;
    let mut options: Vec<DaemonOptions> = Vec::new();
    while !cluster.daemons.is_empty() {
        options.push(cluster.kill(0)?);
    }
    let mut newest: Vec<(u64, usize)> = Vec::new();
    for (position, options) in options.iter().enumerate() {
        let steps = steps_on_disk(&options.data_dir)?;
        newest.push((steps.into_iter().max().unwrap_or(0), position));
    }
    let (step, lost) = newest.into_iter().max().context("three daemons")?;
    assert!(step >= known, "{step} is on a disk, {known} is in the ledger");
    let mut fresh = options.remove(lost);
    std::fs::remove_dir_all(&fresh.data_dir)?;
    // One of them has to be the first that the others dial.
    let first = options.iter().find(|options| options.peers.is_empty()).map(|options| options.listen.clone());
    for mut options in options {
        if first.is_none() {
            options.peers =
                cluster.daemons.first().map(|daemon| daemon.address().to_owned()).into_iter().collect();
        }
        cluster.daemons.push(Daemon::start(options).await?);
    }
    fresh.peers = vec![cluster.daemons[0].address().to_owned()];
    cluster.daemons.push(Daemon::start(fresh).await?);
    let detail = cluster.finish(&id).await?;
    assert_eq!(digest(&detail)?, expected);
    let words = "starts again from the checkpoint of step ";
    let begins = detail.views.iter().find_map(|view| view.reason.split_once(words));
    let begins = begins.with_context(|| format!("it started anew: {:?}", detail.views))?.1;
    let begins: u64 = begins.split(';').next().unwrap_or_default().parse()?;
    assert!(begins >= known, "it went on from step {begins}, {known} was safe: {:?}", detail.views);
    Ok(())
}

/// One of two holders dies and does not come back: the third node gets a copy, and all say so.
#[tokio::test]
async fn a_holder_that_is_gone_for_good_is_made_up_for() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(KIT, 3).await?;
    let (id, checkpoint) = finished(&cluster, &JobFile { steps: 40, ..job("made-up-for") }).await?;
    let holders: Vec<String> = checkpoint.row.holders.iter().map(|node| node.id.clone()).collect();
    let dead = position_of(&cluster, &holders[0])?;
    cluster.kill(dead)?;
    let third = cluster.daemons.iter().map(|daemon| daemon.node().to_owned());
    let third = third.into_iter().find(|node| !holders.contains(node)).context("a third node")?;
    let is_copied = |line: &EventLine| {
        line.event == EventKind::CheckpointCopied
            && line.message.contains("step 40 too")
            && line.node.as_ref().is_some_and(|node| node.id == third)
    };
    for daemon in &cluster.daemons {
        wait_event(&daemon.client(), "the copy on the third node", is_copied).await?;
        let checkpoint = newest(&daemon.client(), &id).await?;
        let holders: Vec<&str> = checkpoint.row.holders.iter().map(|node| node.id.as_str()).collect();
        assert!(holders.contains(&third.as_str()), "{checkpoint:?}");
        assert!(checkpoint.row.fetching.is_empty(), "{checkpoint:?}");
    }
    // It is good for something: only its holder exports it without asking another.
    let at = position_of(&cluster, &third)?;
    let mut download = cluster.daemons[at].client().export(&id, None).await?;
    let digest = download.description.digest.clone();
    assert_eq!(digest, checkpoint.row.digest);
    for file in download.description.files.clone() {
        download.read(&file, &mut std::io::sink()).await?;
    }
    Ok(())
}

/// Three nodes in one place and one in another: never are both copies of a checkpoint in one place. When all of the one place is
/// lost with its disks, the newest is still there.
#[tokio::test]
async fn copies_lie_in_different_places_so_that_a_place_can_be_lost() -> anyhow::Result<()> {
    const PLACES: [&str; 4] = ["cellar", "cellar", "attic", "cellar"];
    let job = JobFile { nodes_min: 4, steps: 60, ..job("places") };
    let mut cluster = Cluster::start(KIT, 0).await?;
    for place in PLACES {
        let mut options = cluster.next_options();
        options.variables.push(("TRAIND_FAILURE_LABEL".to_owned(), place.to_owned()));
        cluster.daemons.push(Daemon::start(options).await?);
    }
    cluster.wait_live(PLACES.len()).await?;
    let (id, checkpoint) = finished(&cluster, &job).await?;
    let client = cluster.client();
    let rows = match client.call(&Request::CheckpointList { job: Some(id.clone()) }).await? {
        Response::CheckpointList { checkpoints, .. } => checkpoints,
        other => anyhow::bail!("no list: {other:?}"),
    };
    assert!(rows.len() > 1, "{rows:?}");
    let attic = cluster.daemons[2].node().to_owned();
    for row in &rows {
        let is_there = row.holders.iter().any(|holder| holder.id == attic);
        assert!(row.holders.len() < 2 || is_there, "both copies in the cellar: {row:?}");
    }
    assert!(checkpoint.row.holders.iter().any(|holder| holder.id == attic), "{checkpoint:?}");
    // The cellar burns down.
    for position in [3, 1, 0] {
        let options = cluster.kill(position)?;
        std::fs::remove_dir_all(&options.data_dir)?;
    }
    let mut download = cluster.daemons[0].client().export(&id, None).await?;
    assert_eq!(download.description.digest, checkpoint.row.digest);
    for file in download.description.files.clone() {
        download.read(&file, &mut std::io::sink()).await?;
    }
    Ok(())
}

/// A bit flips in a chunk on the disk of a holder: the scrub finds it, and the chunk comes again from the replica.
#[tokio::test]
async fn a_flipped_bit_is_found_and_mended_from_the_replica() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(KIT, 3).await?;
    let (_id, checkpoint) = finished(&cluster, &JobFile { steps: 40, ..job("flipped-bit") }).await?;
    let holder = position_of(&cluster, &checkpoint.row.holders[0].id)?;
    let mut options = cluster.kill(holder)?;
    let chunk = a_chunk_of(&options.data_dir, &checkpoint.row.manifest)?;
    let good = std::fs::read(&chunk)?;
    let mut bad = good.clone();
    let middle = bad.len() / 2;
    bad[middle] ^= 1;
    std::fs::write(&chunk, bad)?;
    options.peers = vec![cluster.daemons[0].address().to_owned()];
    cluster.daemons.push(Daemon::start(options).await?);
    let node = checkpoint.row.holders[0].id.clone();
    for kind in [EventKind::ChunkDamaged, EventKind::ChunkReplaced] {
        let is_told =
            |line: &EventLine| line.event == kind && line.node.as_ref().is_some_and(|about| about.id == node);
        for daemon in &cluster.daemons {
            wait_event(&daemon.client(), "the word on the damaged chunk", is_told).await?;
        }
    }
    assert!(std::fs::read(&chunk)? == good, "the file has the bytes that it had");
    Ok(())
}

/// The file of the first chunk that a manifest in this data directory names.
fn a_chunk_of(data_dir: &Path, manifest: &str) -> anyhow::Result<PathBuf> {
    for entry in std::fs::read_dir(data_dir.join("manifests"))? {
        let text = std::fs::read_to_string(entry?.path())?;
        let Some((json, id)) = text.trim_end().split_once('\n') else { continue };
        if id != manifest {
            continue;
        }
        let json: serde_json::Value = serde_json::from_str(json)?;
        let chunk = json["chunks"][0][0].as_str().context("a chunk")?.to_owned();
        for entry in std::fs::read_dir(data_dir.join("chunks"))? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(&chunk) {
                return Ok(entry.path());
            }
        }
    }
    anyhow::bail!("no chunk of manifest {manifest}")
}
