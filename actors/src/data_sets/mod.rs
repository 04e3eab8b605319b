//! Data sets of the swarm on this node: added here, fetched ahead of the jobs that need them, removed when the ledger
//! forgets them.
//!
//! Hears: the published ledger. Tells: the council, when this node holds all of a set. A job's check waits until its sets
//! are here; fetching goes on beside everything else.

mod adding;
mod cache;
mod cutting;
mod error;
mod facts;
mod images;
mod local;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use traind_protocol::ids::{ChunkId, ManifestId, NodeId};
use traind_protocol::ledger::{DataSetRecord, Ledger, LedgerCommand, set_names};
use traind_store::Chunks;

pub use adding::{CONVERTED_PREFIX, CutSet, SetForm};
pub use error::DataSetError;
pub use facts::{FILES_MAX, FileFacts, SetFacts};
pub use local::is_half_made;

use crate::council::{CouncilInbox, Published};
use crate::session::{SetPaths, chain_of};
use crate::transfer::Transfers;

/// Pause before a fetch that failed, as for want of space, is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(5);

/// What data sets need of the daemon.
pub struct DataSetParts {
    /// This node.
    pub node: NodeId,
    /// Where their files are.
    pub folder: PathBuf,
    /// Bytes of the disk that all sets may take; `None` is no limit.
    pub bytes_max: Option<u64>,
    /// Where their chunks are.
    pub chunks: Arc<Chunks>,
    /// How chunks come.
    pub transfers: Transfers,
    /// The ledger.
    pub published: watch::Receiver<Arc<Published>>,
    /// The council's queue.
    pub council: mpsc::Sender<CouncilInbox>,
}

/// A handle of the data sets.
#[derive(Clone)]
pub struct DataSets {
    inner: Arc<Inner>,
}

struct Inner {
    parts: DataSetParts,
    state: Mutex<State>,
    /// Where the disk that sets may take is bounded, they are fetched and made one at a time.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    /// By name of a set in the ledger: it is fetched and made once at a time.
    turns: BTreeMap<String, Arc<tokio::sync::Mutex<()>>>,
    /// Being fetched ahead of a job.
    fetching: BTreeSet<String>,
    /// In the ledger when it was looked at last.
    seen: BTreeMap<String, ManifestId>,
    /// On their way off this node: not claimed anew while their files are still here.
    leaving: BTreeMap<String, ManifestId>,
    /// Sets that jobs need and that find no room here, and why.
    refused: BTreeMap<String, String>,
    /// Bytes that came from other nodes.
    fetched: BTreeMap<ManifestId, u64>,
}

impl DataSets {
    /// Nothing is fetched yet.
    #[must_use]
    pub fn new(parts: DataSetParts) -> Self {
        Self { inner: Arc::new(Inner { parts, state: Mutex::default(), turn: tokio::sync::Mutex::new(()) }) }
    }

    /// Checks and cuts what is at `path`. It is in this node's store then, and not in the ledger yet.
    ///
    /// # Errors
    /// When the files cannot be read or trained on, or the disk is full.
    pub async fn cut(&self, name: String, path: PathBuf, form: SetForm) -> Result<CutSet, DataSetError> {
        if self.inner.parts.bytes_max.is_some() && self.record(&name).is_none() {
            let _turn = self.inner.turn.lock().await;
            let measured = path.clone();
            let bytes = tokio::task::spawn_blocking(move || adding::bytes_of(&measured)).await;
            self.inner.make_room(&name, bytes.unwrap_or(Err(DataSetError::Panicked))?).await?;
        }
        let chunks = Arc::clone(&self.inner.parts.chunks);
        let added = tokio::task::spawn_blocking(move || adding::add(&chunks, &name, &path, &form));
        added.await.unwrap_or(Err(DataSetError::Panicked))
    }

    /// Gives back what was cut and did not come into the ledger.
    pub async fn discard(&self, manifest: ManifestId) {
        let is_known = |record: &DataSetRecord| record.manifest == manifest;
        if self.inner.parts.published.borrow().ledger.data_sets.values().any(is_known) {
            return;
        }
        let chunks = Arc::clone(&self.inner.parts.chunks);
        let removed = tokio::task::spawn_blocking(move || chunks.remove_manifest(manifest)).await;
        if let Ok(Err(error)) = removed {
            tracing::warn!(error = chain_of(&error), "a data set that was refused is not removed");
        }
    }

