//! A majority of the council dies at once.

use traind::control::api::Request;
use traind_integration::{Cluster, Daemon, DaemonOptions, JobFile, MICROBATCH_TIME};

use crate::KIT;
use crate::why::{why, words};

/// Long enough for deaths in its middle; nobody hurries.
fn job(name: &str) -> JobFile {
    JobFile { nodes_min: 3, ..JobFile::mlp(name, 300) }
}

/// Least time of a micro-batch.
const PACE: &str = "2 ms";

/// Kills the coordinator and one other of three at once; the survivor is the only daemon left.
async fn kill_two(cluster: &mut Cluster) -> anyhow::Result<Vec<DaemonOptions>> {
    let coordinator = cluster.coordinator().await?;
    let first = cluster.kill(coordinator)?;
    Ok(vec![first, cluster.kill(0)?])
}

#[tokio::test]
async fn the_survivor_of_a_lost_majority_trains_on_to_the_same_bits() -> anyhow::Result<()> {
    let job = job("survivor");
    let expected = Cluster::digest_alone(KIT, &job).await?;
    let mut cluster = Cluster::start_paced(KIT, 3, PACE).await?;
    let id = cluster.submit(&job).await?;
    cluster.wait_step(&id, job.steps / 3).await?;
    kill_two(&mut cluster).await?;
    let detail = cluster.finish(&id).await?;
    assert_eq!(detail.result.expect("a finished job has a result").digest, expected);
    assert_eq!((detail.members.len(), detail.incarnation), (1, 1), "{:?}", detail.views);
    Ok(())
}

/// Starts daemons again, on their directories and addresses, as peers of the first one.
async fn start_again(cluster: &mut Cluster, stopped: Vec<DaemonOptions>) -> anyhow::Result<()> {
    let peers = vec![cluster.daemons[0].address().to_owned()];
    for options in stopped {
        cluster.daemons.push(Daemon::start(DaemonOptions { peers: peers.clone(), ..options }).await?);
    }
    Ok(())
}

#[tokio::test]
async fn those_who_come_back_find_the_new_council_and_work_in_it() -> anyhow::Result<()> {
    let job = JobFile { steps: 900, ..job("come-back") };
    let expected = Cluster::digest_alone(KIT, &job).await?;
    let mut cluster = Cluster::start_paced(KIT, 3, PACE).await?;
    let id = cluster.submit(&job).await?;
    cluster.wait_step(&id, 60).await?;
    let dead = kill_two(&mut cluster).await?;
    cluster.wait_members(&id, 1).await?;
    cluster.settle(&id, 1, 30).await?;
    start_again(&mut cluster, dead).await?;
    cluster.wait_members(&id, 3).await?;
    let detail = cluster.finish(&id).await?;
    assert_eq!(detail.result.expect("a finished job has a result").digest, expected);
    assert_eq!((detail.members.len(), detail.incarnation), (3, 1), "{:?}", detail.views);
    for daemon in &cluster.daemons {
        let node = daemon.node();
        let work = detail.work.iter().find(|work| work.node.id == node).expect("its work is known");
        assert!(work.microbatches_computed > 0, "{work:?}");
        let log = daemon.log()?;
        assert!(!log.contains("panicked"), "{log}");
    }
    // What the returned ones say is what the survivor says.
    for daemon in &cluster.daemons[1..] {
        let waited = daemon.ask(Request::NodeWait { live: 3, timeout_ms: 20_000 }).await;
        waited?;
    }
    Ok(())
}

