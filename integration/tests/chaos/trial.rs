//! One trial: a fleet, a job, the deeds of the plan, and what must hold at the end.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use traind::control::Client;
use traind::control::api::{JobDetail, JobStatus, Request, Response};

use crate::fleet::Fleet;
use crate::plan::{DAEMONS_MAX, Deed, KILLS, Plan};

/// How long a fleet that nobody harms any more may need to finish: elections, timeouts of frozen members, steps.
const PATIENCE: Duration = Duration::from_secs(180);

/// Words in a log that no healthy daemon writes.
const ALARMS: [&str; 4] = ["replicas differ", "cannot go on", "panicked", "council's group failed"];

/// What a trial did.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Done {
    /// Processes that got SIGKILL while the job ran.
    pub(crate) kills: usize,
    /// Deeds in all.
    pub(crate) deeds: usize,
    /// Views of the job.
    pub(crate) views: usize,
    /// Lineages of views: how often everybody was gone, and one.
    pub(crate) lineages: u32,
    /// From the last deed to the word of all that the job has ended.
    pub(crate) recovered_in: Duration,
}

/// Runs `plan`.
pub(crate) async fn run(plan: &Plan, expected: &str) -> anyhow::Result<Done> {
    let mut fleet = Fleet::start(plan.daemons).await?;
    let mut diary = Vec::new();
    let outcome = attempt(plan, expected, &mut fleet, &mut diary).await;
    let outcome = outcome.and_then(|told| check_logs(&fleet).map(|()| told));
    outcome.with_context(|| {
        let logs = fleet.logs().into_iter().map(|(name, log)| format!("---- {name}\n{log}"));
        format!("what was done:\n{}\nlogs:\n{}", diary.join("\n"), logs.collect::<Vec<_>>().join("\n"))
    })
}

async fn attempt(
    plan: &Plan,
    expected: &str,
    fleet: &mut Fleet,
    diary: &mut Vec<String>,
) -> anyhow::Result<Done> {
    let nodes_min = u32::try_from(plan.daemons)?;
    let spec_toml = traind_integration::JobFile { nodes_min, ..plan.trained.job() }.toml();
    let first = fleet.running().next().context("a running daemon")?;
    let Response::JobSubmitted { job, .. } = first.ask(Request::job_submit(spec_toml)).await? else {
        bail!("not submitted");
    };
    let began = Instant::now();
    let mut done = Done::default();
    for (pause, deed) in plan.deeds() {
        fleet.pass(pause).await?;
        fleet.check_alive()?;
        if fleet.kills >= KILLS || fleet.has_ended(&job).await {
            break;
        }
        done.deeds += 1;
        let told = perform(fleet, deed).await.with_context(|| format!("{deed:?}"))?;
        diary.push(format!("{:6.3} s  {deed:?}: {told}", began.elapsed().as_secs_f64()));
    }
    done.kills = fleet.kills;
    fleet.recover().await.context("restarting all that were killed")?;
    let recovered = Instant::now();
    diary.push(format!("{:6.3} s  all run", began.elapsed().as_secs_f64()));
    let mut last = None;
    for daemon in fleet.running() {
        let detail = end_of(daemon.client(), &job).await;
        let detail = detail.with_context(|| format!("at {}", daemon.data_dir().display()))?;
        check(&detail, plan, expected).with_context(|| format!("{detail:#?}"))?;
        last = Some(detail);
    }
    fleet.check_alive()?;
    let detail = last.context("a running daemon")?;
    let (views, lineages) = (detail.views.len(), detail.incarnation);
    Ok(Done { views, lineages, recovered_in: recovered.elapsed(), ..done })
}

