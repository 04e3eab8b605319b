//! Chunks and manifests: what checkpoints, data sets and joiners share.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use traind_protocol::ids::{ChunkId, ManifestId};

use crate::chunk_directory::{CHUNK_BYTES_MAX, ChunkDirectory, chunk_id};
use crate::chunk_index::{ChunkIndex, Contents, IndexedManifest};
use crate::data_dir::DataDir;
use crate::lease::{ChunkLease, LeaseTable};
use crate::manifest::{ChunkRef, chunk_ref};
use crate::manifest_directory::{ManifestDirectory, ManifestName, Progress};
use crate::options::StoreOptions;
use crate::{Damage, StoreError, free_space};

/// Told of chunks whose files are damaged or gone, by whoever can get them from another node.
pub type DamageListener = Box<dyn Fn(ChunkId) + Send + Sync>;

/// What is on a node's disk of chunks and manifests. Every call blocks; what it wrote is durable when a manifest names it.
///
/// To write: take a [`ChunkLease`], put chunks under it, put the manifest, drop the lease. To fetch from other nodes:
/// [`Self::begin_manifest`], put what [`Self::missing_chunks`] lists, in any order and over any number of restarts, then
/// [`Self::finish_manifest`].
pub struct Chunks {
    pub(crate) directory: ChunkDirectory,
    pub(crate) manifests: ManifestDirectory,
    pub(crate) index: ChunkIndex,
    pub(crate) leases: Arc<LeaseTable>,
    options: StoreOptions,
    path: PathBuf,
    /// One at a time changes which manifests there are, so that the index and the files change alike.
    changing: Mutex<()>,
    /// Chunks that a read or the scrub found damaged, until they are written again.
    damaged: Mutex<BTreeSet<ChunkId>>,
    listener: Mutex<Option<DamageListener>>,
    puts: AtomicU64,
}

impl Chunks {
    /// Opens both folders, makes the index agree with the manifests and sweeps what a crash left.
    pub(crate) fn open(data_dir: &DataDir, options: StoreOptions) -> Result<Self, StoreError> {
        let directory = ChunkDirectory::open(data_dir.chunks_path(), options.compression)?;
        let manifests = ManifestDirectory::open(data_dir.manifests_path())?;
        crate::durable_file::sync_directory(data_dir.path())?;
        let (contents, _damaged) = read_all(&manifests)?;
        let (index, differed) = ChunkIndex::open(data_dir.chunk_index_path(), &contents)?;
        if differed {
            tracing::info!("the index of chunks was made to agree with the manifests");
        }
        let chunks = Self {
            directory,
            manifests,
            index,
            leases: Arc::default(),
            options,
            path: data_dir.path().to_path_buf(),
            changing: Mutex::new(()),
            damaged: Mutex::default(),
            listener: Mutex::default(),
            puts: AtomicU64::new(0),
        };
        chunks.collect(false)?;
        Ok(chunks)
    }

    /// The data directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether so many bytes more may be written beside the chunks, as for copies of them.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`].
    pub fn check_space(&self, bytes: u64) -> Result<(), StoreError> {
        free_space::check(&self.path, bytes, self.options.reserve_bytes)
    }

    /// A lease without chunks.
    #[must_use]
    pub fn lease(&self) -> ChunkLease {
        ChunkLease::new(&self.leases)
    }

    /// Puts a chunk of 1 to [`CHUNK_BYTES_MAX`] bytes. One that is here and whole is not written again.
    ///
    /// # Errors
    /// [`StoreError::NoSpace`], a length that no chunk has, or the file system's.
    pub fn put(&self, lease: &mut ChunkLease, content: &[u8]) -> Result<ChunkRef, StoreError> {
        self.put_counted(lease, content).map(|(chunk, _written)| chunk)
    }

    /// Puts a chunk that came from elsewhere under this name.
    ///
    /// # Errors
    /// [`StoreError::WrongContent`] if it is another chunk's; nothing is written then. Else those of [`Self::put`].
    pub fn put_named(&self, lease: &mut ChunkLease, id: ChunkId, content: &[u8]) -> Result<(), StoreError> {
        StoreError::check_length("a chunk", content, CHUNK_BYTES_MAX)?;
        if chunk_id(content) != id {
            return Err(StoreError::WrongContent { id });
        }
        self.put(lease, content).map(|_chunk| ())
    }

    /// Like [`Self::put`]; also the bytes of the file that was written, if one was.
    pub(crate) fn put_counted(
        &self,
        lease: &mut ChunkLease,
        content: &[u8],
    ) -> Result<(ChunkRef, Option<u64>), StoreError> {
        StoreError::check_length("a chunk", content, CHUNK_BYTES_MAX)?;
        if content.is_empty() {
            return Err(StoreError::EmptyChunk);
        }
        let chunk = chunk_ref(content);
        // Held before it is looked for: from here on no sweep takes it.
        lease.hold(chunk.id);
        free_space::check(&self.path, content.len() as u64, self.options.reserve_bytes)?;
        let written = self.directory.write(chunk.id, content)?;
        self.puts.fetch_add(1, Ordering::Relaxed);
        if self.damaged_set().remove(&chunk.id) {
            tracing::info!(chunk = %chunk.id, "a damaged chunk was replaced");
        }
        Ok((chunk, written))
    }

