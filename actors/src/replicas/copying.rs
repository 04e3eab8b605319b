//! Fetching a copy: all chunks from the holders, then everything is checked against what the ledger says.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;
use traind_protocol::ids::{JobId, ManifestId};
use traind_protocol::ledger::{CheckpointEntry, Ledger, LedgerCommand};
use traind_store::{ManifestBody, StateFacts, Store, StoreError};

use super::{Inner, entries};
use crate::session::{chain_of, digest_of_pieces};
use crate::transfer::FetchError;

/// Pause before a copy that failed, as for want of space, is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// After so long without the ledger's showing it, that a copy is here is said again.
const SAY_AGAIN: Duration = Duration::from_millis(500);

/// Why a copy is not here.
#[derive(Debug, Error)]
pub enum CopyError {
    /// It did not come.
    #[error("it could not be fetched")]
    Fetch(#[from] FetchError),
    /// What came cannot be read.
    #[error("it cannot be read again")]
    Store(#[from] StoreError),
    /// What came is not what the ledger says.
    #[error("it is not the checkpoint that the ledger names: {what}")]
    Another {
        /// What differs.
        what: &'static str,
    },
    /// A bug: the file work panicked.
    #[error("the file work panicked")]
    Panicked,
}

/// Fetches what this node was chosen for, and gives up what it is not chosen for any more.
pub(super) fn follow(inner: &Arc<Inner>, ledger: &Ledger) {
    let me = inner.parts.node;
    let mut wanted = BTreeSet::new();
    for (job, entry) in entries(ledger) {
        if !entry.assigned.contains(&me) {
            continue;
        }
        wanted.insert(entry.manifest);
        if inner.state().copying.insert(entry.manifest) {
            tokio::spawn(obtain(Arc::clone(inner), job, entry.clone()));
        }
    }
    let given_up: Vec<ManifestId> = inner.state().copying.difference(&wanted).copied().collect();
    // Those that wait for their turn find out by themselves.
    given_up.into_iter().for_each(|manifest| inner.parts.transfers.forget(manifest));
}

async fn obtain(inner: Arc<Inner>, job: JobId, entry: CheckpointEntry) {
    if let Ok(_turn) = inner.turn.acquire().await {
        obtain_now(&inner, job, &entry).await;
    }
    inner.state().copying.remove(&entry.manifest);
    let is_wanted = {
        let published = inner.parts.published.borrow();
        let mut named = entries(&published.ledger).filter(|(_, known)| known.manifest == entry.manifest);
        named.any(|(_, known)| {
            known.holders.contains(&inner.parts.node) || known.assigned.contains(&inner.parts.node)
        })
    };
    if !is_wanted {
        remove_unfinished(&inner, entry.manifest).await;
    }
}

async fn obtain_now(inner: &Arc<Inner>, job: JobId, entry: &CheckpointEntry) {
    while is_assigned(inner, entry.manifest) {
        match copy(inner, job, entry).await {
            Ok(bytes) => {
                tracing::info!(job = %job, step = entry.step, bytes, "a copy of a checkpoint is here");
                return tell(inner, job, entry).await;
            }
            Err(error @ CopyError::Another { .. }) => {
                tracing::error!(job = %job, step = entry.step, error = chain_of(&error), "copy of a checkpoint refused");
                return remove(inner, entry.manifest).await;
            }
            Err(CopyError::Fetch(FetchError::Stopped | FetchError::Forgotten)) => return,
            Err(error) => {
                tracing::warn!(job = %job, step = entry.step, error = chain_of(&error), "a copy of a checkpoint is not here yet");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

/// Gets the chunks and checks all of them; says how many bytes came.
async fn copy(inner: &Inner, job: JobId, entry: &CheckpointEntry) -> Result<u64, CopyError> {
    let sources = entry.holders.iter().copied().collect();
    let summary = inner.parts.transfers.fetch(entry.manifest, sources).await?;
    let (store, entry) = (Arc::clone(&inner.parts.store), entry.clone());
    let checked = tokio::task::spawn_blocking(move || check(&store, job, &entry));
    checked.await.unwrap_or(Err(CopyError::Panicked))?;
    Ok(summary.bytes)
}

/// Whether what is here under the manifest's name is what the ledger says.
fn check(store: &Store, job: JobId, entry: &CheckpointEntry) -> Result<(), CopyError> {
    let another = |what| Err(CopyError::Another { what });
    let manifest = store.chunks().manifest(entry.manifest)?;
    let (step, chain, digest) = (entry.step, entry.chain, entry.digest);
    if manifest.body != ManifestBody::Checkpoint(StateFacts { job, step, chain, digest }) {
        return another("its manifest is of another state");
    }
    if manifest.bytes() != entry.bytes {
        return another("it has another length");
    }
    let pieces = manifest.chunks.iter().map(|chunk| store.chunks().get_ref(*chunk));
    if digest_of_pieces(pieces)? != digest {
        return another("its bytes have another digest");
    }
    Ok(())
}

/// Says that the copy is here until the ledger shows it or does not want it any more.
async fn tell(inner: &Inner, job: JobId, entry: &CheckpointEntry) {
    let (me, manifest) = (inner.parts.node, entry.manifest);
    let mut published = inner.parts.published.clone();
    loop {
        let entry =
            CheckpointEntry { holders: BTreeSet::from([me]), assigned: BTreeSet::new(), ..entry.clone() };
        inner.propose(LedgerCommand::RecordCheckpoint { job, entry });
        let is_known = published.wait_for(|published| {
            !entries(&published.ledger)
                .any(|(_, known)| known.manifest == manifest && !known.holders.contains(&me))
        });
        // An error means that the council has ended.
        if tokio::time::timeout(SAY_AGAIN, is_known).await.is_ok() {
            return;
        }
    }
}

fn is_assigned(inner: &Inner, manifest: ManifestId) -> bool {
    let published = inner.parts.published.borrow();
    entries(&published.ledger)
        .any(|(_, entry)| entry.manifest == manifest && entry.assigned.contains(&inner.parts.node))
}

async fn remove(inner: &Inner, manifest: ManifestId) {
    let chunks = Arc::clone(inner.parts.store.chunks());
    said(tokio::task::spawn_blocking(move || chunks.remove_manifest(manifest)).await);
}

/// What came in part goes; a whole checkpoint is for retention to remove.
async fn remove_unfinished(inner: &Inner, manifest: ManifestId) {
    let chunks = Arc::clone(inner.parts.store.chunks());
    let removed = tokio::task::spawn_blocking(move || {
        let known = chunks.manifests(None)?;
        let is_unfinished = known.iter().any(|record| record.id == manifest && !record.is_whole);
        if is_unfinished { chunks.remove_manifest(manifest) } else { Ok(false) }
    });
    said(removed.await);
}

fn said(removed: Result<Result<bool, StoreError>, tokio::task::JoinError>) {
    if let Ok(Err(error)) = removed {
        tracing::warn!(error = chain_of(&error), "what came of a checkpoint is not removed");
    }
}
