//! Pure renderings of the ledger for the control socket.

use std::collections::{BTreeMap, BTreeSet};

use traind_actors::council::Published;
use traind_actors::session::SessionDescription;
use traind_p2p::PeerSnapshot;
use traind_protocol::ids::{JobId, NodeId};
use traind_protocol::ledger::{JobRecord, JobStatus as LedgerStatus, ViewChange};

use super::history::{History, JobHistory};
use crate::control::api::{
    CheckpointRow, Council, CouncilRole, Departure, FollowEvent, JobDetail, JobResult, JobRow, JobStatus,
    JobSummary, LossPoint, MemberRow, NodeRef, NodeRole, NodeRow, NumericClassRow, Status, StepRange,
    ViewRow, WorkRow, mixed_class_warnings,
};

fn refs(nodes: impl IntoIterator<Item = NodeId>) -> Vec<NodeRef> {
    nodes.into_iter().map(NodeRef::from).collect()
}

fn job_status(record: &JobRecord) -> JobStatus {
    match record.status {
        LedgerStatus::Queued => JobStatus::Queued,
        LedgerStatus::Running => JobStatus::Running,
        LedgerStatus::Done => JobStatus::Finished,
        LedgerStatus::Failed { .. } => JobStatus::Failed,
        LedgerStatus::Cancelled { .. } => JobStatus::Cancelled,
    }
}

/// Why a job waits, failed or was cancelled.
fn reason(published: &Published, record: &JobRecord) -> Option<String> {
    match &record.status {
        LedgerStatus::Queued => published.ledger.job_queue_reason(record.id, &published.live),
        LedgerStatus::Running => {
            published.why.get(&record.id).filter(|why| !why.is_empty()).map(|why| why.join("; "))
        }
        LedgerStatus::Done => None,
        LedgerStatus::Failed { reason } => Some(reason.clone()),
        LedgerStatus::Cancelled { by } => Some(format!("by trainctl on {}", by.friendly_name())),
    }
}

fn stable_step(record: &JobRecord, past: &JobHistory) -> u64 {
    record.committed_to().0.max(past.stable_step)
}

fn result(record: &JobRecord) -> Option<JobResult> {
    record.result.as_ref().map(|result| JobResult {
        digest: result.digest.to_hex(),
        chain: result.chain.to_hex(),
        test_correct: result.test_correct,
        test_total: result.test_total,
    })
}

/// One line of the list of jobs, for each job in the order of submission.
pub(super) fn jobs(published: &Published, history: &History) -> Vec<JobRow> {
    let mut records: Vec<&JobRecord> = published.ledger.jobs.values().collect();
    records.sort_by_key(|record| record.order);
    let row = |record: &JobRecord| {
        let past = history.job(record.id);
        JobRow {
            id: record.id.to_hex(),
            name: record.name.clone(),
            status: job_status(record),
            reason: reason(published, record),
            step: stable_step(record, &past),
            steps: record.plan.steps,
            loss: past.last_loss().or(record.result.as_ref().map(|result| result.loss)),
            nodes: count(record.view.as_ref().map_or(0, |view| view.members.len())),
            submitted_by: record.submitted_by.into(),
            checking: false,
        }
    };
    records.into_iter().map(row).collect()
}

