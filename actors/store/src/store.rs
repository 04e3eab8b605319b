//! The store of a node.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use std::collections::BTreeSet;

use traind_protocol::ids::{Chain, Digest, JobId, ManifestId};

use crate::checkpoints::Checkpoints;
use crate::chunks::Chunks;
use crate::council_log::CouncilLog;
use crate::data_dir::DataDir;
use crate::local_values::LocalValues;
use crate::manifest::{Manifest, StateFacts};
use crate::options::StoreOptions;
use crate::records::Records;
use crate::{CheckpointRecord, StoreError};

/// Everything a node keeps on disk. All methods block and are durable when they return.
pub struct Store {
    council: CouncilLog,
    chunks: Arc<Chunks>,
    checkpoints: Checkpoints,
    local: LocalValues,
    /// Last, so that the lock outlives the files it guards.
    data_dir: DataDir,
}

impl Store {
    /// Opens the data directory at `path`, or makes it; rebuilds the index of checkpoints from their manifests where the
    /// two differ, and sweeps what a crash left half done.
    ///
    /// # Errors
    /// Those of [`DataDir::open`]; [`StoreError::RecordsLost`] when the council's log or local values are damaged, gone
    /// or older than they were; else the file system's and the index's.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_with(path, StoreOptions::default())
    }

    /// Like [`Self::open`], with what this node chose.
    ///
    /// # Errors
    /// Those of [`Self::open`].
    pub fn open_with(path: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let data_dir = DataDir::open_and_migrate(path)?;
        let records = Arc::new(Records::open(&data_dir)?);
        let chunks = Arc::new(Chunks::open(&data_dir, options)?);
        Ok(Self {
            council: CouncilLog::new(Arc::clone(&records)),
            checkpoints: Checkpoints::new(Arc::clone(&chunks), Arc::clone(&records)),
            local: LocalValues::open(records)?,
            chunks,
            data_dir,
        })
    }

    /// Chunks and manifests: what checkpoints, data sets and joiners share. Drop all handles before the store is opened
    /// again: the lock of the directory is the store's.
    #[must_use]
    pub fn chunks(&self) -> &Arc<Chunks> {
        &self.chunks
    }

    /// The data directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.data_dir.path()
    }

    /// Where the node's key is kept.
    #[must_use]
    pub fn identity_path(&self) -> PathBuf {
        self.data_dir.identity_path()
    }

    /// The council's log.
    #[must_use]
    pub fn council(&self) -> &CouncilLog {
        &self.council
    }

    /// Writes the `state` of `job` after `step`. A checkpoint of the same step is replaced, unless it is pinned.
    ///
    /// # Errors
    /// When the disk is full or fails; then there is no such checkpoint, or still the former one.
    pub fn write_checkpoint(
        &self,
        job: JobId,
        step: u64,
        chain: Chain,
        digest: Digest,
        state: &[u8],
    ) -> Result<CheckpointRecord, StoreError> {
        self.write_checkpoint_pieces(job, step, chain, digest, &[state])
    }

    /// As [`Self::write_checkpoint`], of a state that lies in several places, one after the other.
    ///
    /// # Errors
    /// As [`Self::write_checkpoint`].
    pub fn write_checkpoint_pieces(
        &self,
        job: JobId,
        step: u64,
        chain: Chain,
        digest: Digest,
        state: &[&[u8]],
    ) -> Result<CheckpointRecord, StoreError> {
        self.checkpoints.write(StateFacts { job, step, chain, digest }, state)
    }

    /// Reads a checkpoint and verifies the BLAKE3 and length of every file it consists of. Whether the state has the
    /// record's digest is the reader's to check.
    ///
    /// # Errors
    /// [`StoreError::NoSuchCheckpoint`], or [`StoreError::Damaged`] with the file's name.
    pub fn read_checkpoint(&self, job: JobId, step: u64) -> Result<(CheckpointRecord, Vec<u8>), StoreError> {
        self.checkpoints.read(job, step, None)
    }

    /// The same of the state with `digest`, where two of one step may be here: a pinned one of a lineage that was given up.
    ///
    /// # Errors
    /// As above.
    pub fn read_checkpoint_of(
        &self,
        job: JobId,
        step: u64,
        digest: Digest,
    ) -> Result<(CheckpointRecord, Vec<u8>), StoreError> {
        self.checkpoints.read(job, step, Some(digest))
    }

    /// The checkpoints of a job, or of all, by job and step.
    ///
    /// # Errors
    /// When the index fails.
    pub fn list_checkpoints(&self, job: Option<JobId>) -> Result<Vec<CheckpointRecord>, StoreError> {
        self.checkpoints.list(job)
    }

    /// The id and the manifest of a checkpoint that is whole here.
    ///
    /// # Errors
    /// [`StoreError::NoSuchCheckpoint`], or [`StoreError::Damaged`] with the file's name.
    pub fn checkpoint_manifest(&self, job: JobId, step: u64) -> Result<(ManifestId, Manifest), StoreError> {
        self.checkpoints.manifest(job, step)
    }

    /// Pins a manifest, or frees it. One that is pinned is not deleted by [`Self::retain`].
    ///
    /// # Errors
    /// When the index fails.
    pub fn pin(&self, id: ManifestId, is_pinned: bool) -> Result<(), StoreError> {
        self.checkpoints.pin(id, is_pinned)
    }

    /// All manifests that are pinned, here or not.
    ///
    /// # Errors
    /// When the index fails.
    pub fn pinned(&self) -> Result<BTreeSet<ManifestId>, StoreError> {
        self.checkpoints.pinned()
    }

    /// Deletes all checkpoints of `job` but those that are pinned or at the steps in `keep`; says how many were deleted.
    ///
    /// # Errors
    /// When the file system or the index fails; what is left is whole.
    pub fn retain(&self, job: JobId, keep: &[u64]) -> Result<usize, StoreError> {
        self.checkpoints.retain(job, keep)
    }

    /// Keeps a small value of this node.
    ///
    /// # Errors
    /// When key or value are too long, or the index fails.
    pub fn put_local(&self, key: &str, value: &[u8]) -> Result<(), StoreError> {
        self.local.put(key, value)
    }

    /// A value kept by [`Self::put_local`].
    ///
    /// # Errors
    /// When the index fails or the value is not what was written.
    pub fn get_local(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        self.local.get(key)
    }

    /// Notes that a peer was met at `address`. Beyond [`crate::PEERS_REMEMBERED_MAX`] the one met longest ago is forgotten.
    ///
    /// # Errors
    /// When the address is too long, or the index fails.
    pub fn remember_peer(&self, address: &str) -> Result<(), StoreError> {
        self.local.remember_peer(address)
    }

    /// Nobody is met at `address` any more. An address that is not known is no error.
    ///
    /// # Errors
    /// When the index fails.
    pub fn forget_peer(&self, address: &str) -> Result<(), StoreError> {
        self.local.forget_peer(address)
    }

    /// Addresses of peers, the one met last first.
    ///
    /// # Errors
    /// When the index fails.
    pub fn remembered_peers(&self) -> Result<Vec<String>, StoreError> {
        self.local.remembered_peers()
    }
}
