//! Looking after what the ledger counts on: a checkpoint that is not here is disowned, a damaged chunk is got again.

use std::sync::Arc;

use traind_protocol::ids::{ChunkId, JobId};
use traind_protocol::ledger::{CheckpointEntry, Ledger, LedgerCommand};
use traind_store::{Chunks, ManifestKind, StoreError};

use super::{Inner, entries};
use crate::session::chain_of;

/// A chunk that nobody could replace within so many looks is asked for again, and checkpoints that need it are disowned
/// where others hold them: a minute, in which a node that started anew is back.
const LOOKS_PER_REPAIR: u32 = 60;

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
        held.into_iter().map(|(job, entry)| (lacks(&chunks, &entry, &asked), job, entry)).collect::<Vec<_>>()
    });
    let Ok(looked) = looked.await else { return };
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
    let named: std::collections::BTreeSet<_> = entries(ledger).map(|(_, entry)| entry.manifest).collect();
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

fn lacks(chunks: &Chunks, entry: &CheckpointEntry, damaged: &[ChunkId]) -> Result<Option<Lack>, StoreError> {
    let whole = chunks.manifests(Some(ManifestKind::Checkpoint))?;
    if !whole.iter().any(|record| record.id == entry.manifest && record.is_whole) {
        return Ok(Some(Lack::Absent));
    }
    let known = chunks.damaged();
    let missing = chunks.missing_chunks(entry.manifest)?;
    Ok(match missing {
        missing if missing.iter().any(|chunk| damaged.contains(&chunk.id)) => Some(Lack::Damaged),
        missing if missing.iter().any(|chunk| !known.contains(&chunk.id)) => Some(Lack::Absent),
        _ => None,
    })
}

/// Chunks that have been damaged for a while.
fn damaged(inner: &Inner) -> Vec<ChunkId> {
    let now = inner.parts.store.chunks().damaged();
    let mut state = inner.state();
    state.damaged.retain(|chunk, _| now.contains(chunk));
    for chunk in now {
        *state.damaged.entry(chunk).or_default() += 1;
    }
    let is_due = |looks: &u32| looks.is_multiple_of(LOOKS_PER_REPAIR);
    state.damaged.iter().filter(|(_, looks)| is_due(looks)).map(|(chunk, _)| *chunk).collect()
}
