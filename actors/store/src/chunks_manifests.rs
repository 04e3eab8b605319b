//! Manifests: put, fetched piece by piece, listed, removed; and the sweep of what none of them names.

use std::collections::BTreeSet;

use traind_protocol::ids::{ChunkId, ManifestId};

use crate::chunks::{Chunks, read_all};
use crate::manifest::{ChunkRef, Manifest, ManifestKind};
use crate::manifest_directory::{ManifestName, Progress};
use crate::{StoreError, durable_file};

/// A manifest of this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ManifestRecord {
    /// Its id.
    pub id: ManifestId,
    /// Its kind.
    pub kind: ManifestKind,
    /// Bytes of its chunks' contents.
    pub bytes: u64,
    /// How many chunks it names.
    pub chunks: u32,
    /// Whether all of them were here; not so while it is fetched.
    pub is_whole: bool,
}

/// What a sweep removed, or would remove.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Collected {
    /// Chunks that nothing names.
    pub chunks: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Damaged manifests: while there is one no chunk is removed, because it may have named any.
    pub manifests_damaged: u64,
}

impl Chunks {
    /// Puts a manifest whose chunks are all here, best under a lease. It is durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::Incomplete`] if a chunk is missing; [`StoreError::MalformedManifest`]; the file system's or the index's.
    /// Nothing has changed then.
    pub fn put_manifest(&self, manifest: &Manifest) -> Result<ManifestId, StoreError> {
        self.insert_manifest(manifest, Progress::Whole)
    }

    /// Notes a manifest whose chunks are yet to be fetched: from here on those that come are not swept, also after a
    /// restart. A manifest that is here already stays as it is.
    ///
    /// # Errors
    /// Those of [`Self::put_manifest`] but for missing chunks.
    pub fn begin_manifest(&self, manifest: &Manifest) -> Result<ManifestId, StoreError> {
        self.insert_manifest(manifest, Progress::Incoming)
    }

    /// The chunks of a manifest that are not here or known to be damaged, in order, each once.
    ///
    /// # Errors
    /// [`StoreError::NoSuchManifest`]; [`StoreError::Damaged`] if the manifest is; the file system's.
    pub fn missing_chunks(&self, id: ManifestId) -> Result<Vec<ChunkRef>, StoreError> {
        self.missing_of(&self.manifest(id)?)
    }

    /// A manifest that was begun is whole from here on.
    ///
    /// # Errors
    /// [`StoreError::Incomplete`] while chunks are missing; those of [`Self::missing_chunks`].
    pub fn finish_manifest(&self, id: ManifestId) -> Result<(), StoreError> {
        let _changing = self.changing();
        let name = self.indexed(id)?.name;
        if name.progress == Progress::Whole {
            return Ok(());
        }
        let manifest = self.read_manifest(&name)?;
        self.check_complete(id, &manifest)?;
        self.directory.sync()?;
        let whole = self.manifests.promote(&name)?;
        self.index.insert(whole, &manifest).or_else(|_error| self.reopen_index())
    }

    /// A manifest of this node, whole or incoming.
    ///
    /// # Errors
    /// [`StoreError::NoSuchManifest`]; [`StoreError::Damaged`]; the file system's.
    pub fn manifest(&self, id: ManifestId) -> Result<Manifest, StoreError> {
        self.reopen_index()?;
        self.read_manifest(&self.indexed(id)?.name)
    }

    /// All manifests of a kind, or of all kinds, by what they are of.
    ///
    /// # Errors
    /// When the index fails.
    pub fn manifests(&self, kind: Option<ManifestKind>) -> Result<Vec<ManifestRecord>, StoreError> {
        self.reopen_index()?;
        let mut found = self.index.manifests()?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        let records = found.into_iter().map(|indexed| ManifestRecord {
            id: indexed.name.id,
            kind: indexed.name.kind(),
            bytes: indexed.bytes,
            chunks: indexed.chunks,
            is_whole: indexed.name.progress == Progress::Whole,
        });
        Ok(records.filter(|record| kind.is_none_or(|kind| kind == record.kind)).collect())
    }

    /// Removes a manifest and the chunks that nothing else names; `false` if there is none. A damaged one goes like any other.
    ///
    /// # Errors
    /// When the file system or the index fails; what is left is whole.
    pub fn remove_manifest(&self, id: ManifestId) -> Result<bool, StoreError> {
        let names: Vec<_> = self.manifests.names()?.into_iter().filter(|name| name.id == id).collect();
        self.remove_named(&names)?;
        Ok(!names.is_empty())
    }

    /// Removes the manifests of these files.
    pub(crate) fn remove_named(&self, names: &[ManifestName]) -> Result<(), StoreError> {
        if names.is_empty() {
            return Ok(());
        }
        let _changing = self.changing();
        self.reopen_index()?;
        let mut removed = Vec::new();
        let mut was_damaged = false;
        for name in names {
            match self.manifests.read(name) {
                Ok(Some(manifest)) => removed.push((name.id, manifest)),
                Ok(None) => {}
                Err(StoreError::Damaged { .. }) => was_damaged = true,
                Err(error) => return Err(error),
            }
            self.manifests.remove(name)?;
        }
        // No chunk goes before the last trace of its manifest is gone for good.
        self.manifests.sync()?;
        let mut free = BTreeSet::new();
        for (id, manifest) in &removed {
            free.extend(self.index.remove(*id, manifest)?);
        }
        if was_damaged {
            // What it named is known to nobody but the manifests that are left.
            return self.sweep(false).map(|_collected| ());
        }
        self.unlink(free, &|_| false).map(|_freed| ())
    }

