//! Checkpoints: chunks, a manifest file that names them, and an index of manifests in sled.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use traind_protocol::ids::{Chain, Digest, JobId};

use crate::checkpoint_record::CheckpointRecord;
use crate::chunk_directory::ChunkDirectory;
use crate::data_dir::DataDir;
use crate::index::Index;
use crate::manifest::{MANIFEST_BYTES_MAX, Manifest};
use crate::{Damage, StoreError, durable_file};

/// All checkpoints of a node. Manifest files are the truth, the index is what is listed.
pub(crate) struct Checkpoints {
    chunks: ChunkDirectory,
    manifests: PathBuf,
    index: Arc<Index>,
    tree: sled::Tree,
    /// Chunks that no manifest names yet must not be swept while they are written.
    writing: Mutex<()>,
}

impl Checkpoints {
    /// Opens them: makes the index agree with the manifests and sweeps what a crash left.
    pub(crate) fn open(data_dir: &DataDir, index: Arc<Index>) -> Result<Self, StoreError> {
        let chunks = ChunkDirectory::open(data_dir.chunks_path())?;
        let manifests = durable_file::create_directory(&data_dir.manifests_path())?;
        durable_file::sync_directory(data_dir.path())?;
        let tree = index.tree("checkpoints")?;
        let checkpoints = Self { chunks, manifests, index, tree, writing: Mutex::new(()) };
        checkpoints.reconcile()?;
        checkpoints.sweep()?;
        Ok(checkpoints)
    }

