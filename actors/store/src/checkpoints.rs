//! Checkpoints: manifests of the states of jobs.

use std::collections::BTreeSet;
use std::sync::Arc;

use traind_protocol::ids::{Digest, JobId, ManifestId};

use crate::checkpoint_record::CheckpointRecord;
use crate::chunk_directory::CHUNK_BYTES_MAX;
use crate::chunks::Chunks;
use crate::cut_chunks::cut_chunks;
use crate::lease::ChunkLease;
use crate::manifest::{Manifest, ManifestBody, ManifestKind, StateFacts};
use crate::manifest_directory::{ManifestName, Progress};
use crate::records::Records;
use crate::{Damage, StoreError};

/// Before the id of a manifest that is pinned.
pub(crate) const PIN: &[u8] = b"p";

/// All checkpoints of a node, and which of them are pinned.
pub(crate) struct Checkpoints {
    chunks: Arc<Chunks>,
    records: Arc<Records>,
}

impl Checkpoints {
    pub(crate) fn new(chunks: Arc<Chunks>, records: Arc<Records>) -> Self {
        Self { chunks, records }
    }

    pub(crate) fn write(&self, facts: StateFacts, state: &[&[u8]]) -> Result<CheckpointRecord, StoreError> {
        let mut lease = self.chunks.lease();
        let written = self.write_leased(facts, state, &mut lease);
        if written.is_err() {
            // For want of space, most likely: what was taken is given back. The sweep does it if this fails too.
            if let Err(error) = self.chunks.abandon(lease) {
                tracing::warn!(%error, "chunks of a checkpoint that failed are left until the next start");
            }
        }
        written
    }

    fn write_leased(
        &self,
        facts: StateFacts,
        state: &[&[u8]],
        lease: &mut ChunkLease,
    ) -> Result<CheckpointRecord, StoreError> {
        let bytes: usize = state.iter().map(|piece| piece.len()).sum();
        let mut chunks = Vec::with_capacity(bytes.div_ceil(CHUNK_BYTES_MAX));
        let mut bytes_written = 0;
        cut_chunks(state, |content| {
            let (chunk, written) = self.chunks.put_counted(lease, content)?;
            chunks.push(chunk);
            bytes_written += written.unwrap_or(0);
            Ok(())
        })?;
        let manifest = Manifest { body: ManifestBody::Checkpoint(facts), chunks };
        let id = self.chunks.put_manifest(&manifest)?;
        let pinned = self.pinned()?;
        let others: Vec<_> = self
            .names(facts.job)?
            .into_iter()
            .filter(|name| name.checkpoint() == Some((facts.job, facts.step)))
            .filter(|name| name.id != id && !pinned.contains(&name.id))
            .collect();
        self.chunks.remove_named(&others)?;
        tracing::debug!(step = facts.step, bytes, bytes_written, "checkpoint written");
        record(id, &manifest)
    }

    pub(crate) fn read(
        &self,
        job: JobId,
        step: u64,
        digest: Option<Digest>,
    ) -> Result<(CheckpointRecord, Vec<u8>), StoreError> {
        let (id, manifest) = match digest {
            Some(digest) => self.manifest_of(job, step, digest)?,
            None => self.manifest(job, step)?,
        };
        let mut state = Vec::new();
        for (number, chunk) in manifest.chunks.iter().enumerate() {
            if let Some(next) = manifest.chunks.get(number + 1) {
                self.chunks.directory.read_ahead(next.id);
            }
            let content = self.chunks.get_ref(*chunk)?;
            if number == 0 {
                // Not before the first chunk shows that the manifest has one of this size.
                state.reserve_exact(usize::try_from(manifest.bytes()).unwrap_or(0));
            }
            state.extend_from_slice(&content);
        }
        Ok((record(id, &manifest)?, state))
    }

    /// The same of the state with this digest: one that is pinned may be of a lineage that was given up.
    fn manifest_of(
        &self,
        job: JobId,
        step: u64,
        digest: Digest,
    ) -> Result<(ManifestId, Manifest), StoreError> {
        for name in self.names(job)?.into_iter().filter(|name| name.checkpoint() == Some((job, step))) {
            let read = self.chunks.manifests.read(&name)?;
            let is_of = |manifest: &Manifest| matches!(manifest.body, ManifestBody::Checkpoint(facts) if facts.digest == digest);
            if let Some(manifest) = read.filter(is_of) {
                return Ok((name.id, manifest));
            }
        }
        Err(StoreError::NoSuchCheckpoint { job, step })
    }

