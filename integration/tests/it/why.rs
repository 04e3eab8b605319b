//! `trainctl why` and `trainctl job samples` say what is so, on live daemons.

use std::time::{Duration, Instant};

use serde_json::Value;
use traind_integration::{Cluster, Daemon, JobFile};

use crate::KIT;
use crate::shell::Shell;

/// How long an answer may take to become what it must.
const PATIENCE: Duration = Duration::from_secs(60);

/// Training samples of the digits.
const EPOCH: u64 = 1438;

/// Samples of a step.
const BATCH: u64 = 96;

/// Asks one daemon until the answer is as wanted. Nothing tells when the words of an answer change.
pub(crate) async fn why(
    daemon: &Daemon,
    job: &str,
    wanted: &str,
    is_wanted: impl Fn(&Value) -> bool,
) -> anyhow::Result<Value> {
    let (shell, started) = (Shell::at(daemon), Instant::now());
    loop {
        // A node hears of a job a moment after another one took it.
        let answer = match shell.json(&["why", job]).await {
            Ok(mut answers) => answers.swap_remove(0),
            Err(error) if started.elapsed() > PATIENCE => return Err(error),
            Err(_) => continue,
        };
        if is_wanted(&answer) {
            return Ok(answer);
        }
        anyhow::ensure!(started.elapsed() < PATIENCE, "never {wanted}: {answer:#}");
    }
}

pub(crate) fn words(answer: &Value, key: &str) -> String {
    answer[key].as_array().map(|rows| rows.iter().map(ToString::to_string).collect()).unwrap_or_default()
}

#[tokio::test]
async fn a_job_says_which_nodes_it_waits_for_on_every_node() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(KIT, 2).await?;
    let job = JobFile { nodes_min: 3, ..JobFile::lenet("short-of-nodes", 1_000_000) };
    cluster.submit(&job).await?;
    for daemon in &cluster.daemons {
        let answer = why(daemon, "short-of-nodes", "says how many", |answer| {
            words(answer, "waits").contains("waits for 3 nodes, 2 are here")
        })
        .await?;
        assert_eq!(answer["kind"], "JobWhy");
        assert_eq!(answer["status"], "queued");
        assert_eq!(answer["council"], Value::Null);
    }
    let coordinator = cluster.coordinator().await?;
    let third = cluster.add().await?;
    cluster.wait_members("short-of-nodes", 3).await?;
    // A node that does not coordinate knows it from the one that does.
    let worker = (0..3).find(|&position| position != coordinator && position != third);
    let worker = &cluster.daemons[worker.expect("three nodes")];
    let answer = why(worker, "short-of-nodes", "was told what the step waits for", |answer| {
        answer["told_ms"].is_u64() && words(answer, "waits").contains("step")
    })
    .await?;
    assert!(answer["told_ms"].as_u64().is_some_and(|told_ms| told_ms < 10_000), "{answer:#}");
    let table = Shell::at(worker).text(&["why", "short-of-nodes"]).await?;
    assert!(table.contains("as the coordinator said") && table.contains("running"), "{table}");
    assert_eq!(Shell::at(worker).refused(&["why", "no-such-job"]).await?.0, Some(4));
    Ok(())
}

#[tokio::test]
async fn who_is_silent_is_named_and_so_is_a_council_that_cannot_decide() -> anyhow::Result<()> {
    let mut cluster = Cluster::start_with(KIT, 3, &[("TRAIND_ON_QUORUM_LOSS", "halt")]).await?;
    let job = JobFile { nodes_min: 3, ..JobFile::lenet("frozen", 1_000_000) };
    cluster.submit(&job).await?;
    cluster.wait_members("frozen", 3).await?;
    let frozen = cluster.worker().await?;
    let frozen = cluster.daemons.remove(frozen);
    frozen.freeze()?;
    let missing = |answer: &Value| words(answer, "missing").contains("silent");
    let answer = why(&cluster.daemons[0], "frozen", "names the silent node", missing).await?;
    assert_eq!(answer["missing"][0]["node"]["id"], frozen.node(), "{answer:#}");
    // The others go on without it.
    cluster.wait_members("frozen", 2).await?;
    // Two of the three that vote are silent: nothing can be decided, and the names are told.
    let second = cluster.worker().await?;
    let second = cluster.daemons.remove(second);
    second.freeze()?;
    // Not the moments without a coordinator in which one is elected.
    let stands_still =
        |answer: &Value| answer["council"]["ends"].as_str().is_some_and(|ends| ends.contains("come back"));
    let answer =
        why(&cluster.daemons[0], "frozen", "tells that the council stands still", stands_still).await?;
    assert_eq!((&answer["council"]["voters"], &answer["council"]["needed"]), (&3.into(), &2.into()));
    let silent = words(&answer, "missing");
    for daemon in [&frozen, &second] {
        assert!(silent.contains(daemon.node()), "{answer:#}");
    }
    let table = Shell::at(&cluster.daemons[0]).text(&["why", "frozen"]).await?;
    assert!(table.contains("not connected") && table.contains("votes in the council"), "{table}");
    frozen.thaw()?;
    second.thaw()?;
    why(&cluster.daemons[0], "frozen", "has a coordinator again", |answer| answer["council"].is_null())
        .await?;
    cluster.daemons.extend([frozen, second]);
    Ok(())
}