    /// Waits until the files of a set are here, and says where.
    ///
    /// # Errors
    /// When the ledger has no such set, or it cannot be kept here.
    pub async fn ensure(&self, name: &str) -> Result<PathBuf, DataSetError> {
        let parts = &self.inner.parts;
        // Where nothing has to make room, one that cannot be had keeps no other waiting.
        let _turn = match parts.bytes_max {
            Some(_) => Some(self.inner.turn.lock().await),
            None => None,
        };
        let turn_of_set = Arc::clone(self.state().turns.entry(name.to_owned()).or_default());
        let _turn_of_set = turn_of_set.lock().await;
        let record = self.record(name).ok_or_else(|| DataSetError::Unknown { name: name.to_owned() })?;
        let manifest = record.manifest;
        if let Some(path) = local::path_of(&parts.folder, name, manifest) {
            self.inner.note_use(name, manifest);
            return Ok(path);
        }
        self.make_room(name, &record).await?;
        // Whoever is connected may have some of it: holders all, those that fetch it too what they have got.
        let summary = parts.transfers.fetch(manifest, Vec::new()).await?;
        *self.state().fetched.entry(manifest).or_default() += summary.bytes;
        tracing::info!(name, bytes = summary.bytes, wasted = summary.bytes_wasted, "data set is here");
        let (chunks, folder, name) = (Arc::clone(&parts.chunks), parts.folder.clone(), name.to_owned());
        let made = tokio::task::spawn_blocking(move || local::make(&chunks, &folder, &name, manifest));
        made.await.unwrap_or(Err(DataSetError::Panicked))
    }

    /// Makes room for the chunks and the files of a set.
    async fn make_room(&self, name: &str, record: &DataSetRecord) -> Result<(), DataSetError> {
        let has_chunks = self.inner.parts.chunks.manifest(record.manifest).is_ok();
        let needed = if has_chunks { record.bytes } else { record.bytes.saturating_mul(2) };
        let made = self.inner.make_room(name, needed).await;
        let mut state = self.inner.state();
        match &made {
            Err(error @ DataSetError::CacheFull { .. }) => {
                state.refused.insert(name.to_owned(), chain_of(error))
            }
            _ => state.refused.remove(name),
        };
        made
    }

    /// Why this node cannot keep a data set that a job names.
    #[must_use]
    pub fn refusal_of(&self, spec_toml: &str) -> Option<String> {
        let state = self.inner.state();
        set_names(spec_toml).iter().find_map(|name| state.refused.get(name).cloned())
    }

    /// The facts about a set and whether all its chunks are here.
    ///
    /// # Errors
    /// When its manifest is not here or damaged.
    pub async fn facts(&self, manifest: ManifestId) -> Result<(SetFacts, bool), DataSetError> {
        let chunks = Arc::clone(&self.inner.parts.chunks);
        let look = move || {
            let facts = SetFacts::of(&chunks.manifest(manifest)?)?;
            Ok((facts, chunks.missing_chunks(manifest)?.is_empty()))
        };
        tokio::task::spawn_blocking(look).await.unwrap_or(Err(DataSetError::Panicked))
    }

    /// Reads all chunks of a set; how many there are, and those that are damaged or missing.
    ///
    /// # Errors
    /// When its manifest is not here or damaged.
    pub async fn verify(&self, manifest: ManifestId) -> Result<(u64, Vec<ChunkId>), DataSetError> {
        let chunks = Arc::clone(&self.inner.parts.chunks);
        let verify = move || {
            let list: BTreeSet<ChunkId> =
                chunks.manifest(manifest)?.chunks.iter().map(|chunk| chunk.id).collect();
            let damaged = list.iter().filter(|id| chunks.verify(**id).is_err()).copied().collect();
            Ok((list.len() as u64, damaged))
        };
        tokio::task::spawn_blocking(verify).await.unwrap_or(Err(DataSetError::Panicked))
    }

