//! What happened between two sights of the ledger, in words: the source of `trainctl events` and `job logs`.

use std::collections::BTreeSet;

use traind_actors::council::Published;
use traind_protocol::ids::{JobId, NodeId};
use traind_protocol::ledger::{JobRecord, JobStatus};

use crate::control::api::EventKind;

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LedgerEvent {
    /// Its kind, for programs.
    pub(super) kind: EventKind,
    /// A sentence for people.
    pub(super) message: String,
    /// The node that it is about.
    pub(super) node: Option<NodeId>,
    /// The job that it is about.
    pub(super) job: Option<JobId>,
    /// Stable steps of the job then.
    pub(super) step: Option<u64>,
}

impl LedgerEvent {
    pub(super) fn of_node(kind: EventKind, node: NodeId, message: String) -> Self {
        Self { kind, message, node: Some(node), job: None, step: None }
    }

    pub(super) fn of_job(kind: EventKind, record: &JobRecord, step: u64, message: String) -> Self {
        Self { kind, message, node: None, job: Some(record.id), step: Some(step) }
    }
}

/// Everything that `after` shows and `before` did not, nodes first, then jobs in the order of their submission.
pub(super) fn between(before: &Published, after: &Published) -> Vec<LedgerEvent> {
    let mut events = Vec::new();
    nodes(before, after, &mut events);
    super::council_events::councils(&before.ledger, &after.ledger, &mut events);
    super::store_events::verdicts(&before.ledger, &after.ledger, &mut events);
    let mut records: Vec<&JobRecord> = after.ledger.jobs.values().collect();
    records.sort_by_key(|record| record.order);
    for record in records {
        job(before.ledger.jobs.get(&record.id), record, &mut events);
        rollbacks(before, after, record, &mut events);
    }
    events
}

fn nodes(before: &Published, after: &Published, events: &mut Vec<LedgerEvent>) {
    for (&node, record) in &after.ledger.nodes {
        let name = node.friendly_name();
        let known = before.ledger.nodes.get(&node);
        match known {
            None => {
                events.push(LedgerEvent::of_node(EventKind::NodeJoined, node, format!("{name} was admitted")))
            }
            Some(known) if known.boot != record.boot => {
                let message = format!("{name} came back as a new process");
                events.push(LedgerEvent::of_node(EventKind::NodeJoined, node, message));
            }
            Some(_) => {}
        }
        let drain_before = known.and_then(|known| known.drain.as_ref());
        match (drain_before, record.drain.as_ref()) {
            (None, Some(drain)) => {
                let message = format!("{name} drains: {}", drain.reason);
                events.push(LedgerEvent::of_node(EventKind::NodeDraining, node, message));
            }
            (Some(_), None) => {
                let message = format!("{name} takes work again");
                events.push(LedgerEvent::of_node(EventKind::NodeUndrained, node, message));
            }
            _ => {}
        }
    }
    for &node in before.ledger.nodes.keys().filter(|node| !after.ledger.nodes.contains_key(node)) {
        let message = format!("{} left the swarm", node.friendly_name());
        events.push(LedgerEvent::of_node(EventKind::NodeLeft, node, message));
    }
    connections(&before.live, &after.live, events);
    if let Some(node) = after.coordinator.filter(|_node| before.coordinator != after.coordinator) {
        let message = format!("{} coordinates (term {})", node.friendly_name(), after.term);
        events.push(LedgerEvent::of_node(EventKind::CoordinatorElected, node, message));
    }
}

fn connections(before: &BTreeSet<NodeId>, after: &BTreeSet<NodeId>, events: &mut Vec<LedgerEvent>) {
    for &node in after.difference(before) {
        let message = format!("{} is connected", node.friendly_name());
        events.push(LedgerEvent::of_node(EventKind::NodeUp, node, message));
    }
    for &node in before.difference(after) {
        let message = format!("{} is not connected any more", node.friendly_name());
        events.push(LedgerEvent::of_node(EventKind::NodeDown, node, message));
    }
}

