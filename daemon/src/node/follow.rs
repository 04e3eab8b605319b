//! Events of one job for one follower, from what the daemon watches.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use traind_actors::council::Published;
use traind_protocol::ids::{Epoch, JobId, NodeId};
use traind_protocol::ledger::JobRecord;
use traind_protocol::wire::control::UnwrittenCheckpoint;

use super::api_views;
use super::history::{History, JobHistory};
use crate::control::api::FollowEvent;

/// What a follower was told already.
struct Follower {
    events: mpsc::Sender<FollowEvent>,
    epoch: Epoch,
    checkpoint: Option<u64>,
    /// The latest checkpoint of each node that was not written.
    unwritten: BTreeMap<NodeId, u64>,
    told: Option<FollowEvent>,
    losses_from: u64,
}

/// Sends events until the job has ended or nobody listens.
pub(super) async fn follow(
    job: JobId,
    events: mpsc::Sender<FollowEvent>,
    mut published: watch::Receiver<Arc<Published>>,
    mut history: watch::Receiver<History>,
) {
    let mut follower = Follower {
        events,
        epoch: Epoch(0),
        checkpoint: None,
        unwritten: BTreeMap::new(),
        told: None,
        losses_from: 0,
    };
    loop {
        let now = published.borrow_and_update().clone();
        let past = history.borrow_and_update().job(job);
        let Some(record) = now.ledger.jobs.get(&job) else { return };
        if !follower.tell(&now, record, &past).await || record.has_ended() {
            return;
        }
        let changed = tokio::select! {
            changed = published.changed() => changed,
            changed = history.changed() => changed,
            () = follower.events.closed() => return,
        };
        if changed.is_err() {
            return;
        }
    }
}

impl Follower {
    /// `false` when nobody listens any more.
    async fn tell(&mut self, published: &Published, record: &JobRecord, past: &JobHistory) -> bool {
        let progress = api_views::progress(published, record, past, self.losses_from);
        if self.told.as_ref() != Some(&progress) {
            // A slow follower misses this one; the next says the same and more.
            if self.events.try_send(progress.clone()).is_ok() {
                self.losses_from = past.last_point().map_or(0, |point| point.step);
                self.told = Some(progress);
            }
        }
        for change in record.view_changes.iter().filter(|change| change.epoch > self.epoch) {
            let event = api_views::view_changed(record, change);
            if self.events.send(event).await.is_err() {
                return false;
            }
        }
        self.epoch = record.view_changes.last().map_or(self.epoch, |change| change.epoch);
        for entry in
            record.checkpoints.iter().filter(|entry| self.checkpoint.is_none_or(|told| entry.step > told))
        {
            let (job, digest) = (record.id.to_hex(), entry.digest.to_hex());
            let event = FollowEvent::Checkpoint { job, step: entry.step, digest };
            if self.events.send(event).await.is_err() {
                return false;
            }
        }
        self.checkpoint = record.checkpoints.last().map(|entry| entry.step).or(self.checkpoint);
        for UnwrittenCheckpoint { node, step, reason } in &past.unwritten {
            if self.unwritten.insert(*node, *step) != Some(*step) {
                let (job, node, reason) = (record.id.to_hex(), (*node).into(), reason.clone());
                let event = FollowEvent::CheckpointNotWritten { job, step: *step, node, reason };
                if self.events.send(event).await.is_err() {
                    return false;
                }
            }
        }
        if record.has_ended() {
            return self.events.send(api_views::ended(published, record)).await.is_ok();
        }
        true
    }
}
