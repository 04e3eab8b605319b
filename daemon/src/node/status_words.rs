//! What the daemon is doing, in one line: for `systemctl status`.

use traind_actors::council::Published;
use traind_protocol::ids::NodeId;
use traind_protocol::ledger::JobRecord;

use super::history::History;

/// One line of words, as `training lenet-digits: step 812/2000 on 4 nodes`.
pub(super) fn status_words(published: &Published, history: &History, me: NodeId) -> String {
    let nodes = match published.live.len() {
        1 => "alone".to_owned(),
        count => format!("{count} nodes"),
    };
    if published.ledger.nodes.is_empty() {
        return "looking for a swarm to join".to_owned();
    }
    if published.coordinator.is_none() {
        return format!("{nodes}, no coordinator is elected");
    }
    match published.ledger.running_job() {
        Some(job) => running(job, history, me),
        None => match published.ledger.queued_jobs().len() {
            0 => format!("idle, {nodes}"),
            queued => format!("idle, {nodes}, {queued} jobs wait"),
        },
    }
}

fn running(job: &JobRecord, history: &History, me: NodeId) -> String {
    let step = job.committed_to().0.max(history.job(job.id).stable_step);
    let Some(view) = &job.view else { return format!("starting {}", job.name) };
    let count = view.members.len();
    let on = if count == 1 { "1 node".to_owned() } else { format!("{count} nodes") };
    let doing = match view.member_on(me) {
        None => "spare of",
        Some(member) if !job.is_synced(member) => "joining",
        Some(_) if job.pausing.is_some() => "pausing",
        Some(_) => "training",
    };
    format!("{doing} {}: step {step}/{} on {on}", job.name, job.plan.steps)
}
