//! What a follower of a job is told.

use traind_actors::council::Published;
use traind_protocol::ledger::{JobRecord, ViewChange};

use super::super::history::JobHistory;
use super::{checking, evaluations, job_status, pause, reason, refs, result, stable_step};
use crate::control::api::{FollowEvent, LossPoint};

/// How far a job is, with losses of the steps after `losses_from`.
pub(in crate::node) fn progress(
    published: &Published,
    record: &JobRecord,
    past: &JobHistory,
    losses_from: u64,
) -> FollowEvent {
    let losses =
        past.points.range(losses_from + 1..).map(|(&step, point)| LossPoint { step, loss: point.loss });
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
        checking: checking(published, record),
        learning_rate: past.last_point().map(|point| point.learning_rate),
        gradient_norm: past.last_point().map(|point| point.gradient_norm),
        evaluation: evaluations(record).pop(),
        pause: pause(record),
    }
}

/// A view of the history as an event.
pub(in crate::node) fn view_changed(record: &JobRecord, change: &ViewChange) -> FollowEvent {
    FollowEvent::ViewChanged {
        job: record.id.to_hex(),
        epoch: change.epoch.0,
        step: change.stable_step,
        reason: change.reason.clone(),
        members: refs(change.members.iter().map(|member| member.node)),
    }
}

/// The end of a job as an event.
pub(in crate::node) fn ended(published: &Published, record: &JobRecord) -> FollowEvent {
    FollowEvent::Ended {
        job: record.id.to_hex(),
        status: job_status(record),
        reason: reason(published, record),
        result: result(record),
    }
}