fn job(before: Option<&JobRecord>, after: &JobRecord, events: &mut Vec<LedgerEvent>) {
    let step = after.committed_to().0;
    let name = &after.name;
    if before.is_none() {
        let message = format!("{name} was submitted on {}", after.submitted_by.friendly_name());
        events.push(LedgerEvent::of_job(EventKind::JobSubmitted, after, step, message));
    }
    let seen_epoch = before.and_then(|job| job.view_changes.last()).map(|change| change.epoch);
    for change in after.view_changes.iter().filter(|change| Some(change.epoch) > seen_epoch) {
        let names: Vec<String> = change.members.iter().map(|member| member.node.friendly_name()).collect();
        let message =
            format!("{name}: view {}: {} ({})", change.epoch.count(), names.join(", "), change.reason);
        events.push(LedgerEvent::of_job(EventKind::ViewChanged, after, change.stable_step, message));
    }
    let seen = before.and_then(|job| job.evaluations.last()).map(|entry| entry.step);
    for entry in after.evaluations.iter().filter(|entry| Some(entry.step) > seen) {
        let totals = &entry.totals;
        let message = format!(
            "{name}: tested after step {}: {} of {} right, loss {:.4}",
            entry.step, totals.correct, totals.total, totals.loss
        );
        events.push(LedgerEvent::of_job(EventKind::Evaluated, after, entry.step, message));
    }
    let seen = before.and_then(|job| job.checkpoints.last()).map(|entry| entry.step);
    for entry in after.checkpoints.iter().filter(|entry| Some(entry.step) > seen) {
        let message = format!("{name}: checkpoint of step {} on {} nodes", entry.step, entry.holders.len());
        events.push(LedgerEvent::of_job(EventKind::Checkpoint, after, entry.step, message));
    }
    if let Some(before) = before {
        super::store_events::copies(before, after, events);
    }
    let failures_before = before.map_or(0, |job| job.failed_microbatches.len());
    for failure in after.failed_microbatches.iter().skip(failures_before) {
        let message = format!(
            "{name}: micro-batch {} of step {} failed on {}: {}",
            failure.microbatch,
            failure.step,
            failure.node.friendly_name(),
            failure.reason
        );
        events.push(LedgerEvent::of_job(EventKind::MicrobatchFailed, after, step, message));
    }
    events.extend(statuses(before, after, step));
}

/// What became of a job's status. One sight of the ledger may show several commands at once: what lies between is told.
fn statuses(before: Option<&JobRecord>, after: &JobRecord, step: u64) -> Vec<LedgerEvent> {
    let name = &after.name;
    let has_changed = before.is_none_or(|job| (&job.status, job.pausing) != (&after.status, after.pausing));
    if !has_changed {
        return Vec::new();
    }
    let mut events = Vec::new();
    // A job may fail without having run again.
    let has_failed = matches!(after.status, JobStatus::Failed { .. })
        && before.is_some_and(|before| before.epochs < after.epochs);
    let goes_on =
        has_failed || matches!(after.status, JobStatus::Queued | JobStatus::Running | JobStatus::Done);
    if goes_on && before.is_some_and(|job| matches!(job.status, JobStatus::Paused { .. })) {
        let message = format!("{name} goes on when its turn comes");
        events.push(LedgerEvent::of_job(EventKind::JobResumed, after, step, message));
    }
    let has_run = has_failed
        || matches!(after.status, JobStatus::Done)
        || (after.status == JobStatus::Running && after.pausing.is_some());
    if has_run && before.is_none_or(|job| job.status != JobStatus::Running) {
        events.push(LedgerEvent::of_job(EventKind::JobStarted, after, step, format!("{name} runs")));
    }
    events.extend(status(after, step));
    events
}

/// Jobs that people took back.
fn rollbacks(before: &Published, after: &Published, record: &JobRecord, events: &mut Vec<LedgerEvent>) {
    let Some(keeping) = after.ledger.keeping.get(&record.id) else { return };
    let seen = before.ledger.keeping.get(&record.id).and_then(|keeping| keeping.rollbacks.last());
    let last = keeping.rollbacks.last().filter(|last| Some(*last) != seen);
    if let Some(rollback) = last {
        let message = format!(
            "{} was taken back from step {} to step {} on {}",
            record.name,
            rollback.from_step,
            rollback.to_step,
            rollback.by.friendly_name()
        );
        events.push(LedgerEvent::of_job(EventKind::JobRolledBack, record, rollback.to_step, message));
    }
}