    /// Removes what no manifest names and nobody leases; `dry_run`: only says what that is.
    ///
    /// # Errors
    /// When the file system or the index fails; what is left is whole.
    pub fn collect(&self, dry_run: bool) -> Result<Collected, StoreError> {
        let _changing = self.changing();
        self.reopen_index()?;
        self.sweep(dry_run)
    }

    /// Makes the index anew from the manifests; says how many there are.
    ///
    /// # Errors
    /// When the file system fails.
    pub fn rebuild_index(&self) -> Result<u64, StoreError> {
        let _changing = self.changing();
        let (contents, _damaged) = read_all(&self.manifests)?;
        self.index.rebuild(&contents)?;
        Ok(self.index.manifests()?.len() as u64)
    }

    fn sweep(&self, dry_run: bool) -> Result<Collected, StoreError> {
        if !dry_run {
            self.manifests.sweep()?;
        }
        // The files and the index must both know nothing of a chunk before it goes.
        let (contents, damaged) = read_all(&self.manifests)?;
        let mut collected = Collected { manifests_damaged: damaged.len() as u64, ..Collected::default() };
        let (chunks, unfinished) = self.directory.list()?;
        let candidates = chunks.iter().filter(|(id, _)| !contents.names(**id));
        if dry_run {
            for (id, bytes) in candidates {
                if !self.leases.lock().contains_key(id) && self.index.references(*id)? == 0 {
                    collected.chunks += 1;
                    collected.bytes += bytes;
                }
            }
            return Ok(collected);
        }
        self.remove_unfinished(&unfinished)?;
        if damaged.is_empty() {
            let candidates: Vec<ChunkId> = candidates.map(|(id, _)| *id).collect();
            (collected.chunks, collected.bytes) = self.unlink(candidates, &|id| contents.names(id))?;
        }
        Ok(collected)
    }

    /// Files that are being written belong to leased chunks; all others a crash left.
    fn remove_unfinished(&self, unfinished: &[std::path::PathBuf]) -> Result<(), StoreError> {
        for path in unfinished {
            let id = path
                .file_name()
                .and_then(|name| name.to_str())
                .and_then(|name| ChunkId::from_hex(name.split('.').next().unwrap_or_default()));
            let leases = self.leases.lock();
            if id.is_none_or(|id| !leases.contains_key(&id)) {
                durable_file::remove(path)?;
            }
        }
        Ok(())
    }

    fn insert_manifest(&self, manifest: &Manifest, progress: Progress) -> Result<ManifestId, StoreError> {
        let (id, text) = manifest.encode().map_err(StoreError::malformed("put"))?;
        let _changing = self.changing();
        self.reopen_index()?;
        let known = self.index.manifest(id)?;
        if known
            .as_ref()
            .is_some_and(|known| known.name.progress <= progress && self.is_readable(&known.name))
        {
            return Ok(id);
        }
        if progress == Progress::Whole {
            self.check_complete(id, manifest)?;
        }
        // Names of chunks before the manifest that counts on them.
        self.directory.sync()?;
        self.check_space(text.len() as u64)?;
        let name = ManifestName::of(manifest, id, progress);
        self.manifests.write(&name, &text)?;
        if let Some(incoming) = known.map(|known| known.name).filter(|known| *known != name) {
            self.manifests.remove(&incoming)?;
        }
        // The file is the truth. Where the index fails it is made anew, and only if that fails too the file goes again.
        let indexed = self.index.insert(name.clone(), manifest).or_else(|_error| self.reopen_index());
        if indexed.is_err() {
            self.manifests.remove(&name)?;
            self.manifests.sync()?;
        }
        indexed.map(|()| id)
    }

    fn is_readable(&self, name: &ManifestName) -> bool {
        matches!(self.manifests.read(name), Ok(Some(_)))
    }

    fn read_manifest(&self, name: &ManifestName) -> Result<Manifest, StoreError> {
        self.manifests.read(name)?.ok_or_else(|| StoreError::Damaged {
            object: self.manifests.path_of(name),
            damage: crate::Damage::Missing,
        })
    }

    fn missing_of(&self, manifest: &Manifest) -> Result<Vec<ChunkRef>, StoreError> {
        let mut seen = BTreeSet::new();
        let mut missing = Vec::new();
        for chunk in &manifest.chunks {
            if seen.insert(chunk.id) && !self.has(chunk.id)? {
                missing.push(*chunk);
            }
        }
        Ok(missing)
    }

    fn check_complete(&self, id: ManifestId, manifest: &Manifest) -> Result<(), StoreError> {
        let missing = self.missing_of(manifest)?.len() as u64;
        if missing == 0 { Ok(()) } else { Err(StoreError::Incomplete { id, missing }) }
    }
}