fn count(value: usize) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// How the swarm is; the caller adds what it alone knows of its own daemon.
pub(super) fn status(published: &Published, history: &History, me: NodeId) -> Status {
    let seats =
        |seats: &BTreeSet<_>| refs(seats.iter().filter_map(|&seat| published.ledger.node_of_seat(seat)));
    let running = published.ledger.running_job().map(|record| {
        let past = history.job(record.id);
        JobSummary {
            id: record.id.to_hex(),
            name: record.name.clone(),
            status: job_status(record),
            step: stable_step(record, &past),
            steps: record.plan.steps,
            loss: past.last_loss(),
            epoch: record.view.as_ref().map_or(0, |view| view.epoch.0),
            members: count(record.view.as_ref().map_or(0, |view| view.members.len())),
        }
    });
    Status {
        node: me.into(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        swarm: None,
        coordinator: published.coordinator.map(NodeRef::from),
        term: published.term,
        council: Council { voters: seats(&published.voters), learners: seats(&published.learners) },
        nodes_live: count(published.ledger.nodes.keys().filter(|node| published.live.contains(node)).count()),
        nodes_known: count(published.ledger.nodes.len()),
        job: running,
        jobs_queued: count(published.ledger.queued_jobs().len()),
        device: String::new(),
        threads: 0,
        numeric_class: String::new(),
        addresses: Vec::new(),
        data_dir: String::new(),
        uptime_ms: 0,
        counters: BTreeMap::new(),
    }
}

/// All nodes of the ledger, sorted by name.
pub(super) fn nodes(
    published: &Published,
    history: &History,
    peers: &[PeerSnapshot],
    me: NodeId,
) -> Vec<NodeRow> {
    let running = published.ledger.running_job();
    let past = running.map(|record| history.job(record.id)).unwrap_or_default();
    let mut rows: Vec<NodeRow> = published
        .ledger
        .nodes
        .values()
        .map(|record| {
            let node = record.node;
            let work = past.work.get(&(node, record.boot)).copied().unwrap_or_default();
            let peer = peers.iter().find(|peer| peer.node == node);
            let member =
                running.and_then(|job| job.view.as_ref()).and_then(|view| view.member(record.life()));
            let is_in_council = |seats: &BTreeSet<_>| seats.contains(&record.seat);
            NodeRow {
                name: node.friendly_name(),
                id: node.to_hex(),
                role: role(
                    published,
                    running,
                    node,
                    member.is_some_and(|member| running.is_some_and(|job| job.is_synced(member))),
                ),
                council: match (is_in_council(&published.voters), is_in_council(&published.learners)) {
                    (true, _) => CouncilRole::Voter,
                    (false, true) => CouncilRole::Learner,
                    (false, false) => CouncilRole::None,
                },
                in_view: member.is_some(),
                seat: record.seat.0,
                boot: record.boot.0,
                address: peer.map(|peer| peer.address.clone()),
                numeric_class: record.numeric_class.clone(),
                device: record.device.clone(),
                job_step: member.is_some().then_some(past.stable_step),
                microbatches_computed: work.microbatches_computed,
                exchange_bytes_sent: work.exchange_bytes_sent,
                last_heard_ms: peer.filter(|_peer| node != me).map(|peer| peer.heartbeat_age_ms),
                version: None,
                drain: None,
            }
        })
        .collect();
    rows.sort_by(|one, two| one.name.cmp(&two.name));
    rows
}

fn role(published: &Published, running: Option<&JobRecord>, node: NodeId, is_synced: bool) -> NodeRole {
    if !published.live.contains(&node) {
        return NodeRole::Down;
    }
    if published.coordinator == Some(node) {
        return NodeRole::Coordinator;
    }
    match running.and_then(|job| job.view.as_ref()) {
        None => NodeRole::Idle,
        Some(view) if view.member_on(node).is_none() => NodeRole::Spare,
        Some(_) if is_synced => NodeRole::Member,
        Some(_) => NodeRole::Joining,
    }
}

/// Everything about one job.
pub(super) fn job_detail(
    published: &Published,
    job: JobId,
    past: &JobHistory,
    session: Option<&SessionDescription>,
) -> Option<JobDetail> {
    let record = published.ledger.jobs.get(&job)?;
    let view = record.view.as_ref();
    let views = view_rows(published, record);
    let mut warnings = mixed_class_warnings(&views);
    warnings.extend(
        session
            .iter()
            .flat_map(|session| session.refused.iter())
            .map(|(reason, count)| format!("this node refused {count} messages of peers: {reason}")),
    );
    Some(JobDetail {
        id: record.id.to_hex(),
        name: record.name.clone(),
        status: job_status(record),
        reason: reason(published, record),
        step: stable_step(record, past),
        steps: record.plan.steps,
        micro_batches: record.plan.microbatches,
        loss: past.last_loss().or(record.result.as_ref().map(|result| result.loss)),
        losses: past.loss_points(),
        submitted_by: record.submitted_by.into(),
        incarnation: view.map_or(0, |view| view.incarnation.0),
        epoch: view.map_or(0, |view| view.epoch.0),
        members: members(record),
        spares: spares(published, record),
        work: work(published, past),
        numeric_classes: numeric_classes(published, record),
        views,
        checkpoints: checkpoint_rows(record),
        committed: committed(record),
        warnings,
        result: result(record),
        spec_toml: record.spec_toml.clone(),
        checking: false,
        evaluations: Vec::new(),
        learning_rate: None,
        gradient_norm: None,
        pause: None,
        refusal: None,
        data: None,
        from: None,
        kept_out: Vec::new(),
    })
}

fn members(record: &JobRecord) -> Vec<MemberRow> {
    let Some(view) = &record.view else { return Vec::new() };
    let row = |member: &traind_protocol::view::Member| MemberRow {
        node: member.node.into(),
        boot: member.boot.0,
        tenure: member.tenure.0,
        synced: record.is_synced(member),
        microbatches_leased: view.lease(member.node).len(),
        parts_owned: count(
            (0..count(view.owners.len())).filter(|&part| view.owner(part) == Some(member.node)).count(),
        ),
    };
    view.members.iter().map(row).collect()
}

fn spares(published: &Published, record: &JobRecord) -> Vec<NodeRef> {
    let Some(view) = record.view.as_ref().filter(|_view| record.status == LedgerStatus::Running) else {
        return Vec::new();
    };
    refs(
        published
            .ledger
            .nodes
            .keys()
            .copied()
            .filter(|&node| published.live.contains(&node) && view.member_on(node).is_none()),
    )
}

fn work(published: &Published, past: &JobHistory) -> Vec<WorkRow> {
    let row = |(&(node, boot), work): (
        &(NodeId, traind_protocol::ids::Boot),
        &traind_protocol::wire::control::WorkCounters,
    )| {
        let registered = published.ledger.nodes.get(&node).is_some_and(|record| record.boot == boot);
        WorkRow {
            node: node.into(),
            boot: boot.0,
            live: registered && published.live.contains(&node),
            microbatches_computed: work.microbatches_computed,
            microbatches_taken_over: work.microbatches_taken_over,
            exchange_bytes_sent: work.exchange_bytes_sent,
            steps_applied: work.steps_applied,
        }
    };
    past.work.iter().map(row).collect()
}

fn numeric_classes(published: &Published, record: &JobRecord) -> Vec<NumericClassRow> {
    let mut classes: BTreeMap<&str, Vec<NodeRef>> = BTreeMap::new();
    for member in record.view.iter().flat_map(|view| &view.members) {
        if let Some(node) = published.ledger.nodes.get(&member.node) {
            classes.entry(&node.numeric_class).or_default().push(member.node.into());
        }
    }
    classes.into_iter().map(|(class, nodes)| NumericClassRow { class: class.to_owned(), nodes }).collect()
}

fn view_rows(published: &Published, record: &JobRecord) -> Vec<ViewRow> {
    let mut earlier: Option<&ViewChange> = None;
    let mut rows = Vec::new();
    for change in &record.view_changes {
        let nodes =
            |change: &ViewChange| change.members.iter().map(|member| member.node).collect::<BTreeSet<_>>();
        let (now, before) = (nodes(change), earlier.map(nodes).unwrap_or_default());
        let classes: BTreeSet<String> = now
            .iter()
            .filter_map(|node| published.ledger.nodes.get(node))
            .map(|node| node.numeric_class.clone())
            .collect();
        let left = before.difference(&now).map(|&node| Departure {
            node: node.into(),
            reason: departure_reason(node, &change.reason),
            work: format!(
                "its micro-batches of step {} and all later ones went to the {} that stayed",
                change.stable_step + 1,
                match now.len() {
                    1 => "node".to_owned(),
                    several => format!("{several} nodes"),
                }
            ),
        });
        rows.push(ViewRow {
            incarnation: change.incarnation.0,
            epoch: change.epoch.0,
            step: change.stable_step,
            reason: change.reason.clone(),
            members: refs(now.iter().copied()),
            joined: refs(now.difference(&before).copied()),
            left: left.collect(),
            numeric_classes: classes.into_iter().collect(),
        });
        earlier = Some(change);
    }
    rows
}

/// Of the reasons of a view change the one that `node` left for, without its name; all of them if none names it.
fn departure_reason(node: NodeId, reasons: &str) -> String {
    let name = format!("{} ", node.friendly_name());
    reasons.split("; ").find_map(|reason| reason.strip_prefix(&name)).unwrap_or(reasons).to_owned()
}

fn committed(record: &JobRecord) -> Vec<StepRange> {
    let incarnation_of = |epoch| {
        let change = record.view_changes.iter().find(|change| change.epoch == epoch);
        change.map_or(0, |change| change.incarnation.0)
    };
    let range = |range: &traind_protocol::ledger::CommittedRange| StepRange {
        incarnation: incarnation_of(range.epoch),
        epoch: range.epoch.0,
        first_step: range.from_step + 1,
        last_step: range.to_step,
    };
    record.committed.iter().map(range).collect()
}

fn checkpoint_rows(record: &JobRecord) -> Vec<CheckpointRow> {
    let row = |entry: &traind_protocol::ledger::CheckpointEntry| CheckpointRow {
        job: record.id.to_hex(),
        job_name: record.name.clone(),
        step: entry.step,
        digest: entry.digest.to_hex(),
        chain: entry.chain.to_hex(),
        bytes: entry.bytes,
        holders: refs(entry.holders.iter().copied()),
    };
    record.checkpoints.iter().map(row).collect()
}

/// Checkpoints of one job or of all.
pub(super) fn checkpoints(published: &Published, job: Option<JobId>) -> Vec<CheckpointRow> {
    let wanted = published.ledger.jobs.values().filter(|record| job.is_none_or(|job| job == record.id));
    wanted.flat_map(checkpoint_rows).collect()
}

/// How far a job is, with losses of the steps after `losses_from`.
pub(super) fn progress(
    published: &Published,
    record: &JobRecord,
    past: &JobHistory,
    losses_from: u64,
) -> FollowEvent {
    let losses = past.losses.range(losses_from + 1..).map(|(&step, &loss)| LossPoint { step, loss });
    FollowEvent::Progress {
        job: record.id.to_hex(),
        status: job_status(record),
        reason: reason(published, record),
        stable_step: stable_step(record, past),
        steps: record.plan.steps,
        loss: past.last_loss(),
        losses: losses.collect(),
        epoch: record.view.as_ref().map_or(0, |view| view.epoch.0),
        members: refs(record.view.iter().flat_map(|view| view.members.iter().map(|member| member.node))),
        checking: false,
        learning_rate: None,
        gradient_norm: None,
        evaluation: None,
        pause: None,
    }
}

/// A view of the history as an event.
pub(super) fn view_changed(record: &JobRecord, change: &ViewChange) -> FollowEvent {
    FollowEvent::ViewChanged {
        job: record.id.to_hex(),
        epoch: change.epoch.0,
        step: change.stable_step,
        reason: change.reason.clone(),
        members: refs(change.members.iter().map(|member| member.node)),
    }
}

/// The end of a job as an event.
pub(super) fn ended(published: &Published, record: &JobRecord) -> FollowEvent {
    FollowEvent::Ended {
        job: record.id.to_hex(),
        status: job_status(record),
        reason: reason(published, record),
        result: result(record),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_departure_has_its_own_reason_without_the_name() {
        let (gone, other) = (NodeId([1; 32]), NodeId([2; 32]));
        let (name, other_name) = (gone.friendly_name(), other.friendly_name());
        let both = format!("{other_name} joined; {name} died: its process is gone: connection closed");
        assert_eq!(departure_reason(gone, &both), "died: its process is gone: connection closed");
        assert_eq!(departure_reason(gone, "founded anew"), "founded anew");
    }
}