fn status(record: &JobRecord, step: u64) -> Option<LedgerEvent> {
    let name = &record.name;
    let (kind, message) = match (&record.status, record.pausing) {
        (JobStatus::Queued, _) => return None,
        (JobStatus::Running, Some(by)) => {
            (EventKind::JobPausing, format!("{name} pauses, asked for on {}", by.friendly_name()))
        }
        (JobStatus::Running, None) => (EventKind::JobStarted, format!("{name} runs")),
        (JobStatus::Paused { by }, _) => (
            EventKind::JobPaused,
            format!("{name} is paused after step {step}, asked for on {}", by.friendly_name()),
        ),
        (JobStatus::Done, _) => (EventKind::JobFinished, format!("{name} has done all {step} steps")),
        (JobStatus::Failed { reason }, _) => (EventKind::JobFailed, format!("{name} failed: {reason}")),
        (JobStatus::Refused { by, reason }, _) => {
            (EventKind::JobRefused, format!("{name} was refused by {}: {reason}", by.friendly_name()))
        }
        (JobStatus::Cancelled { by }, _) => {
            (EventKind::JobCancelled, format!("{name} was cancelled on {}", by.friendly_name()))
        }
    };
    Some(LedgerEvent::of_job(kind, record, step, message))
}

#[cfg(test)]
mod tests {
    use traind_protocol::ids::{Chain, NodeId};
    use traind_protocol::ledger::{JobPlan, Ledger, LedgerCommand};

    use super::*;

    fn job() -> anyhow::Result<JobRecord> {
        let plan = JobPlan {
            microbatches: 1,
            microbatch_size: 1,
            parts: 1,
            steps: 100,
            may_end_early: false,
            checkpoint_every: 10,
            checkpoint_keep: 2,
            checkpoint_replicas: 1,
            nodes_min: 1,
            nodes_max: 8,
            genesis: Chain([0; 32]),
            state_bytes: 1,
        };
        let mut ledger = Ledger::default();
        let id = JobId([1; 8]);
        let command = LedgerCommand::SubmitJob {
            id,
            name: "told".to_owned(),
            spec_toml: String::new(),
            plan,
            data_digest: [0; 32],
            initial: None,
            by: NodeId([1; 32]),
            rules: Default::default(),
        };
        ledger.apply_command(1, command)?;
        ledger.jobs.remove(&id).ok_or_else(|| anyhow::anyhow!("it was submitted"))
    }

    #[test]
    fn what_one_sight_of_the_ledger_passed_over_is_told() -> anyhow::Result<()> {
        let by = NodeId([2; 32]);
        let paused = JobStatus::Paused { by };
        let told = |before: &JobStatus, after: &JobStatus, pausing: Option<NodeId>| {
            let (mut old, mut new) = (job()?, job()?);
            (old.status, new.status, new.pausing) = (before.clone(), after.clone(), pausing);
            new.epochs = u64::from(matches!(after, JobStatus::Failed { .. }));
            let events = statuses(Some(&old), &new, 7);
            anyhow::Ok(events.into_iter().map(|event| event.kind).collect::<Vec<_>>())
        };
        use EventKind::{
            JobCancelled, JobFailed, JobFinished, JobPaused, JobPausing, JobResumed, JobStarted,
        };
        assert_eq!(told(&paused, &JobStatus::Queued, None)?, [JobResumed]);
        assert_eq!(told(&paused, &JobStatus::Running, None)?, [JobResumed, JobStarted]);
        assert_eq!(told(&paused, &JobStatus::Running, Some(by))?, [JobResumed, JobStarted, JobPausing]);
        assert_eq!(told(&paused, &JobStatus::Done, None)?, [JobResumed, JobStarted, JobFinished]);
        assert_eq!(told(&paused, &JobStatus::Cancelled { by }, None)?, [JobCancelled]);
        let failed = JobStatus::Failed { reason: String::new() };
        assert_eq!(told(&paused, &failed, None)?, [JobResumed, JobStarted, JobFailed]);
        assert_eq!(told(&JobStatus::Running, &failed, None)?, [JobFailed]);
        assert_eq!(told(&JobStatus::Queued, &JobStatus::Done, None)?, [JobStarted, JobFinished]);
        assert_eq!(told(&JobStatus::Running, &JobStatus::Done, None)?, [JobFinished]);
        assert_eq!(told(&JobStatus::Running, &JobStatus::Running, Some(by))?, [JobPausing]);
        assert_eq!(told(&JobStatus::Running, &paused, None)?, [JobPaused]);
        assert_eq!(told(&paused, &paused, None)?, []);
        Ok(())
    }
}