    pub(crate) fn write(
        &self,
        job: JobId,
        step: u64,
        chain: Chain,
        digest: Digest,
        state: &[u8],
    ) -> Result<CheckpointRecord, StoreError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let chunks = self.chunks.write(state)?;
        let count = u32::try_from(chunks.len()).expect("2^32 chunks are 16 PiB of memory");
        let record =
            CheckpointRecord { job, step, chain, digest, state_bytes: state.len() as u64, chunks: count };
        let manifest = Manifest { record, chunks }.encode();
        let bytes_max = usize::try_from(MANIFEST_BYTES_MAX).unwrap_or(usize::MAX);
        StoreError::check_length("the manifest of a checkpoint", &manifest, bytes_max)?;
        durable_file::write(&self.manifests, &Manifest::file_name(job, step), &manifest)?;
        durable_file::sync_directory(&self.manifests)?;
        self.tree
            .insert(key(job, step), encode(&record))
            .map_err(StoreError::index("insert a checkpoint"))?;
        self.index.flush()?;
        Ok(record)
    }

    pub(crate) fn read(&self, job: JobId, step: u64) -> Result<(CheckpointRecord, Vec<u8>), StoreError> {
        let manifest = self.read_manifest(job, step)?.ok_or(StoreError::NoSuchCheckpoint { job, step })?;
        let mut state = Vec::new();
        for (number, name) in manifest.chunks.iter().enumerate() {
            let content = self.chunks.read(*name, manifest.chunk_bytes(number))?;
            if number == 0 {
                // Not before the first chunk shows that the manifest has one of this size.
                state.reserve_exact(usize::try_from(manifest.record.state_bytes).unwrap_or(0));
            }
            state.extend_from_slice(&content);
        }
        Ok((manifest.record, state))
    }

    pub(crate) fn list(&self, job: Option<JobId>) -> Result<Vec<CheckpointRecord>, StoreError> {
        let prefix = job.map_or_else(Vec::new, |job| job.0.to_vec());
        let values = self.tree.scan_prefix(prefix).values();
        values.map(|value| decode(&value.map_err(StoreError::index("list checkpoints"))?)).collect()
    }

    /// Deletes the checkpoints of `job` at other steps than `keep`; says how many. A damaged manifest goes like any other.
    pub(crate) fn retain(&self, job: JobId, keep: &[u64]) -> Result<usize, StoreError> {
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut batch = sled::Batch::default();
        let mut deleted = 0;
        for (other, step) in self.manifest_names()? {
            if other == job && !keep.contains(&step) {
                durable_file::remove(&self.manifests.join(Manifest::file_name(job, step)))?;
                batch.remove(&key(job, step));
                deleted += 1;
            }
        }
        if deleted > 0 {
            // No chunk goes before the last trace of its manifest is gone for good.
            durable_file::sync_directory(&self.manifests)?;
            self.tree.apply_batch(batch).map_err(StoreError::index("delete checkpoints"))?;
            self.index.flush()?;
            self.sweep()?;
        }
        Ok(deleted)
    }

    fn reconcile(&self) -> Result<(), StoreError> {
        let mut truth = BTreeMap::new();
        for (job, step) in self.manifest_names()? {
            match self.read_manifest(job, step) {
                Ok(Some(manifest)) => {
                    truth.insert(key(job, step).to_vec(), encode(&manifest.record));
                }
                Ok(None) => {}
                Err(error @ StoreError::Damaged { .. }) => {
                    tracing::error!(%error, "a checkpoint is lost; its chunks are kept until its manifest is deleted");
                }
                Err(error) => return Err(error),
            }
        }
        let mut batch = sled::Batch::default();
        let mut changes = 0;
        for item in &self.tree {
            let (key, value) = item.map_err(StoreError::index("list checkpoints"))?;
            match truth.remove(&*key) {
                Some(record) if *record == *value => {}
                Some(record) => {
                    batch.insert(key, record);
                    changes += 1;
                }
                None => {
                    batch.remove(key);
                    changes += 1;
                }
            }
        }
        changes += truth.len();
        for (key, record) in truth {
            batch.insert(key, record);
        }
        if changes > 0 {
            tracing::info!(changes, "the index of checkpoints was made to agree with their manifests");
            self.tree.apply_batch(batch).map_err(StoreError::index("rebuild"))?;
            self.index.flush()?;
        }
        Ok(())
    }

    /// Removes what no manifest names. Does nothing while a manifest is damaged: its chunks are still worth something.
    fn sweep(&self) -> Result<(), StoreError> {
        for name in durable_file::names(&self.manifests)? {
            if name.ends_with(durable_file::UNFINISHED) {
                durable_file::remove(&self.manifests.join(name))?;
            }
        }
        let mut named = BTreeSet::new();
        for (job, step) in self.manifest_names()? {
            match self.read_manifest(job, step) {
                Ok(manifest) => named.extend(manifest.into_iter().flat_map(|manifest| manifest.chunks)),
                Err(StoreError::Damaged { .. }) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        let swept = self.chunks.sweep(&named)?;
        tracing::debug!(swept, "chunks swept");
        Ok(())
    }

    fn manifest_names(&self) -> Result<Vec<(JobId, u64)>, StoreError> {
        let names = durable_file::names(&self.manifests)?;
        Ok(names.iter().filter_map(|name| Manifest::parse_file_name(name)).collect())
    }

    fn read_manifest(&self, job: JobId, step: u64) -> Result<Option<Manifest>, StoreError> {
        let object = self.manifests.join(Manifest::file_name(job, step));
        let Some(bytes) = durable_file::read(&object, MANIFEST_BYTES_MAX)? else { return Ok(None) };
        match Manifest::decode(&bytes) {
            Some(manifest) if (manifest.record.job, manifest.record.step) == (job, step) => {
                Ok(Some(manifest))
            }
            _ => Err(StoreError::Damaged { object, damage: Damage::Content }),
        }
    }
}

fn key(job: JobId, step: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&job.0);
    key[8..].copy_from_slice(&step.to_be_bytes());
    key
}

fn encode(record: &CheckpointRecord) -> Vec<u8> {
    postcard::to_stdvec(record).expect("a record of fixed fields always has a form")
}

fn decode(bytes: &[u8]) -> Result<CheckpointRecord, StoreError> {
    postcard::from_bytes(bytes)
        .map_err(|source| StoreError::Index { operation: "read a checkpoint", source: Box::new(source) })
}
