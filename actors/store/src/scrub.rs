//! Reading what is kept to see that it is still what was written, and what a store holds in numbers.

use std::collections::BTreeMap;
use std::path::PathBuf;

use traind_protocol::ids::{ChunkId, ManifestId};

use crate::chunks::{Chunks, read_all};
use crate::manifest_directory::Progress;
use crate::{Damage, StoreError, free_space};

/// Objects that a verification names at most; it counts all of them.
pub const DAMAGE_NAMED_MAX: usize = 256;

/// What a store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreStatus {
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

/// One object that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DamagedObject {
    /// The file.
    pub object: PathBuf,
    /// What is wrong with it.
    pub damage: Damage,
    /// Manifests that name it.
    pub manifests: Vec<ManifestId>,
}

/// How far a verification is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct VerifyProgress {
    /// Chunks that were read.
    pub chunks: u64,
    /// Chunks to be read.
    pub chunks_total: u64,
    /// Bytes of content that were read.
    pub bytes: u64,
}

/// What a verification found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// What was read in the end.
    pub progress: VerifyProgress,
    /// Objects that are damaged.
    pub damaged: u64,
    /// The first [`DAMAGE_NAMED_MAX`] of them.
    pub named: Vec<DamagedObject>,
}

impl Chunks {
    /// What there is, counted on the disk.
    ///
    /// # Errors
    /// When the file system or the index fails.
    pub fn status(&self) -> Result<StoreStatus, StoreError> {
        let mut status = StoreStatus {
            available_bytes: free_space::available(self.path())?,
            damaged: self.damaged().len() as u64,
            ..StoreStatus::default()
        };
        for record in self.manifests(None)? {
            match (record.is_whole, record.kind) {
                (false, _) => status.incoming += 1,
                (true, crate::ManifestKind::DataSet) => status.data_sets += 1,
                (true, _) => status.checkpoints += 1,
            }
        }
        for (id, bytes) in self.directory.list()?.0 {
            status.chunks += 1;
            status.chunk_bytes += bytes;
            if self.index.references(id)? == 0 {
                status.unnamed += 1;
                status.unnamed_bytes += bytes;
            }
        }
        Ok(status)
    }

    /// Reads every manifest and every chunk of this store, or, with `only`, that manifest and its chunks; `told` hears after
    /// each chunk how far it is, and stops the reading by `false`.
    ///
    /// # Errors
    /// What is no damage: the file system's, the index's.
    pub fn verify_all(
        &self,
        only: Option<ManifestId>,
        told: &mut dyn FnMut(VerifyProgress) -> bool,
    ) -> Result<Verified, StoreError> {
        let (_, unreadable) = read_all(&self.manifests)?;
        let mut found = Found::default();
        for name in unreadable.iter().filter(|name| only.is_none_or(|only| only == name.id)) {
            found.add(self.manifests.path_of(name), Damage::Content, vec![name.id]);
        }
        let mut wanted = self.wanted(only)?;
        if only.is_none() {
            // Those of a damaged manifest, of one that is still fetched, and those to be collected.
            for (id, _) in self.directory.list()?.0 {
                wanted.entry(id).or_default();
            }
        }
        let mut progress = VerifyProgress { chunks: 0, chunks_total: wanted.len() as u64, bytes: 0 };
        for (id, Wanted { bytes, manifests }) in wanted {
            let content = match bytes {
                Some(bytes) => self.get_ref(crate::ChunkRef { id, bytes }),
                None => self.directory.read(id),
            };
            match content {
                Ok(content) => progress.bytes += content.len() as u64,
                // Removed with its last manifest since the list was made.
                Err(StoreError::Damaged { damage: Damage::Missing, .. })
                    if self.index.references(id)? == 0 => {}
                Err(StoreError::Damaged { object, damage }) => found.add(object, damage, manifests),
                Err(error) => return Err(error),
            }
            progress.chunks += 1;
            if !told(progress) {
                break;
            }
        }
        Ok(Verified { progress, damaged: found.count, named: found.named })
    }

    /// The chunks that whole manifests name, `only` or all of them.
    fn wanted(&self, only: Option<ManifestId>) -> Result<BTreeMap<ChunkId, Wanted>, StoreError> {
        let mut wanted: BTreeMap<ChunkId, Wanted> = BTreeMap::new();
        for name in self.manifests.names()? {
            if name.progress != Progress::Whole || only.is_some_and(|only| only != name.id) {
                continue;
            }
            match self.manifests.read(&name) {
                Ok(Some(manifest)) => {
                    for chunk in &manifest.chunks {
                        let known = wanted.entry(chunk.id).or_default();
                        known.bytes = Some(chunk.bytes);
                        if known.manifests.last() != Some(&name.id) {
                            known.manifests.push(name.id);
                        }
                    }
                }
                Ok(None) | Err(StoreError::Damaged { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(wanted)
    }

    /// Reads the chunk after `cursor` in the order of names, one that a manifest names; whoever calls it now and then has read
    /// all in time. `Ok(None)` at the end. A damaged one is told to the listener and listed by [`Self::damaged`].
    ///
    /// # Errors
    /// What is no damage: the file system's, the index's.
    pub fn scrub_next(&self, cursor: Option<ChunkId>) -> Result<Option<ScrubbedChunk>, StoreError> {
        self.reopen_index()?;
        let Some(id) = self.index.chunk_after(cursor)? else { return Ok(None) };
        match self.get(id) {
            Ok(content) => Ok(Some(ScrubbedChunk { id, bytes: content.len() as u64, damage: None })),
            Err(StoreError::Damaged { .. }) if self.index.references(id)? == 0 => {
                Ok(Some(ScrubbedChunk { id, bytes: 0, damage: None }))
            }
            Err(StoreError::Damaged { damage, .. }) => {
                Ok(Some(ScrubbedChunk { id, bytes: 0, damage: Some(damage) }))
            }
            Err(error) => Err(error),
        }
    }
}

/// A chunk that the scrub read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScrubbedChunk {
    /// Its name: the cursor for the next one.
    pub id: ChunkId,
    /// Bytes of its content.
    pub bytes: u64,
    /// What is wrong with it.
    pub damage: Option<Damage>,
}

/// A chunk that is to be read.
#[derive(Default)]
struct Wanted {
    /// Bytes of its content, where a manifest says that.
    bytes: Option<u32>,
    manifests: Vec<ManifestId>,
}

#[derive(Default)]
struct Found {
    count: u64,
    named: Vec<DamagedObject>,
}

impl Found {
    fn add(&mut self, object: PathBuf, damage: Damage, manifests: Vec<ManifestId>) {
        self.count += 1;
        if self.named.len() < DAMAGE_NAMED_MAX {
            self.named.push(DamagedObject { object, damage, manifests });
        }
    }
}