    /// The id and manifest of a whole checkpoint.
    pub(crate) fn manifest(&self, job: JobId, step: u64) -> Result<(ManifestId, Manifest), StoreError> {
        let found = self.names(job)?.into_iter().rev().find(|name| name.checkpoint() == Some((job, step)));
        let name = found.ok_or(StoreError::NoSuchCheckpoint { job, step })?;
        match self.chunks.manifests.read(&name)? {
            Some(manifest) => Ok((name.id, manifest)),
            None => {
                let object = self.chunks.manifests.path_of(&name);
                Err(StoreError::Damaged { object, damage: Damage::Missing })
            }
        }
    }

    pub(crate) fn list(&self, job: Option<JobId>) -> Result<Vec<CheckpointRecord>, StoreError> {
        let mut records = Vec::new();
        for found in self.chunks.manifests(Some(ManifestKind::Checkpoint))? {
            if !found.is_whole {
                continue;
            }
            match self.chunks.manifest(found.id).and_then(|manifest| record(found.id, &manifest)) {
                Ok(record) if job.is_none_or(|job| job == record.job) => records.push(record),
                // Listed by nobody until its manifest is whole again; `verify` names it.
                Ok(_) | Err(StoreError::Damaged { .. } | StoreError::NoSuchManifest { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        records.sort_unstable_by_key(|record| (record.job, record.step));
        Ok(records)
    }

    /// Deletes the checkpoints of `job` at other steps than `keep` that are not pinned; says how many. A damaged manifest
    /// goes like any other.
    pub(crate) fn retain(&self, job: JobId, keep: &[u64]) -> Result<usize, StoreError> {
        let pinned = self.pinned()?;
        let names: Vec<ManifestName> = self
            .names(job)?
            .into_iter()
            .filter(|name| {
                let step = name.checkpoint().map(|(_, step)| step);
                step.is_some_and(|step| !keep.contains(&step)) && !pinned.contains(&name.id)
            })
            .collect();
        self.chunks.remove_named(&names)?;
        Ok(names.len())
    }

    /// Pins a manifest, or frees it: one that is pinned is not deleted by retention. Durable when this returns.
    pub(crate) fn pin(&self, id: ManifestId, is_pinned: bool) -> Result<(), StoreError> {
        if self.pinned()?.contains(&id) == is_pinned {
            return Ok(());
        }
        let key = [PIN, &id.0].concat();
        self.records.record(|_records| {
            let mut batch = sled::Batch::default();
            if is_pinned {
                batch.insert(key, &[]);
            } else {
                batch.remove(key);
            }
            Ok(batch)
        })
    }

    pub(crate) fn pinned(&self) -> Result<BTreeSet<ManifestId>, StoreError> {
        let keys = self.records.tree_of_records().scan_prefix(PIN).keys();
        keys.map(|key| {
            let key = key.map_err(StoreError::index("read pins"))?;
            let id = key.get(PIN.len()..).and_then(|id| id.try_into().ok());
            id.map(ManifestId)
                .ok_or_else(|| StoreError::RecordDamaged { what: format!("the pin {}", key.escape_ascii()) })
        })
        .collect()
    }

    /// The files of whole checkpoints of a job.
    fn names(&self, job: JobId) -> Result<Vec<ManifestName>, StoreError> {
        let is_job = |name: &ManifestName| {
            name.progress == Progress::Whole && name.checkpoint().is_some_and(|(of, _)| of == job)
        };
        Ok(self.chunks.manifests.names()?.into_iter().filter(is_job).collect())
    }
}

/// What is said of a checkpoint.
fn record(id: ManifestId, manifest: &Manifest) -> Result<CheckpointRecord, StoreError> {
    let ManifestBody::Checkpoint(StateFacts { job, step, chain, digest }) = manifest.body else {
        return Err(StoreError::NoSuchManifest { id });
    };
    let chunks = u32::try_from(manifest.chunks.len()).expect("a manifest has at most 2^19 chunks");
    Ok(CheckpointRecord { manifest: id, job, step, chain, digest, state_bytes: manifest.bytes(), chunks })
}
