//! The index of chunks and manifests: references counted in sled, all of it made from manifest files whenever the two differ.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};
use traind_protocol::ids::{ChunkId, ManifestId};

use crate::manifest::Manifest;
use crate::manifest_directory::{ManifestName, Progress};
use crate::{StoreError, durable_file};

/// Bytes of pages that sled keeps in memory: a reference is 40 bytes, and the index is read in order.
const CACHE_BYTES: u64 = 2 << 20;

const MANIFEST: u8 = b'm';
const CHUNK: u8 = b'c';

/// What the index says of a manifest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexedManifest {
    pub(crate) name: ManifestName,
    pub(crate) bytes: u64,
    pub(crate) chunks: u32,
}

/// Its form in sled; the id is the key.
#[derive(Serialize, Deserialize)]
struct ManifestValue {
    stem: String,
    incoming: bool,
    bytes: u64,
    chunks: u32,
}

/// What the manifests of a directory make together.
#[derive(Default)]
pub(crate) struct Contents {
    manifests: BTreeMap<ManifestId, IndexedManifest>,
    references: BTreeMap<ChunkId, u32>,
}

impl Contents {
    pub(crate) fn add(&mut self, name: ManifestName, manifest: &Manifest) {
        for chunk in &manifest.chunks {
            *self.references.entry(chunk.id).or_default() += 1;
        }
        self.manifests.insert(name.id, indexed(name, manifest));
    }

    pub(crate) fn names(&self, id: ChunkId) -> bool {
        self.references.contains_key(&id)
    }

    fn entries(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let manifests =
            self.manifests.values().map(|manifest| (manifest_key(manifest.name.id), value(manifest)));
        let chunks = self.references.iter().map(|(id, count)| (chunk_key(*id), count.to_le_bytes().to_vec()));
        manifests.chain(chunks).collect()
    }
}

/// The database. An error closes it: whoever comes next finds it made anew.
pub(crate) struct ChunkIndex {
    path: PathBuf,
    open: Mutex<Option<Open>>,
}

struct Open {
    db: sled::Db,
    /// sled's own file: its flush leaves the size of the file and the cache of the disk behind.
    file: File,
}

impl ChunkIndex {
    /// Opens it and makes it agree with `contents`; says whether it did not.
    pub(crate) fn open(path: PathBuf, contents: &Contents) -> Result<(Self, bool), StoreError> {
        let index = Self { path, open: Mutex::new(None) };
        let differed = match index.agree(contents) {
            Ok(differed) => differed,
            Err(error) => {
                tracing::warn!(error = %error, "the index of chunks is damaged and made anew from the manifests");
                index.rebuild(contents)?;
                true
            }
        };
        Ok((index, differed))
    }

