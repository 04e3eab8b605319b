//! The limit on what data sets take on a node: those that no open job needs and that others hold too make room, the one
//! that was used longest ago first.

use std::fs::File;
use std::time::SystemTime;

use tokio::sync::mpsc;
use traind_protocol::ids::ManifestId;
use traind_protocol::ledger::{DataSetRecord, Ledger, LedgerCommand};

use super::{DataSetError, Inner, local};
use crate::council::CouncilInbox;

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
    /// [`DataSetError::CacheFull`] where what may go is not enough. Nothing has gone then.
    pub(super) fn make_room(&self, ledger: &Ledger, name: &str, needed: u64) -> Result<(), DataSetError> {
        let Some(bytes_max) = self.parts.bytes_max else { return Ok(()) };
        let taken: u64 = ledger.data_sets.iter().map(|(name, record)| self.bytes_here(name, record)).sum();
        let mut surplus = taken.saturating_add(needed).saturating_sub(bytes_max);
        let mut idle = self.idle(ledger, name);
        idle.sort_by(|one, other| (one.used, &one.name).cmp(&(other.used, &other.name)));
        let may_go: u64 = idle.iter().map(|set| set.bytes).sum();
        if may_go < surplus {
            let (name, kept) = (name.to_owned(), taken - may_go);
            return Err(DataSetError::CacheFull { name, needed, bytes_max, kept });
        }
        for set in idle {
            if surplus == 0 {
                break;
            }
            tracing::info!(name = set.name, bytes = set.bytes, "a data set makes room for another");
            surplus = surplus.saturating_sub(set.bytes);
            self.remove(&set.name, set.manifest);
            self.state().evicted.insert(set.name.clone(), set.manifest);
            self.say_evicted(ledger, &self.parts.council);
        }
        Ok(())
    }

    /// Tells the ledger what is no longer here, again until it shows it.
    pub(super) fn say_evicted(&self, ledger: &Ledger, council: &mpsc::Sender<CouncilInbox>) {
        let node = self.parts.node;
        let is_told = |name: &String, manifest: &ManifestId| {
            let record = ledger.data_sets.get(name).filter(|record| record.manifest == *manifest);
            record.is_none_or(|record| !record.holders.contains(&node))
        };
        let mut state = self.state();
        state.evicted.retain(|name, manifest| !is_told(name, manifest));
        for (name, manifest) in &state.evicted {
            let (name, manifest) = (name.clone(), *manifest);
            let command = LedgerCommand::NoteDataHolder { name, manifest, node, holds: false };
            // A full queue loses it; the next change of the ledger tells it again.
            let _ = council.try_send(CouncilInbox::Propose(command));
        }
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
