//! What a job waits for, as this node knows it.

use traind_actors::council::Published;
use traind_actors::session::SessionDescription;
use traind_protocol::ids::{JobId, Millis, NodeId};
use traind_protocol::index_set::IndexSet;
use traind_protocol::ledger::{JobRecord, JobStatus as LedgerStatus};
use traind_protocol::sync::SyncWait;
use traind_protocol::wire::control::JobWait;

use super::super::history::JobHistory;
use super::{count, job_status, reason, refs, stable_step};
use crate::control::api::{CouncilStandstill, JobWhy, MissingNode, NodeRef, WaitRow};

/// What `job` waits for at `now`, on this daemon's clock.
pub(in crate::node) fn job_why(
    published: &Published,
    job: JobId,
    past: &JobHistory,
    session: Option<&SessionDescription>,
    me: NodeId,
    now: Millis,
) -> Option<JobWhy> {
    let record = published.ledger.jobs.get(&job)?;
    let age_ms = now.since(published.why.told_at);
    let told = published.why.jobs.get(&job).filter(|_| !record.has_ended());
    let is_own = published.why.told_by == Some(me);
    Some(JobWhy {
        id: record.id.to_hex(),
        name: record.name.clone(),
        status: job_status(record),
        step: stable_step(record, past),
        steps: record.plan.steps,
        coordinator: published.coordinator.map(NodeRef::from),
        waits: told.map_or_else(
            || by_ledger(published, record),
            |waits| waits.iter().map(|wait| row(wait, age_ms)).collect(),
        ),
        told_ms: told.filter(|_| !is_own).map(|_| age_ms),
        here: session.map(|session| here(session, now)).unwrap_or_default(),
        missing: missing(published, record, now),
        council: standstill(published, record, now),
    })
}

/// Where the coordinator has said nothing: what the ledger says by itself.
fn by_ledger(published: &Published, record: &JobRecord) -> Vec<WaitRow> {
    let what = match &record.status {
        LedgerStatus::Done => Some("nothing: it is done".to_owned()),
        LedgerStatus::Running if published.coordinator.is_none() => None,
        LedgerStatus::Running => Some("the coordinator's first word on it, due within a second".to_owned()),
        _ => reason(published, record),
    };
    what.into_iter().map(|what| WaitRow { what, since_ms: None, ends_in_ms: None, then: None }).collect()
}

fn row(wait: &JobWait, age_ms: u64) -> WaitRow {
    WaitRow {
        what: wait.what.clone(),
        since_ms: wait.since_ms.map(|since_ms| since_ms + age_ms),
        ends_in_ms: wait.ends.as_ref().map(|end| end.in_ms.saturating_sub(age_ms)),
        then: wait.ends.as_ref().map(|end| end.then.clone()),
    }
}

fn here(session: &SessionDescription, now: Millis) -> Vec<WaitRow> {
    let since_ms = Some(now.since(session.sync.since));
    let row = |(what, then): (String, &str)| WaitRow {
        what,
        since_ms,
        ends_in_ms: None,
        then: Some(then.to_owned()),
    };
    // A member that is late is so for all parts: one sentence tells it.
    let mut late: Vec<(NodeId, &IndexSet, IndexSet)> = Vec::new();
    let mut rows = Vec::new();
    for wait in &session.sync.waits {
        let SyncWait::Contributions { part, from, microbatches } = wait else {
            rows.push(row(words(wait)));
            continue;
        };
        let part: IndexSet = [*part].into_iter().collect();
        match late.iter_mut().find(|(node, set, _)| node == from && *set == microbatches) {
            Some((_, _, parts)) => parts.extend_from(&part),
            None => late.push((*from, microbatches, part)),
        }
    }
    rows.extend(late.into_iter().map(|(from, microbatches, parts)| {
        let (microbatches, parts) = (ranges(microbatches), ranges(&parts));
        row((format!("micro-batches {microbatches} for parts {parts}, from {}", from.friendly_name()), SENT))
    }));
    rows
}

/// What ends the wait for a message.
const SENT: &str = "it arrives, or a view without that node is committed";