    /// Throws the index away and makes it from `contents`.
    pub(crate) fn rebuild(&self, contents: &Contents) -> Result<(), StoreError> {
        let mut slot = self.slot();
        *slot = None;
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(StoreError::file("remove", &self.path)(error));
            }
            _ => {}
        }
        let open = Open::new(&self.path)?;
        open.apply(batch_of(contents.entries()))?;
        *slot = Some(open);
        Ok(())
    }

    fn agree(&self, contents: &Contents) -> Result<bool, StoreError> {
        let open = Open::new(&self.path)?;
        let mut missing = contents.entries();
        let mut batch = sled::Batch::default();
        let mut differs = false;
        for item in open.db.iter() {
            let (key, found) = item.map_err(StoreError::index("read"))?;
            match missing.remove(&*key) {
                Some(expected) if *expected == *found => {}
                Some(expected) => {
                    batch.insert(key, expected);
                    differs = true;
                }
                None => {
                    batch.remove(key);
                    differs = true;
                }
            }
        }
        differs |= !missing.is_empty();
        for (key, expected) in missing {
            batch.insert(key, expected);
        }
        if differs {
            open.apply(batch)?;
        }
        *self.slot() = Some(open);
        Ok(differs)
    }

    /// Whether an error closed the index, so that it has to be made anew.
    pub(crate) fn is_closed(&self) -> bool {
        self.slot().is_none()
    }

    /// A manifest is there, or it became whole.
    pub(crate) fn insert(&self, name: ManifestName, manifest: &Manifest) -> Result<(), StoreError> {
        self.with(|open| {
            let key = manifest_key(name.id);
            let is_new = open.db.get(&key).map_err(StoreError::index("read a manifest"))?.is_none();
            let mut batch = sled::Batch::default();
            if is_new {
                for (id, count) in counted(manifest) {
                    batch.insert(chunk_key(id), &(open.references(id)? + count).to_le_bytes());
                }
            }
            batch.insert(key, value(&indexed(name, manifest)));
            open.apply(batch)
        })
    }

    /// A manifest is gone; gives the chunks that nothing names any more. One that is not there is no error.
    pub(crate) fn remove(&self, id: ManifestId, manifest: &Manifest) -> Result<Vec<ChunkId>, StoreError> {
        self.with(|open| {
            let key = manifest_key(id);
            if open.db.get(&key).map_err(StoreError::index("read a manifest"))?.is_none() {
                return Ok(Vec::new());
            }
            let mut batch = sled::Batch::default();
            batch.remove(key);
            let mut free = Vec::new();
            for (id, count) in counted(manifest) {
                let left = open.references(id)?.saturating_sub(count);
                if left == 0 {
                    batch.remove(chunk_key(id));
                    free.push(id);
                } else {
                    batch.insert(chunk_key(id), &left.to_le_bytes());
                }
            }
            open.apply(batch)?;
            Ok(free)
        })
    }

    /// How many times manifests name a chunk.
    pub(crate) fn references(&self, id: ChunkId) -> Result<u32, StoreError> {
        self.with(|open| open.references(id))
    }

    /// The chunk that follows `cursor` in the order of names, the first one without.
    pub(crate) fn chunk_after(&self, cursor: Option<ChunkId>) -> Result<Option<ChunkId>, StoreError> {
        self.with(|open| {
            let from = cursor.map_or_else(|| vec![CHUNK], |id| [chunk_key(id), vec![0]].concat());
            let next = open.db.range(from..vec![CHUNK + 1]).next().transpose();
            let next = next.map_err(StoreError::index("read a chunk"))?;
            Ok(next.and_then(|(key, _)| Some(ChunkId(key.get(1..)?.try_into().ok()?))))
        })
    }

    /// All manifests by id.
    pub(crate) fn manifests(&self) -> Result<Vec<IndexedManifest>, StoreError> {
        self.with(|open| {
            let items = open.db.scan_prefix([MANIFEST]);
            items
                .map(|item| {
                    let (key, bytes) = item.map_err(StoreError::index("list manifests"))?;
                    decode(&key, &bytes).ok_or_else(|| StoreError::RecordDamaged {
                        what: format!("the manifest at {}", key.escape_ascii()),
                    })
                })
                .collect()
        })
    }

    /// A manifest by id.
    pub(crate) fn manifest(&self, id: ManifestId) -> Result<Option<IndexedManifest>, StoreError> {
        self.with(|open| {
            let key = manifest_key(id);
            let found = open.db.get(&key).map_err(StoreError::index("read a manifest"))?;
            Ok(found.and_then(|bytes| decode(&key, &bytes)))
        })
    }

    fn with<T>(&self, work: impl FnOnce(&Open) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut slot = self.slot();
        let Some(open) = slot.as_ref() else {
            return Err(StoreError::IndexClosed { path: self.path.clone() });
        };
        let outcome = work(open);
        if outcome.is_err() {
            // After one failed write sled refuses all others, and what it holds is uncertain. The files are the truth.
            *slot = None;
        }
        outcome
    }

    fn slot(&self) -> MutexGuard<'_, Option<Open>> {
        // Whatever panicked meanwhile, the database's batches are whole or absent.
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Open {
    fn new(path: &PathBuf) -> Result<Self, StoreError> {
        durable_file::create_directory(path)?;
        durable_file::wait_for_database(path).map_err(StoreError::file("lock", path))?;
        let config = sled::Config::new().path(path).cache_capacity(CACHE_BYTES).flush_every_ms(None);
        // sled asserts on some damage instead of reporting it.
        let opened = catch_unwind(AssertUnwindSafe(|| config.open())).map_err(|_panic| {
            StoreError::RecordDamaged { what: format!("the index at {}", path.display()) }
        })?;
        let db = opened.map_err(StoreError::index("open"))?;
        let file = File::open(path.join("db")).map_err(StoreError::file("open", path.join("db")))?;
        Ok(Self { db, file })
    }

    fn apply(&self, batch: sled::Batch) -> Result<(), StoreError> {
        self.db.apply_batch(batch).map_err(StoreError::index("write"))?;
        self.db.flush().map_err(StoreError::index("flush"))?;
        self.file.sync_data().map_err(StoreError::file("sync", "index/db"))
    }

    fn references(&self, id: ChunkId) -> Result<u32, StoreError> {
        let found = self.db.get(chunk_key(id)).map_err(StoreError::index("read a chunk"))?;
        Ok(found.and_then(|bytes| Some(u32::from_le_bytes((*bytes).try_into().ok()?))).unwrap_or(0))
    }
}

fn counted(manifest: &Manifest) -> BTreeMap<ChunkId, u32> {
    let mut counts = BTreeMap::new();
    for chunk in &manifest.chunks {
        *counts.entry(chunk.id).or_default() += 1;
    }
    counts
}

fn batch_of(entries: BTreeMap<Vec<u8>, Vec<u8>>) -> sled::Batch {
    let mut batch = sled::Batch::default();
    for (key, value) in entries {
        batch.insert(key, value);
    }
    batch
}

fn indexed(name: ManifestName, manifest: &Manifest) -> IndexedManifest {
    let chunks = u32::try_from(manifest.chunks.len()).expect("a manifest has at most 2^19 chunks");
    IndexedManifest { name, bytes: manifest.bytes(), chunks }
}

fn manifest_key(id: ManifestId) -> Vec<u8> {
    [&[MANIFEST], id.0.as_slice()].concat()
}

fn chunk_key(id: ChunkId) -> Vec<u8> {
    [&[CHUNK], id.0.as_slice()].concat()
}

fn value(manifest: &IndexedManifest) -> Vec<u8> {
    let incoming = manifest.name.progress == Progress::Incoming;
    let stem = manifest.name.stem.clone();
    let value = ManifestValue { stem, incoming, bytes: manifest.bytes, chunks: manifest.chunks };
    postcard::to_stdvec(&value).expect("strings and integers always have a form")
}

fn decode(key: &[u8], bytes: &[u8]) -> Option<IndexedManifest> {
    let id = ManifestId(key.get(1..)?.try_into().ok()?);
    let ManifestValue { stem, incoming, bytes, chunks } = postcard::from_bytes(bytes).ok()?;
    let progress = if incoming { Progress::Incoming } else { Progress::Whole };
    Some(IndexedManifest { name: ManifestName { stem, id, progress }, bytes, chunks })
}
