//! The store's thread: writes and retains checkpoints, one after the other.

use tokio::sync::{mpsc, oneshot};
use traind_store::{CheckpointRecord, Store};

use super::{KeepCheckpoints, WriteCheckpoint};
use crate::session::{SessionInput, chain_of};

/// Work for the store's thread.
#[derive(Debug)]
pub(super) enum WriterTask {
    /// Write a checkpoint.
    Write(WriteCheckpoint),
    /// Drop checkpoints that the ledger does not name.
    Keep(KeepCheckpoints),
    /// Say that this thread is there.
    Ping(oneshot::Sender<()>),
}

/// Works until the actor is gone.
pub(super) fn run(store: &Store, mut tasks: mpsc::Receiver<WriterTask>) {
    let mut latest = None;
    while let Some(task) = tasks.blocking_recv() {
        match task {
            WriterTask::Write(message) => write(store, message, &mut latest),
            WriterTask::Keep(message) => keep(store, &message),
            WriterTask::Ping(reply) => {
                // Whoever asked may have stopped waiting.
                let _ = reply.send(());
            }
        }
    }
}

/// `latest` is what was written last: a state that a job stopped at is offered again until the word that it is written has come.
fn write(store: &Store, message: WriteCheckpoint, latest: &mut Option<CheckpointRecord>) {
    let WriteCheckpoint { job, step, chain, digest, state, reply } = message;
    let digest = digest.unwrap_or_else(|| state.digest());
    let known = latest.take().filter(|record| {
        let is_same = (record.job, record.step, record.chain, record.digest) == (job, step, chain, digest);
        is_same && store.list_checkpoints(Some(job)).is_ok_and(|here| here.contains(record))
    });
    let written = match known {
        Some(record) => Ok(record),
        None => store.write_checkpoint_pieces(job, step, chain, digest, &state.pieces()),
    };
    match written {
        Ok(record) => {
            let manifest = record.manifest;
            *latest = Some(record);
            let bytes = state.bytes() as u64;
            // What the trainer writes beside the next one goes to this memory.
            drop(state);
            // The session may have ended while its state was written.
            let _ =
                reply.blocking_send(SessionInput::CheckpointWritten { step, chain, digest, manifest, bytes });
        }
        Err(error) => {
            let reason = chain_of(&error);
            // The whole id: `job logs` looks for it.
            tracing::error!(job = %job, step, error = reason, "checkpoint not written");
            // As above.
            let _ = reply.blocking_send(SessionInput::CheckpointNotWritten { step, reason });
        }
    }
}

pub(super) fn keep(store: &Store, message: &KeepCheckpoints) {
    let Some(newest) = message.newest else { return };
    let kept = store.list_checkpoints(Some(message.job)).and_then(|records| {
        let steps: Vec<u64> = records
            .iter()
            .map(|record| record.step)
            .filter(|step| *step > newest || message.steps.contains(step))
            .collect();
        if steps.len() == records.len() { Ok(0) } else { store.retain(message.job, &steps) }
    });
    if let Err(error) = kept {
        tracing::warn!(job = %message.job.short(), error = chain_of(&error), "old checkpoints not removed");
    }
}
