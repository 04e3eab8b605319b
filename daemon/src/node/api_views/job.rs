//! Everything about one job.

use std::collections::{BTreeMap, BTreeSet};

use traind_actors::council::Published;
use traind_actors::session::SessionDescription;
use traind_protocol::ids::{Digest, JobId, NodeId};
use traind_protocol::ledger::{JobRecord, JobStatus as LedgerStatus, ViewChange};
use traind_training::JobSpec;

use super::super::history::JobHistory;
use super::checkpoints::checkpoint_rows;
use super::{checking, count, evaluations, job_status, pause, reason, refs, result, stable_step};
use crate::control::api::{
    Departure, JobData, JobDetail, KeptOut, MemberRow, NodeRef, NumericClassRow, Refusal, StepRange, ViewRow,
    WorkRow, mixed_class_warnings,
};

/// Everything about one job.
pub(in crate::node) fn job_detail(
    published: &Published,
    job: JobId,
    past: &JobHistory,
    session: Option<&SessionDescription>,
) -> Option<JobDetail> {
    let record = published.ledger.jobs.get(&job)?;
    let view = record.view.as_ref();
    let point = past.last_point();
    let views = view_rows(published, record);
    let mut warnings = mixed_class_warnings(&views);
    warnings.extend(
        session
            .iter()
            .flat_map(|session| session.refused.iter())
            .map(|(reason, count)| format!("this node refused {count} messages of peers: {reason}")),
    );
    warnings.extend(past.unwritten.iter().map(|unwritten| {
        let (step, node) = (unwritten.step, unwritten.node.friendly_name());
        format!("the checkpoint of step {step} is not on the disk of {node}: {}", unwritten.reason)
    }));
    if is_without_final_checkpoint(record) {
        warnings.push("its final state is on no disk: only what was exported of it is left".to_owned());
    }
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
        checkpoints: checkpoint_rows(published, record, None),
        committed: committed(record),
        warnings,
        result: result(record),
        spec_toml: record.spec_toml.clone(),
        checking: checking(published, record),
        evaluations: evaluations(record),
        learning_rate: point.map(|point| point.learning_rate),
        gradient_norm: point.map(|point| point.gradient_norm),
        pause: pause(record),
        refusal: refusal(record),
        data: Some(data(record)),
        from: record.initial.as_ref().map(|entry| entry.digest.to_hex()),
        kept_out: past.kept_out().map(|(node, reason)| KeptOut { node: node.into(), reason }).collect(),
    })
}

/// Whether the job has finished and no node has written its final state.
pub(in crate::node) fn is_without_final_checkpoint(record: &JobRecord) -> bool {
    let written = |step: u64| record.checkpoints.iter().any(|entry| entry.step == step);
    record.result.as_ref().is_some_and(|result| !written(result.step))
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

fn refusal(record: &JobRecord) -> Option<Refusal> {
    match &record.status {
        LedgerStatus::Refused { by, reason } => Some(Refusal { node: (*by).into(), reason: reason.clone() }),
        _ => None,
    }
}

/// A job that was accepted parses again; one of a later version may not.
fn data(record: &JobRecord) -> JobData {
    let spec = JobSpec::parse(&record.spec_toml).ok();
    let (kind, path) = spec.map_or(("unknown".to_owned(), None), |spec| {
        (spec.data.kind().to_owned(), spec.data.path().map(|path| path.display().to_string()))
    });
    JobData { kind, path, digest: Some(Digest(record.data_digest).to_hex()) }
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
