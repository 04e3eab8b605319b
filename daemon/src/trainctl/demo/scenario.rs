//! One job from its submission to its result, with the disturbances of the demo on the way.

use super::super::chart::Mark;
use super::super::daemon_process::DaemonProcess;
use super::super::failure::Failure;
use super::super::follow::{Ending, TICK, lost};
use super::super::progress::JobProgress;
use super::super::render;
use super::super::screen::Screen;
use super::super::verbs::unexpected;
use super::cluster::Cluster;
use crate::control::Client;
use crate::control::api::{FollowEvent, JobDetail, JobResult, JobStatus, NodeRef, Request, Response};
use crate::exit_code;
use crate::ready::ReadyLine;

/// When a daemon is killed, in thousandths of the steps.
const KILL_PERMILLE: u64 = 350;

/// When a new one is started.
const JOIN_PERMILLE: u64 = 600;

/// What happens while the job runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Disturbance {
    /// Nothing.
    None,
    /// One daemon is killed, later another joins.
    KillAndJoin,
}

/// A job that has finished.
#[derive(Clone, Debug)]
pub(super) struct Trained {
    /// Everything that the daemons tell about it.
    pub(super) detail: JobDetail,
    /// Its result.
    pub(super) result: JobResult,
    /// Who was killed.
    pub(super) killed: Option<NodeRef>,
    /// Who was started on the way and became a member.
    pub(super) joined: Option<NodeRef>,
    /// The loss curve as text.
    pub(super) chart: String,
}

/// What happened so far.
#[derive(Debug, Default)]
struct Course {
    progress: JobProgress,
    killed: Option<NodeRef>,
    newcomer: Option<DaemonProcess>,
    has_started_newcomer: bool,
    newcomer_node: Option<String>,
    has_told_joined: bool,
}

/// Submits the job at the cluster's first daemon, follows it, disturbs it, and asks what became of everything.
pub(super) async fn train(
    cluster: &mut Cluster,
    spec_toml: &str,
    disturbance: Disturbance,
    screen: &mut Screen,
) -> Result<Trained, Failure> {
    match submit_and_follow(cluster, spec_toml, disturbance, screen).await {
        Ok(trained) => Ok(trained),
        Err(failure) => Err(cluster.explain(failure).await),
    }
}

async fn submit_and_follow(
    cluster: &mut Cluster,
    spec_toml: &str,
    disturbance: Disturbance,
    screen: &mut Screen,
) -> Result<Trained, Failure> {
    let client = cluster.client()?;
    let job = match client.call(&Request::job_submit(spec_toml)).await? {
        Response::JobSubmitted { job, name } => {
            screen.say(&format!("  submitted {name} as {job}"))?;
            job
        }
        other => return Err(unexpected(&other)),
    };
    let mut course = Course::default();
    let ending = follow(cluster, &client, &job, disturbance, &mut course, screen).await?;
    let chart = screen.chart(&course.progress);
    screen.close();
    let result = match (ending.status, ending.result) {
        (JobStatus::Finished, Some(result)) => result,
        (_, _) => {
            let reason = ending.reason.unwrap_or_else(|| "without a reason".into());
            return Err(
                Failure::new(exit_code::FAILED, format!("the demo's job {job} failed")).because(reason)
            );
        }
    };
    screen.say(&format!("  {} all {} steps", screen.palette.green("done:"), course.progress.steps))?;
    let detail = match client.call(&Request::JobShow { job }).await? {
        Response::JobDetail(detail) => detail,
        other => return Err(unexpected(&other)),
    };
    let joined = newcomer_in_views(cluster, &mut course, &detail).await?;
    Ok(Trained { detail, result, killed: course.killed, joined, chart })
}

async fn follow(
    cluster: &mut Cluster,
    client: &Client,
    job: &str,
    disturbance: Disturbance,
    course: &mut Course,
    screen: &mut Screen,
) -> Result<Ending, Failure> {
    let mut events = client.follow(job).await?;
    let mut tick = tokio::time::interval(TICK);
    loop {
        let event = tokio::select! {
            event = events.next() => event?,
            line = newcomer_ready(&mut course.newcomer) => {
                admit(cluster, course, line?);
                continue;
            }
            _ = tick.tick() => {
                if let Some(failure) = cluster.failed_daemon() {
                    return Err(failure);
                }
                screen.progress(&course.progress);
                continue;
            }
        };
        let event = event.ok_or_else(|| lost(client))?;
        course.progress.apply(&event);
        tell(&event, course, screen)?;
        screen.progress(&course.progress);
        if let Some(ending) = Ending::of(&event) {
            return Ok(ending);
        }
        if disturbance == Disturbance::KillAndJoin {
            disturb(cluster, client, course, screen).await?;
        }
    }
}

