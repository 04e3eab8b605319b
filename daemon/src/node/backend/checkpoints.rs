//! Checkpoints: pinned, pruned, read to the last byte; jobs taken back to one.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::mpsc;
use traind_actors::council::Published;
use traind_actors::session::{chain_of, digest_of_pieces};
use traind_protocol::ids::{Digest, JobId, ManifestId};
use traind_protocol::ledger::{JobStatus, Ledger, LedgerCommand};
use traind_store::{Store, StoreError, Verified};

use super::super::api_views;
use super::Backend;
use super::store::verify;
use crate::control::STREAM_ITEMS_MAX;
use crate::control::api::{
    ApiError, CheckpointRow, CheckpointVerified, CheckpointsPruned, Response, StoreVerified, StreamItem,
};

impl Backend {
    pub(super) async fn checkpoint_pin(
        &self,
        job: JobId,
        step: Option<u64>,
        is_pinned: bool,
    ) -> Result<Response, ApiError> {
        let row = self.checkpoint_row(job, step)?;
        let step = row.step;
        let command = LedgerCommand::PinCheckpoint { job, step, by: self.actors.node, is_pinned };
        self.would_apply(&command, job)?;
        self.propose_until(command, move |published| {
            published.ledger.keeping_of(job).pins.contains_key(&step) == is_pinned
        })
        .await?;
        // What was set aside goes with its pin.
        Ok(Response::CheckpointPinned(self.checkpoint_row(job, Some(step)).unwrap_or(row)))
    }

    pub(super) async fn checkpoint_prune(
        &self,
        job: JobId,
        keep: Option<u32>,
        dry_run: bool,
    ) -> Result<Response, ApiError> {
        if keep == Some(0) {
            return Err(ApiError::bad_request("at least the newest checkpoint stays").next("--keep 1"));
        }
        let command = LedgerCommand::PruneCheckpoints { job, keep: keep.unwrap_or(0), by: self.actors.node };
        let before = self.published();
        let after = Published { ledger: self.would_apply(&command, job)?, ..(*before).clone() };
        let rows = |published: &Published| api_views::checkpoints(published, Some(job));
        let kept = match keep {
            // Why they stay is told by the number that was asked for.
            Some(_) => api_views::checkpoints_kept(&after, job, keep),
            None => rows(&after),
        };
        let stays: BTreeSet<u64> = kept.iter().map(|row| row.step).collect();
        let removed: Vec<CheckpointRow> =
            rows(&before).into_iter().filter(|row| !stays.contains(&row.step)).collect();
        if !dry_run && !removed.is_empty() {
            let gone: BTreeSet<u64> = removed.iter().map(|row| row.step).collect();
            self.propose_until(command, move |published| {
                let record = published.ledger.jobs.get(&job);
                record.is_none_or(|record| !record.checkpoints.iter().any(|entry| gone.contains(&entry.step)))
            })
            .await?;
        }
        let job_name = before.ledger.jobs.get(&job).map(|record| record.name.clone()).unwrap_or_default();
        Ok(Response::CheckpointsPruned(CheckpointsPruned {
            job: job.to_hex(),
            job_name,
            dry_run,
            removed,
            kept,
        }))
    }

    pub(super) async fn roll_back(&self, job: JobId, step: u64) -> Result<Response, ApiError> {
        let command = LedgerCommand::RollBack { job, step, by: self.actors.node };
        self.would_apply(&command, job)?;
        let before = self.published();
        let from_step = before.ledger.jobs.get(&job).map_or(0, |record| record.committed_to().0);
        let is_back = move |published: &Published| {
            published.ledger.jobs.get(&job).is_some_and(|record| {
                record.committed_to().0 == step && matches!(record.status, JobStatus::Paused { .. })
            })
        };
        self.propose_until(command, is_back).await?;
        Ok(Response::JobRolledBack { job: job.to_hex(), from_step, step })
    }