#[tokio::test]
async fn every_sample_of_an_epoch_is_used_once_although_a_node_dies_in_it() -> anyhow::Result<()> {
    let mut cluster = Cluster::start(KIT, 3).await?;
    let job = JobFile { nodes_min: 3, ..JobFile::lenet("samples", 1_000_000) };
    let id = cluster.submit(&job).await?;
    cluster.wait_step(&id, 20).await?;
    let victim = cluster.worker().await?;
    let victim_node = cluster.daemons[victim].node().to_owned();
    cluster.kill(victim)?;
    cluster.wait_members(&id, 2).await?;
    let detail = cluster.detail(&id).await?;
    let change = detail.views.last().expect("a view without the dead node").step;
    // The epoch of the data in which it died, and the steps that have a part in it.
    let epoch = change * BATCH / EPOCH;
    let (first, last) = (epoch * EPOCH / BATCH, ((epoch + 1) * EPOCH).div_ceil(BATCH));
    cluster.wait_step(&id, last).await?;
    let shell = Shell::at(&cluster.daemons[0]);
    let mut ids = Vec::new();
    let mut views = std::collections::BTreeSet::new();
    for step in first..last {
        let number = (step + 1).to_string();
        let answer = shell.json(&["job", "samples", &id, "--step", &number]).await?.swap_remove(0);
        assert_eq!((&answer["kind"], &answer["epoch_samples"]), (&"JobSamples".into(), &EPOCH.into()));
        views.insert(answer["view"]["epoch"].as_u64());
        let members = words(&answer["view"], "members");
        let batches = answer["micro_batches"].as_array().expect("micro-batches");
        assert_eq!(batches.len(), 12);
        for batch in batches {
            let node = batch["node"]["id"].as_str().expect("whose lease it was");
            assert!(members.contains(node), "{answer:#}");
            // The dead node has no lease in what its successors committed.
            let is_after = answer["view"]["epoch"].as_u64() == Some(detail.epoch);
            assert!(!is_after || node != victim_node, "{answer:#}");
            ids.extend(batch["samples"].as_array().expect("ids").iter().filter_map(Value::as_u64));
        }
    }
    let skipped = usize::try_from(epoch * EPOCH - first * BATCH)?;
    let mut once = ids[skipped..skipped + usize::try_from(EPOCH)?].to_vec();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len() as u64, EPOCH, "a sample was used twice or not at all");
    assert!(views.len() > 1, "the epoch spans the death: {views:?}");
    assert_eq!(shell.refused(&["job", "samples", &id, "--step", "999999"]).await?.0, Some(4));
    assert_eq!(shell.refused(&["job", "samples", &id, "--step", "0"]).await?.0, Some(2));
    let table = shell.text(&["job", "samples", &id, "--step", "3"]).await?;
    assert!(table.contains("MICRO-BATCH") && table.contains("committed in"), "{table}");
    Ok(())
}

/// Crashes in a row, and so four seconds outside.
const CRASHES: usize = 7;

#[tokio::test]
async fn a_node_that_crashes_again_and_again_is_taken_back_later_and_the_job_goes_on() -> anyhow::Result<()> {
    // A step takes two seconds: no process lives long enough to have worked on one.
    let mut cluster = Cluster::start_paced(KIT, 3, "500 ms").await?;
    let job = JobFile { nodes_min: 3, ..JobFile::lenet("crashes", 1_000_000) };
    let id = cluster.submit(&job).await?;
    cluster.wait_members(&id, 3).await?;
    let mut victim = cluster.worker().await?;
    for crash in 1..=CRASHES {
        let options = cluster.kill(victim)?;
        cluster.wait_members(&id, 2).await?;
        if crash == CRASHES {
            let coordinator = &cluster.daemons[cluster.coordinator().await?];
            let wanted = format!("crashed {CRASHES} times in a row and may not join yet");
            let says = |answer: &Value| words(answer, "waits").contains(&wanted);
            let answer = why(coordinator, "crashes", "tells of the crashes", says).await?;
            assert!(words(&answer, "waits").contains("it is taken back"), "{answer:#}");
        }
        cluster.daemons.push(Daemon::start(options).await?);
        cluster.wait_members(&id, 3).await?;
        victim = cluster.daemons.len() - 1;
    }
    let step = cluster.wait_step(&id, 1).await?;
    cluster.wait_step(&id, step + 2).await?;
    Ok(())
}