    /// Chunks that were put since the store was opened, also those that were here: it grows for as long as somebody gets on.
    #[must_use]
    pub fn puts(&self) -> u64 {
        self.puts.load(Ordering::Relaxed)
    }

    /// The content of a chunk, verified.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] with the file, also if it is missing; the file system's.
    pub fn get(&self, id: ChunkId) -> Result<Vec<u8>, StoreError> {
        self.noting_damage(id, self.directory.read(id))
    }

    /// The content of a chunk of a manifest, verified against its name and its length there.
    ///
    /// # Errors
    /// Those of [`Self::get`].
    pub fn get_ref(&self, chunk: ChunkRef) -> Result<Vec<u8>, StoreError> {
        self.noting_damage(chunk.id, self.directory.read_sized(chunk.id, chunk.bytes))
    }

    /// Whether the file of a chunk is here, not known to be damaged. Its content is not read.
    ///
    /// # Errors
    /// The file system's.
    pub fn has(&self, id: ChunkId) -> Result<bool, StoreError> {
        Ok(!self.damaged_set().contains(&id) && self.directory.find(id)?.is_some())
    }

    /// Reads a chunk to see that it is what its name says.
    ///
    /// # Errors
    /// Those of [`Self::get`].
    pub fn verify(&self, id: ChunkId) -> Result<(), StoreError> {
        self.get(id).map(|_content| ())
    }

    /// Chunks that were found damaged or missing and were not written again since.
    #[must_use]
    pub fn damaged(&self) -> Vec<ChunkId> {
        self.damaged_set().iter().copied().collect()
    }

    /// Has `listener` called for each chunk that is known to be damaged or found so from here on, once until it is written
    /// again. It is called by whoever found it and must not block.
    pub fn on_damage(&self, listener: DamageListener) {
        let mut listens = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        self.damaged().into_iter().for_each(&listener);
        *listens = Some(listener);
    }

    /// Releases `lease` and removes those of its chunks that nothing names: what an attempt leaves that failed.
    ///
    /// # Errors
    /// When the file system or the index fails; the sweep at the next start removes them then.
    pub fn abandon(&self, lease: ChunkLease) -> Result<(), StoreError> {
        let chunks: BTreeSet<ChunkId> = lease.chunks().iter().copied().collect();
        drop(lease);
        self.reopen_index()?;
        self.unlink(chunks, &|_| false).map(|_freed| ())
    }

    /// Removes those of `candidates` that nobody names or leases; says how many and the bytes of their files.
    pub(crate) fn unlink(
        &self,
        candidates: impl IntoIterator<Item = ChunkId>,
        is_named: &dyn Fn(ChunkId) -> bool,
    ) -> Result<(u64, u64), StoreError> {
        let (mut count, mut bytes) = (0, 0);
        for id in candidates {
            let leases = self.leases.lock();
            if leases.contains_key(&id) || is_named(id) || self.index.references(id)? > 0 {
                continue;
            }
            bytes += self.directory.remove(id)?;
            drop(leases);
            self.damaged_set().remove(&id);
            count += 1;
        }
        Ok((count, bytes))
    }

    pub(crate) fn noting_damage<T>(
        &self,
        id: ChunkId,
        outcome: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        // Removed with its last manifest between two looks: nothing that anybody misses.
        let is_gone = matches!(outcome, Err(StoreError::Damaged { damage: Damage::Missing, .. }))
            && self.index.references(id).is_ok_and(|references| references == 0);
        let is_damaged = matches!(outcome, Err(StoreError::Damaged { .. })) && !is_gone;
        if is_damaged && self.damaged_set().insert(id) {
            let listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(listener) = listener.as_ref() {
                listener(id);
            }
        }
        outcome
    }

    pub(crate) fn changing(&self) -> MutexGuard<'_, ()> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes the index anew if an error closed it.
    pub(crate) fn reopen_index(&self) -> Result<(), StoreError> {
        if self.index.is_closed() {
            let (contents, _damaged) = read_all(&self.manifests)?;
            self.index.rebuild(&contents)?;
        }
        Ok(())
    }

    fn damaged_set(&self) -> MutexGuard<'_, BTreeSet<ChunkId>> {
        self.damaged.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn indexed(&self, id: ManifestId) -> Result<IndexedManifest, StoreError> {
        self.index.manifest(id)?.ok_or(StoreError::NoSuchManifest { id })
    }
}

/// What the readable manifests make together, and the names of those that are damaged.
pub(crate) fn read_all(manifests: &ManifestDirectory) -> Result<(Contents, Vec<ManifestName>), StoreError> {
    let mut contents = Contents::default();
    let mut damaged = Vec::new();
    for name in manifests.names()? {
        // The whole one counts where a crash left both.
        let whole = ManifestName { progress: Progress::Whole, ..name.clone() };
        if name.progress == Progress::Incoming && manifests.path_of(&whole).exists() {
            manifests.remove(&name)?;
            continue;
        }
        match manifests.read(&name) {
            Ok(Some(manifest)) => contents.add(name, &manifest),
            Ok(None) => {}
            Err(error @ StoreError::Damaged { .. }) => {
                tracing::error!(%error, "a manifest is lost; no chunk is swept until it is removed");
                damaged.push(name);
            }
            Err(error) => return Err(error),
        }
    }
    Ok((contents, damaged))
}