    /// Reads a checkpoint that this node holds, beside everything else; stops when nobody listens any more.
    pub(super) fn checkpoint_verify(
        &self,
        job: JobId,
        step: Option<u64>,
    ) -> Result<mpsc::Receiver<StreamItem>, ApiError> {
        let row = self.checkpoint_row(job, step)?;
        if !row.holders.iter().any(|holder| holder.id == self.actors.node.to_hex()) {
            let holders: Vec<&str> = row.holders.iter().map(|holder| holder.name.as_str()).collect();
            let message = format!("this node does not hold the checkpoint of step {}", row.step);
            return Err(ApiError::refused(message)
                .because(format!("it is on {}", holders.join(", ")))
                .next("run the same command there"));
        }
        let (items, receiver) = mpsc::channel(STREAM_ITEMS_MAX);
        let store = Arc::clone(&self.facts.store);
        tokio::task::spawn_blocking(move || match look(&store, job, row, &items) {
            Ok(verified) => {
                // A reader that is gone needs neither.
                let _ = items.blocking_send(StreamItem::CheckpointVerified(verified));
                let _ = items.blocking_send(StreamItem::StreamEnd);
            }
            // The stream ends without its last line, which the client reports.
            Err(error) => tracing::error!(error = chain_of(&error), "a checkpoint cannot be verified"),
        });
        Ok(receiver)
    }

    /// A checkpoint of `job`: that after `step`, or the newest.
    fn checkpoint_row(&self, job: JobId, step: Option<u64>) -> Result<CheckpointRow, ApiError> {
        let rows = api_views::checkpoints(&self.published(), Some(job));
        let found = match step {
            Some(step) => rows.into_iter().find(|row| row.step == step),
            None => rows.into_iter().max_by_key(|row| row.step),
        };
        found.ok_or_else(|| {
            let what =
                step.map_or("no checkpoint".to_owned(), |step| format!("no checkpoint of step {step}"));
            ApiError::no_such_object(format!("the job has {what}"))
                .next(format!("trainctl checkpoint ls {job}"))
        })
    }

    /// The ledger as a command about checkpoints of `job` would make it.
    ///
    /// # Errors
    /// Why the ledger refuses it.
    pub(super) fn would_apply(&self, command: &LedgerCommand, job: JobId) -> Result<Ledger, ApiError> {
        self.ledger_with(command).map_err(|rejected| {
            ApiError::refused(rejected.to_string())
                .next(format!("trainctl checkpoint ls {job}; trainctl job pause {job} where it still runs"))
        })
    }
}

fn look(
    store: &Store,
    job: JobId,
    row: CheckpointRow,
    items: &mpsc::Sender<StreamItem>,
) -> Result<CheckpointVerified, StoreError> {
    let id = ManifestId::from_hex(&row.manifest).unwrap_or_default();
    let (verified, digest) = match store.chunks().manifest(id) {
        Ok(manifest) => {
            let verified = verify(store.chunks(), Some(id), items)?;
            let pieces = manifest.chunks.iter().map(|chunk| store.chunks().get_ref(*chunk));
            let digest = match verified.damaged {
                0 => digest_of_pieces(pieces).ok(),
                _ => None,
            };
            (verified, digest)
        }
        Err(StoreError::NoSuchManifest { .. }) => (absent(store, job, row.step), None),
        Err(StoreError::Damaged { object, damage }) => {
            let object = traind_store::DamagedObject { object, damage, manifests: Vec::new() };
            (Verified { damaged: 1, named: vec![object], ..nothing() }, None)
        }
        Err(error) => return Err(error),
    };
    let StoreVerified { chunks, bytes, damaged, objects } = verified.into();
    let matches = digest.map(|digest: Digest| digest.to_hex() == row.digest);
    let CheckpointRow { job, job_name, step, digest, .. } = row;
    Ok(CheckpointVerified {
        job,
        job_name,
        step,
        digest,
        digest_matches: matches,
        chunks,
        bytes,
        damaged,
        objects,
    })
}

fn nothing() -> Verified {
    let progress = traind_store::VerifyProgress { chunks: 0, chunks_total: 0, bytes: 0 };
    Verified { progress, damaged: 0, named: Vec::new() }
}

/// The ledger says that it is here, and not even its manifest is.
fn absent(store: &Store, job: JobId, step: u64) -> Verified {
    let object = store.path().join("manifests").join(format!("{job}-{step:020}"));
    let damage = traind_store::Damage::Missing;
    let named = vec![traind_store::DamagedObject { object, damage, manifests: Vec::new() }];
    Verified { damaged: 1, named, ..nothing() }
}