#[tokio::test]
async fn where_people_want_to_wait_the_job_stands_still_names_who_is_missing_and_goes_on()
-> anyhow::Result<()> {
    let job = JobFile { steps: 200, ..job("stands-still") };
    let expected = Cluster::digest_alone(KIT, &job).await?;
    let halting = [("TRAIND_ON_QUORUM_LOSS", "halt"), (MICROBATCH_TIME, PACE)];
    let mut cluster = Cluster::start_with(KIT, 3, &halting).await?;
    let id = cluster.submit(&job).await?;
    cluster.wait_step(&id, 40).await?;
    let names: Vec<String> = cluster.daemons.iter().map(|daemon| daemon.node().to_owned()).collect();
    let mut dead = kill_two(&mut cluster).await?;
    let survivor = cluster.daemons[0].node().to_owned();
    // Longer than the survivors of dead processes wait before they go on by themselves.
    let answer = why(&cluster.daemons[0], &id, "tells that the council stands still", |answer| {
        let ends = answer["council"]["ends"].as_str().unwrap_or_default();
        let since =
            answer["missing"].as_array().into_iter().flatten().filter_map(|row| row["since_ms"].as_u64());
        ends.contains("on_quorum_loss") && since.min().is_some_and(|since_ms| since_ms > 2_000)
    })
    .await?;
    for name in names.iter().filter(|name| **name != survivor) {
        assert!(words(&answer, "missing").contains(name), "{answer:#}");
    }
    let halted_at = cluster.detail(&id).await?.step;
    assert!(halted_at < job.steps);
    let one = dead.pop().into_iter().collect();
    start_again(&mut cluster, one).await?;
    let detail = cluster.finish(&id).await?;
    assert_eq!(detail.result.expect("a finished job has a result").digest, expected);
    Ok(())
}

#[tokio::test]
async fn of_two_nodes_either_goes_on_when_the_other_dies_and_takes_it_back() -> anyhow::Result<()> {
    let job = JobFile { nodes_min: 2, steps: 900, ..job("two-nodes") };
    let expected = Cluster::digest_alone(KIT, &job).await?;
    let mut cluster = Cluster::start_paced(KIT, 2, PACE).await?;
    let id = cluster.submit(&job).await?;
    for _ in 0..2 {
        cluster.settle(&id, 2, 20).await?;
        let coordinator = cluster.coordinator().await?;
        let dead = cluster.kill(coordinator)?;
        cluster.settle(&id, 1, 10).await?;
        start_again(&mut cluster, vec![dead]).await?;
    }
    cluster.wait_members(&id, 2).await?;
    let detail = cluster.finish(&id).await?;
    assert_eq!(detail.result.expect("a finished job has a result").digest, expected);
    Ok(())
}

#[tokio::test]
async fn councils_that_both_went_on_meet_and_one_takes_the_others_work_along() -> anyhow::Result<()> {
    let job = JobFile { steps: 1_200, ..job("both-went-on") };
    let expected = Cluster::digest_alone(KIT, &job).await?;
    let mut cluster = Cluster::start_paced(KIT, 3, PACE).await?;
    let id = cluster.submit(&job).await?;
    cluster.wait_step(&id, 60).await?;
    // One goes on alone and takes a job that only its council knows, then it dies.
    let dead = kill_two(&mut cluster).await?;
    cluster.settle(&id, 1, 30).await?;
    let only_there = JobFile { nodes_min: 1, ..JobFile::mlp("only-there", 20) };
    let second = cluster.submit(&only_there).await?;
    let reached = cluster.detail(&id).await?.step;
    let survivor = cluster.kill(0)?;
    // The other two are a majority of the old council, and get further.
    for options in dead {
        let peers: Vec<String> = cluster.daemons.iter().map(|daemon| daemon.address().to_owned()).collect();
        let peers = if peers.is_empty() { options.peers.clone() } else { peers };
        cluster.daemons.push(Daemon::start(DaemonOptions { peers, ..options }).await?);
    }
    cluster.wait_step(&id, reached + 60).await?;
    start_again(&mut cluster, vec![survivor]).await?;
    cluster.wait_members(&id, 3).await?;
    let detail = cluster.finish(&id).await?;
    assert_eq!(detail.result.expect("a finished job has a result").digest, expected);
    let detail = cluster.finish(&second).await?;
    assert_eq!((detail.step, detail.name.as_str()), (20, "only-there"));
    Ok(())
}