/// What is waited for, and what ends it.
fn words(wait: &SyncWait) -> (String, &'static str) {
    match wait {
        SyncWait::Admission => ("a view with this node in it".to_owned(), "the coordinator commits one"),
        SyncWait::Origin => {
            ("the checkpoint that the job starts from".to_owned(), "it is read from the disk")
        }
        SyncWait::Offers(nodes) if nodes.is_empty() => {
            ("a member that has the state".to_owned(), "one tells that it has it")
        }
        SyncWait::Offers(nodes) => (format!("the word of {} on what the state is", names(nodes)), SENT),
        SyncWait::Agreement => (
            "the members that have the state to agree on it".to_owned(),
            "a view without those that are wrong, or without this node",
        ),
        SyncWait::Chunks(nodes) => (format!("the chunks of the state, from {}", names(nodes)), SENT),
        SyncWait::Following { step, latest } => (
            format!(
                "the results of the steps {} to {latest}, which the others have made meanwhile",
                step + 1
            ),
            SENT,
        ),
        SyncWait::State(node) => (format!("the first word of {} in this view", node.friendly_name()), SENT),
        SyncWait::Handover(node) => (format!("{} to get the state", node.friendly_name()), SENT),
        SyncWait::Arrival(node) => (format!("{} to come to this step", node.friendly_name()), SENT),
        SyncWait::Contributions { part, from, microbatches } => {
            let (microbatches, from) = (ranges(microbatches), from.friendly_name());
            (format!("micro-batches {microbatches} for part {part}, from {from}"), SENT)
        }
        SyncWait::Results { owner, parts } => {
            (format!("the results of parts {}, from {}", ranges(parts), owner.friendly_name()), SENT)
        }
        SyncWait::Computing(microbatches) => {
            (format!("its own micro-batches {}", ranges(microbatches)), "they are computed")
        }
        SyncWait::Failed(microbatches) => {
            let what = format!("micro-batches {}, which failed here", ranges(microbatches));
            (what, "a view leases them to another node")
        }
        SyncWait::Halted { step } => {
            (format!("the job to go on after step {step}, where it halted"), "a view that does not halt")
        }
    }
}

fn names(nodes: &[NodeId]) -> String {
    nodes.iter().map(NodeId::friendly_name).collect::<Vec<_>>().join(", ")
}

/// As `0-3, 7`.
fn ranges(set: &IndexSet) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for index in set.iter() {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == index => *last = index,
            _ => runs.push((index, index)),
        }
    }
    let word = |&(first, last): &(u32, u32)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    runs.iter().map(word).collect::<Vec<_>>().join(", ")
}

/// Nodes of the ledger that this one is not connected to, while the job has not ended.
fn missing(published: &Published, record: &JobRecord, now: Millis) -> Vec<MissingNode> {
    if record.has_ended() {
        return Vec::new();
    }
    let absent = published.ledger.nodes.values().filter(|node| !published.live.contains(&node.node));
    let row = |node: &traind_protocol::ledger::NodeRecord| {
        let loss = published.lost.get(&node.node);
        MissingNode {
            node: node.node.into(),
            votes: published.voters.contains(&node.seat),
            since_ms: loss.map(|loss| now.since(loss.at)),
            reason: loss.map(|loss| loss.reason.to_owned()),
        }
    };
    absent.map(row).collect()
}

fn standstill(published: &Published, record: &JobRecord, now: Millis) -> Option<CouncilStandstill> {
    if published.coordinator.is_some() || record.has_ended() {
        return None;
    }
    let voters = published.voters.len();
    let nodes = || published.voters.iter().filter_map(|&seat| published.ledger.node_of_seat(seat));
    let (present, absent): (Vec<NodeId>, Vec<NodeId>) =
        nodes().partition(|node| published.live.contains(node));
    let needed = voters / 2 + 1;
    let ends = if present.len() >= needed {
        "they are electing a coordinator, which takes about a second".to_owned()
    } else {
        let names: Vec<String> = absent.iter().map(|node| node.friendly_name()).collect();
        let missing = format!("{} more of these come back: {}", needed - present.len(), names.join(", "));
        match published.founds_at {
            Some(at) => {
                let seconds = at.since(now).div_ceil(1000);
                format!(
                    "nothing can be decided until {missing}; in {seconds} s this node founds a new council without them"
                )
            }
            None if published.founds_alone => {
                format!("nothing can be decided until {missing}, or another survivor founds a new council")
            }
            None => {
                format!("nothing can be decided until {missing}, because on_quorum_loss is \"halt\" here")
            }
        }
    };
    Some(CouncilStandstill { voters: count(voters), needed: count(needed), present: refs(present), ends })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_told_in_runs() {
        let set = |indices: &[u32]| ranges(&indices.iter().copied().collect());
        assert_eq!(set(&[]), "");
        assert_eq!(set(&[4]), "4");
        assert_eq!(set(&[0, 1, 2, 3, 7, 9, 10]), "0-3, 7, 9-10");
    }

    #[test]
    fn what_the_coordinator_said_ages() {
        let said = JobWait {
            what: "brave-otter-01 fetches the state".to_owned(),
            since_ms: Some(500),
            ends: Some(traind_protocol::wire::control::WaitEnd { in_ms: 700, then: "a view".to_owned() }),
        };
        let told = row(&said, 300);
        assert_eq!((told.since_ms, told.ends_in_ms), (Some(800), Some(400)));
        assert_eq!(row(&said, 900).ends_in_ms, Some(0), "a timer does not run out twice");
    }
}