/// Does it, if there is anybody to do it to, and says to whom.
async fn perform(fleet: &mut Fleet, deed: Deed) -> anyhow::Result<String> {
    let choose = |from: &[usize], pick: u64| {
        let count = from.len() as u64;
        (count > 0).then(|| from[usize::try_from(pick % count).unwrap_or_default()])
    };
    let coordinator = match deed {
        Deed::KillWorker(_) | Deed::KillCoordinator | Deed::FreezeCoordinator(_) => fleet.coordinator().await,
        _ => None,
    };
    let mut living = fleet.living();
    let mut concerned = Vec::new();
    match deed {
        Deed::KillWorker(pick) => {
            living.retain(|&position| Some(position) != coordinator);
            concerned.extend(choose(&living, pick));
        }
        Deed::KillCoordinator | Deed::FreezeCoordinator(_) => concerned.extend(coordinator),
        Deed::KillTwo(pick) => {
            let one = choose(&living, pick);
            living.retain(|&position| Some(position) != one);
            concerned.extend(one.into_iter().chain(choose(&living, pick / 7)));
        }
        Deed::KillAll => concerned = living,
        Deed::Freeze(pick, _) | Deed::Hang(pick, _) => concerned.extend(choose(&living, pick)),
        Deed::Restart(pick) => concerned.extend(choose(&fleet.killed(), pick)),
        // A new daemon that finds nobody would found a swarm of its own.
        Deed::Add if fleet.len() < DAEMONS_MAX && fleet.running().next().is_some() => fleet.add().await?,
        Deed::Add => {}
    }
    for &position in &concerned {
        match deed {
            Deed::Freeze(_, time) | Deed::FreezeCoordinator(time) => fleet.freeze(position, time)?,
            Deed::Hang(_, time) => fleet.hang(position, time),
            Deed::Restart(_) => fleet.restart(position).await?,
            _ => fleet.kill(position)?,
        }
    }
    let names: Vec<String> = concerned.iter().map(|position| format!("node-{}", position + 1)).collect();
    Ok(names.join(", "))
}

/// Follows the job to its end, by the word of one daemon.
async fn end_of(client: Client, job: &str) -> anyhow::Result<JobDetail> {
    let following = async {
        loop {
            // A daemon that has just started may not know the job yet.
            if let Ok(mut events) = client.follow(job).await {
                while let Ok(event) = events.next().await {
                    if event.is_none() {
                        return;
                    }
                }
            }
            // Nothing tells that a daemon has learned of a job, or that one that was killed answers again.
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let ended = tokio::time::timeout(PATIENCE, following).await;
    let detail = client.call(&Request::JobShow { job: job.to_owned() }).await;
    if ended.is_err() {
        bail!("the job does not end: {detail:#?}");
    }
    match detail? {
        Response::JobDetail(detail) => Ok(detail),
        other => bail!("no job detail: {other:?}"),
    }
}

fn check(detail: &JobDetail, plan: &Plan, expected: &str) -> anyhow::Result<()> {
    anyhow::ensure!(detail.status == JobStatus::Finished, "the job is {:?}", detail.status);
    let steps = plan.trained.job().steps;
    anyhow::ensure!(detail.step == steps, "{} of {steps} steps", detail.step);
    let digest = detail.result.as_ref().map(|result| result.digest.as_str());
    anyhow::ensure!(digest == Some(expected), "digest {digest:?}, a single node has {expected}");
    let mut committed = 0;
    for range in &detail.committed {
        anyhow::ensure!(range.first_step == committed + 1, "ranges have a gap or an overlap: {range:?}");
        anyhow::ensure!(range.last_step >= range.first_step, "empty range: {range:?}");
        committed = range.last_step;
    }
    anyhow::ensure!(committed == steps, "ranges end at {committed}");
    Ok(())
}

fn check_logs(fleet: &Fleet) -> anyhow::Result<()> {
    for (name, log) in fleet.logs() {
        let alarm = log.lines().find(|line| ALARMS.iter().any(|alarm| line.contains(alarm)));
        anyhow::ensure!(alarm.is_none(), "{name} says {alarm:?}");
    }
    Ok(())
}