/// The newcomer, if it was in any view. It may be a member before its ready line was read.
async fn newcomer_in_views(
    cluster: &mut Cluster,
    course: &mut Course,
    detail: &JobDetail,
) -> Result<Option<NodeRef>, Failure> {
    if course.newcomer.is_some() {
        let line = newcomer_ready(&mut course.newcomer).await?;
        admit(cluster, course, line);
    }
    let members = detail.views.iter().flat_map(|view| &view.members);
    Ok(members.into_iter().find(|member| Some(&member.id) == course.newcomer_node.as_ref()).cloned())
}

/// Waits for the newcomer, for ever if there is none.
async fn newcomer_ready(newcomer: &mut Option<DaemonProcess>) -> Result<ReadyLine, Failure> {
    match newcomer {
        Some(daemon) => daemon.ready().await,
        None => std::future::pending().await,
    }
}

/// The newcomer is ready: it is a daemon of the cluster like the others.
fn admit(cluster: &mut Cluster, course: &mut Course, line: ReadyLine) {
    course.newcomer_node = Some(line.node);
    cluster.daemons.extend(course.newcomer.take());
}

fn tell(event: &FollowEvent, course: &mut Course, screen: &mut Screen) -> Result<(), Failure> {
    let (FollowEvent::ViewChanged { members, .. } | FollowEvent::Progress { members, .. }) = event else {
        return Ok(());
    };
    if let Some(line) = render::event(event) {
        screen.say(&render::wrap(&format!("  {line}"), 4))?;
    }
    if !course.has_told_joined
        && let Some(node) = members.iter().find(|member| Some(&member.id) == course.newcomer_node.as_ref())
    {
        let name = screen.palette.green(&node.name);
        screen.say(&format!("  step {}: {name} is a member now", course.progress.step))?;
        course.has_told_joined = true;
    }
    Ok(())
}

/// Kills or starts a daemon if it is time to.
async fn disturb(
    cluster: &mut Cluster,
    client: &Client,
    course: &mut Course,
    screen: &mut Screen,
) -> Result<(), Failure> {
    let step = course.progress.step;
    if course.killed.is_none()
        && course.progress.permille() >= KILL_PERMILLE
        && let Some(node) = kill_one(cluster, client).await?
    {
        let name = screen.palette.red(&node.name);
        screen.say(&format!("  step {step}: killed {name} with SIGKILL, in the middle of a step"))?;
        screen.marks.push(Mark { step, sign: 'x' });
        course.killed = Some(node);
    }
    if !course.has_started_newcomer && course.progress.permille() >= JOIN_PERMILLE {
        course.has_started_newcomer = true;
        course.newcomer = Some(cluster.spawn_newcomer()?);
        screen.say(&format!("  step {step}: started a new daemon, which is to join"))?;
        screen.marks.push(Mark { step, sign: '+' });
    }
    Ok(())
}

/// Kills a member that is neither the coordinator nor the daemon that is followed. `None`: no such member just now.
async fn kill_one(cluster: &mut Cluster, client: &Client) -> Result<Option<NodeRef>, Failure> {
    let Response::Status(status) = client.call(&Request::Status).await? else { return Ok(None) };
    let Response::NodeList { nodes } = client.call(&Request::NodeList).await? else { return Ok(None) };
    let Some(coordinator) = status.coordinator else { return Ok(None) };
    let is_victim = |daemon: &&mut DaemonProcess| {
        let in_view = |node: &str| nodes.iter().any(|row| row.id == node && row.in_view);
        daemon.node().is_some_and(|node| node != coordinator.id && in_view(node))
    };
    let Some(victim) = cluster.daemons.iter_mut().skip(1).find(is_victim) else { return Ok(None) };
    let node = nodes.iter().find(|row| Some(row.id.as_str()) == victim.node());
    let killed = node.map(|row| NodeRef { name: row.name.clone(), id: row.id.clone() });
    victim.kill().map_err(|error| {
        Failure::new(exit_code::FAILED, "cannot kill a daemon of the demo").because(error.to_string())
    })?;
    Ok(killed)
}
