//! Looking after what the ledger counts on: a checkpoint that is not here is disowned, a damaged chunk is got again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use traind_protocol::ids::{ChunkId, JobId, ManifestId};
use traind_protocol::ledger::{CheckpointEntry, Ledger, LedgerCommand};
use traind_store::{Chunks, ManifestKind, StoreError};

use super::{Inner, entries};
use crate::session::chain_of;

/// A chunk that nobody could replace within this time is asked for again, and checkpoints that need it are disowned
/// where others hold them: a node that started anew is back by then.
const REPAIR_INTERVAL: Duration = Duration::from_secs(60);

/// Damaged chunks that are asked for at a time.
const REPAIRS_ASKED_MAX: usize = 16;

pub(super) async fn look_after(inner: &Arc<Inner>, ledger: &Ledger) {
    let me = inner.parts.node;
    let damaged = damaged(inner);
    let held: Vec<(JobId, CheckpointEntry)> = {
        let state = inner.state();
        let is_due = |entry: &CheckpointEntry| {
            entry.holders.contains(&me) && (!state.looked_at.contains(&entry.manifest) || !damaged.is_empty())
        };
        let due = entries(ledger).filter(|(_, entry)| is_due(entry));
        due.map(|(job, entry)| (job, entry.clone())).collect()
    };
    if held.is_empty() && damaged.is_empty() {
        return;
    }
    let (chunks, asked) = (Arc::clone(inner.parts.store.chunks()), damaged.clone());
    let looked = tokio::task::spawn_blocking(move || {
        let all = chunks.manifests(Some(ManifestKind::Checkpoint))?;
        let whole: BTreeSet<ManifestId> =
            all.into_iter().filter(|record| record.is_whole).map(|record| record.id).collect();
        let lack = |entry: &CheckpointEntry| match whole.contains(&entry.manifest) {
            true => lacks(&chunks, entry, &asked),
            false => Ok(Some(Lack::Absent)),
        };
        Ok::<_, StoreError>(
            held.into_iter().map(|(job, entry)| (lack(&entry), job, entry)).collect::<Vec<_>>(),
        )
    });
    let looked = match looked.await {
        Ok(Ok(looked)) => looked,
        Ok(Err(error)) => {
            return tracing::warn!(error = chain_of(&error), "the store could not be looked at");
        }
        Err(_panicked) => return,
    };
    for (lacks, job, entry) in looked {
        match lacks {
            Ok(None) => {
                inner.state().looked_at.insert(entry.manifest);
            }
            // The last copy is not given up for a chunk that may yet be found.
            Ok(Some(Lack::Damaged)) if entry.holders.len() == 1 => {}
            Ok(Some(lack)) => {
                tracing::error!(job = %job, step = entry.step, ?lack, "a checkpoint that the ledger names is not whole here");
                inner.state().looked_at.remove(&entry.manifest);
                let (step, holder) = (entry.step, Some(me));
                inner.propose(LedgerCommand::DropCheckpoint { job, step, holder });
            }
            Err(error) => tracing::warn!(error = chain_of(&error), "the store could not be looked at"),
        }
    }
    damaged.into_iter().take(REPAIRS_ASKED_MAX).for_each(|chunk| inner.parts.transfers.repair(chunk));
    let named: BTreeSet<ManifestId> = entries(ledger).map(|(_, entry)| entry.manifest).collect();
    inner.state().looked_at.retain(|manifest| named.contains(manifest));
}

/// What is wrong with a checkpoint here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lack {
    /// Its manifest or chunks are not here.
    Absent,
    /// A chunk is damaged, and could not be replaced.
    Damaged,
}

/// Of one whose manifest is here.
fn lacks(chunks: &Chunks, entry: &CheckpointEntry, damaged: &[ChunkId]) -> Result<Option<Lack>, StoreError> {
    let known = chunks.damaged();
    let missing = chunks.missing_chunks(entry.manifest)?;
    Ok(match missing {
        missing if missing.iter().any(|chunk| damaged.contains(&chunk.id)) => Some(Lack::Damaged),
        missing if missing.iter().any(|chunk| !known.contains(&chunk.id)) => Some(Lack::Absent),
        _ => None,
    })
}

/// Chunks that have been damaged for a while. The store asks for each by itself when it finds it.
fn damaged(inner: &Inner) -> Vec<ChunkId> {
    let now = inner.parts.store.chunks().damaged();
    let mut state = inner.state();
    state.damaged.retain(|chunk, _| now.contains(chunk));
    for chunk in now {
        state.damaged.entry(chunk).or_insert_with(Instant::now);
    }
    let is_due = |(_, asked_at): &(&ChunkId, &mut Instant)| asked_at.elapsed() >= REPAIR_INTERVAL;
    let due = state.damaged.iter_mut().filter(is_due);
    due.map(|(chunk, asked_at)| {
        *asked_at = Instant::now();
        *chunk
    })
    .collect()
}
