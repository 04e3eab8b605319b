//! The limit on what data sets take on a node: those that no open job needs and that others hold too make room, the one
//! that was used longest ago first. The ledger lets a node go as a holder before anything is removed, and never the last
//! one, so two nodes that make room at a time lose nothing.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use traind_protocol::ids::ManifestId;
use traind_protocol::ledger::{DataSetRecord, Ledger, LedgerCommand};

use super::{DataSetError, Inner, local};
use crate::council::{CouncilInbox, Published};

/// A proposal that the ledger does not show after this long is made again.
const PROPOSE_AGAIN: Duration = Duration::from_millis(500);
/// Proposals of one release: so long may an election take.
const PROPOSALS_MAX: usize = 20;

/// A data set on this node that may go.
struct Idle {
    used: SystemTime,
    name: String,
    manifest: ManifestId,
    bytes: u64,
}

impl Inner {
    /// Makes room for `needed` more bytes on the disk; `name` is what they are for.
    ///
    /// # Errors
    /// [`DataSetError::CacheFull`] where what may go is not enough.
    pub(super) async fn make_room(self: &Arc<Self>, name: &str, needed: u64) -> Result<(), DataSetError> {
        let Some(bytes_max) = self.parts.bytes_max else { return Ok(()) };
        let full = |kept| DataSetError::CacheFull { name: name.to_owned(), needed, bytes_max, kept };
        let (inner, wanted) = (Arc::clone(self), name.to_owned());
        let looked = tokio::task::spawn_blocking(move || {
            let ledger = &inner.parts.published.borrow().clone().ledger;
            let taken: u64 = ledger.data_sets.iter().map(|(name, set)| inner.bytes_here(name, set)).sum();
            (taken, inner.idle(ledger, &wanted))
        });
        let (taken, mut idle) = looked.await.map_err(|_panicked| DataSetError::Panicked)?;
        idle.sort_by(|one, other| (one.used, &one.name).cmp(&(other.used, &other.name)));
        let mut surplus = taken.saturating_add(needed).saturating_sub(bytes_max);
        let may_go: u64 = idle.iter().map(|set| set.bytes).sum();
        if may_go < surplus {
            return Err(full(taken - may_go));
        }
        for set in idle {
            if surplus == 0 {
                break;
            }
            if !self.release(&set).await {
                return Err(full(surplus));
            }
            tracing::info!(name = set.name, bytes = set.bytes, "a data set makes room for another");
            surplus = surplus.saturating_sub(set.bytes);
            let inner = Arc::clone(self);
            let gone = set.name.clone();
            let removed = tokio::task::spawn_blocking(move || inner.remove(&set.name, set.manifest)).await;
            self.state().leaving.remove(&gone);
            removed.map_err(|_panicked| DataSetError::Panicked)?;
        }
        Ok(())
    }

    /// Waits until the ledger no longer counts on this node for a set; whether it does not.
    async fn release(&self, set: &Idle) -> bool {
        let (node, manifest) = (self.parts.node, set.manifest);
        // What is still here is not claimed anew meanwhile.
        self.state().leaving.insert(set.name.clone(), manifest);
        let is_released = |published: &Arc<Published>| {
            let record = published.ledger.data_sets.get(&set.name).filter(|set| set.manifest == manifest);
            record.is_none_or(|record| !record.holders.contains(&node))
        };
        let mut published = self.parts.published.clone();
        for _ in 0..PROPOSALS_MAX {
            let command =
                LedgerCommand::NoteDataHolder { name: set.name.clone(), manifest, node, holds: false };
            // A full queue loses it; it is said again.
            let _ = self.parts.council.try_send(CouncilInbox::Propose(command));
            let released = tokio::time::timeout(PROPOSE_AGAIN, published.wait_for(is_released)).await;
            if released.is_ok_and(|released| released.is_ok()) {
                return true;
            }
        }
        self.state().leaving.remove(&set.name);
        false
    }

    /// Bytes that a set takes on this disk: its chunks, and its files once a job needed them.
    fn bytes_here(&self, name: &str, record: &DataSetRecord) -> u64 {
        let has_chunks = self.parts.chunks.manifest(record.manifest).is_ok();
        let has_files = local::path_of(&self.parts.folder, name, record.manifest).is_some();
        record.bytes * (u64::from(has_chunks) + u64::from(has_files))
    }

    /// Sets here that no open job needs and that another node holds.
    fn idle(&self, ledger: &Ledger, wanted: &str) -> Vec<Idle> {
        let sets = ledger.data_sets.iter().filter(|(name, record)| {
            let others = record.holders.iter().any(|holder| *holder != self.parts.node);
            name.as_str() != wanted && others && ledger.user_of(name).is_none()
        });
        let idle = sets.map(|(name, record)| Idle {
            used: self.used_at(name, record.manifest),
            name: name.clone(),
            manifest: record.manifest,
            bytes: self.bytes_here(name, record),
        });
        idle.filter(|set| set.bytes > 0).collect()
    }

    /// When a job was last given the files of a set; long ago where none was.
    fn used_at(&self, name: &str, manifest: ManifestId) -> SystemTime {
        let folder = local::folder_here(&self.parts.folder, name, manifest);
        let modified = folder.and_then(|folder| folder.metadata().ok()?.modified().ok());
        modified.unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// Notes that a job is given the files of a set now. The time is kept with the files, over restarts.
    pub(super) fn note_use(&self, name: &str, manifest: ManifestId) {
        let folder = local::folder_here(&self.parts.folder, name, manifest);
        let noted = folder.map(|folder| File::open(folder)?.set_modified(SystemTime::now()));
        if let Some(Err(error)) = noted {
            tracing::debug!(name, %error, "the time of use of a data set is not kept");
        }
    }
}
