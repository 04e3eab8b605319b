//! What a node keeps on its disk, and whether it is still what was written.

use serde::{Deserialize, Serialize};
use traind_store::{Collected, StoreStatus, Verified, VerifyProgress};

/// What a store holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreReport {
    /// The data directory.
    pub data_dir: String,
    /// Whole checkpoints.
    pub checkpoints: u64,
    /// Data sets, whole.
    pub data_sets: u64,
    /// Manifests whose chunks are still fetched.
    pub incoming: u64,
    /// Chunks on the disk.
    pub chunks: u64,
    /// Bytes of their files.
    pub chunk_bytes: u64,
    /// Chunks that nothing names: being written, or to be collected.
    pub unnamed: u64,
    /// Bytes of their files.
    pub unnamed_bytes: u64,
    /// Chunks that were found damaged and not written again since.
    pub damaged: u64,
    /// Bytes of the disk that are free.
    pub available_bytes: u64,
}

/// How far a look at every byte is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreProgress {
    /// Chunks that were read.
    pub chunks: u64,
    /// Chunks to be read.
    pub chunks_total: u64,
    /// Bytes that were read.
    pub bytes: u64,
}

/// What a look at every byte found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreVerified {
    /// Chunks that were read.
    pub chunks: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Objects that are damaged or missing.
    pub damaged: u64,
    /// The first of them.
    pub objects: Vec<DamagedFile>,
}

/// One object that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DamagedFile {
    /// The file.
    pub file: String,
    /// What is wrong with it.
    pub damage: String,
    /// Manifests that name it, in hexadecimal; of a manifest its own id.
    pub manifests: Vec<String>,
}

/// What was removed, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreCollected {
    /// Whether it was only looked.
    pub dry_run: bool,
    /// Chunks that nothing names.
    pub chunks: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Damaged manifests: while there is one no chunk is removed, because it may have named any.
    pub manifests_damaged: u64,
}

impl StoreReport {
    /// What was counted in the store of `data_dir`.
    #[must_use]
    pub fn of(data_dir: String, status: &StoreStatus) -> Self {
        Self {
            data_dir,
            checkpoints: status.checkpoints,
            data_sets: status.data_sets,
            incoming: status.incoming,
            chunks: status.chunks,
            chunk_bytes: status.chunk_bytes,
            unnamed: status.unnamed,
            unnamed_bytes: status.unnamed_bytes,
            damaged: status.damaged,
            available_bytes: status.available_bytes,
        }
    }
}

impl From<VerifyProgress> for StoreProgress {
    fn from(progress: VerifyProgress) -> Self {
        Self { chunks: progress.chunks, chunks_total: progress.chunks_total, bytes: progress.bytes }
    }
}

impl From<Verified> for StoreVerified {
    fn from(verified: Verified) -> Self {
        let objects = verified.named.iter().map(|object| DamagedFile {
            file: object.object.display().to_string(),
            damage: object.damage.to_string(),
            manifests: object.manifests.iter().map(|id| id.to_hex()).collect(),
        });
        Self {
            chunks: verified.progress.chunks,
            bytes: verified.progress.bytes,
            damaged: verified.damaged,
            objects: objects.collect(),
        }
    }
}

impl StoreCollected {
    /// What a sweep found.
    #[must_use]
    pub fn of(dry_run: bool, collected: Collected) -> Self {
        let Collected { chunks, bytes, manifests_damaged } = collected;
        Self { dry_run, chunks, bytes, manifests_damaged }
    }
}