    /// Bytes of a set that came from other nodes since this process started.
    #[must_use]
    pub fn bytes_fetched(&self, manifest: ManifestId) -> u64 {
        self.state().fetched.get(&manifest).copied().unwrap_or(0)
    }

    /// Where the sets that a job names are, as far as they are here.
    #[must_use]
    pub fn paths_of(&self, spec_toml: &str) -> SetPaths {
        let path = |name: String| {
            let manifest = self.record(&name)?.manifest;
            let path = local::path_of(&self.inner.parts.folder, &name, manifest)?;
            Some((name, path))
        };
        set_names(spec_toml).into_iter().filter_map(path).collect()
    }

    /// Whether nothing that a job names is still to come. What the ledger does not know never comes.
    #[must_use]
    pub fn is_ready(&self, spec_toml: &str) -> bool {
        let is_here = |name: &String| match self.record(name) {
            Some(record) => local::path_of(&self.inner.parts.folder, name, record.manifest).is_some(),
            None => true,
        };
        set_names(spec_toml).iter().all(is_here)
    }

    /// The ledger changed: fetches what jobs need, tells what is here, removes what is gone. Must be called on a runtime.
    pub(crate) fn follow(&self, ledger: &Ledger) {
        let parts = &self.inner.parts;
        let open = ledger.jobs.values().filter(|job| !job.has_ended());
        let needed: BTreeSet<String> = open.flat_map(|job| ledger.data_sets_of(job)).collect();
        for (name, record) in &ledger.data_sets {
            let is_here = local::path_of(&parts.folder, name, record.manifest).is_some();
            if is_here
                && !self.state().leaving.contains_key(name)
                && !record.holders.contains(&parts.node)
                && ledger.nodes.contains_key(&parts.node)
            {
                let command = LedgerCommand::NoteDataHolder {
                    name: name.clone(),
                    manifest: record.manifest,
                    node: parts.node,
                    holds: true,
                };
                // A full queue loses it; the next change of the ledger tells it again.
                let _ = parts.council.try_send(CouncilInbox::Propose(command));
            }
            if !is_here && needed.contains(name) && self.state().fetching.insert(name.clone()) {
                tokio::spawn(self.clone().prefetch(name.clone()));
            }
        }
        let now: BTreeMap<String, ManifestId> =
            ledger.data_sets.iter().map(|(name, record)| (name.clone(), record.manifest)).collect();
        self.state().turns.retain(|name, turn| now.contains_key(name) || Arc::strong_count(turn) > 1);
        let before = std::mem::replace(&mut self.state().seen, now.clone());
        for (name, manifest) in before {
            if now.get(&name) != Some(&manifest) {
                let (parts, name) = (Arc::clone(&self.inner), name);
                tokio::task::spawn_blocking(move || parts.remove(&name, manifest));
            }
        }
    }

    async fn prefetch(self, name: String) {
        while let Err(error) = self.ensure(&name).await {
            tracing::warn!(name, error = chain_of(&error), "data set is not here yet");
            if self.record(&name).is_none() {
                break;
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        }
        self.state().fetching.remove(&name);
        let ledger = self.inner.parts.published.borrow().clone();
        // It may be the last word that anybody hears for a while, so it says at once that this node holds it.
        self.follow(&ledger.ledger);
    }

    fn record(&self, name: &str) -> Option<DataSetRecord> {
        self.inner.parts.published.borrow().ledger.data_sets.get(name).cloned()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.inner.state()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn remove(&self, name: &str, manifest: ManifestId) {
        self.parts.transfers.forget(manifest);
        let removed = local::forget(&self.parts.folder, name, manifest)
            .and_then(|()| Ok(self.parts.chunks.remove_manifest(manifest)?));
        if let Err(error) = removed {
            tracing::warn!(name, error = chain_of(&error), "data set is not removed");
        }
    }
}

/// Where the files of sets are, below a data directory.
#[must_use]
pub fn folder_of(data_dir: &Path) -> PathBuf {
    data_dir.join("data")
}
