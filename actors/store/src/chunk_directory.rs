//! Chunks: files named by the BLAKE3 of their content.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;

use traind_protocol::ids::ChunkId;

use crate::chunk_form::{ChunkForm, Compression};
use crate::direct_file::DirectFiles;
use crate::{Damage, StoreError, durable_file};

/// Bytes of a chunk at most. Measured on one disk: 4 MiB reach its speed, and a chunk fits the memory of anything.
pub const CHUNK_BYTES_MAX: usize = 4 << 20;

/// The name of a chunk with this content.
#[must_use]
pub fn chunk_id(content: &[u8]) -> ChunkId {
    ChunkId(*blake3::hash(content).as_bytes())
}

/// The folder of all chunks.
pub(crate) struct ChunkDirectory {
    path: PathBuf,
    compression: Compression,
    direct_files: DirectFiles,
}

/// What lies in the folder under the name of one chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ChunkFile {
    pub(crate) form: ChunkForm,
    /// Bytes of the file.
    pub(crate) bytes: u64,
}

impl ChunkDirectory {
    pub(crate) fn open(path: PathBuf, compression: Compression) -> Result<Self, StoreError> {
        durable_file::create_directory(&path)?;
        Ok(Self { path, compression, direct_files: DirectFiles::default() })
    }

    /// Writes a chunk unless a whole one is there; says the bytes of the file if one was written. Its name is durable
    /// after the next [`Self::sync`].
    pub(crate) fn write(&self, id: ChunkId, content: &[u8]) -> Result<Option<u64>, StoreError> {
        // A chunk of an earlier checkpoint serves again, if it is still what its name says.
        if self.read(id).is_ok_and(|found| found.len() == content.len()) {
            return Ok(None);
        }
        let (form, packed) = self.compression.file(content);
        let bytes = packed.as_deref().unwrap_or(content);
        durable_file::write_direct(&self.direct_files, &self.path, &file_name(id, form), bytes)?;
        for other in ChunkForm::ALL {
            // A damaged one of the other form would be read in its place.
            if other != form {
                durable_file::remove(&self.path.join(file_name(id, other)))?;
            }
        }
        Ok(Some(bytes.len() as u64))
    }

    /// Makes the names of all chunks durable.
    pub(crate) fn sync(&self) -> Result<(), StoreError> {
        durable_file::sync_directory(&self.path)
    }

    /// The file of a chunk, whose content is not looked at.
    pub(crate) fn find(&self, id: ChunkId) -> Result<Option<ChunkFile>, StoreError> {
        for form in ChunkForm::ALL {
            let path = self.path.join(file_name(id, form));
            match std::fs::metadata(&path) {
                Ok(metadata) => return Ok(Some(ChunkFile { form, bytes: metadata.len() })),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => return Err(StoreError::file("read", &path)(error)),
            }
        }
        Ok(None)
    }

    /// The content of a chunk, verified.
    pub(crate) fn read(&self, id: ChunkId) -> Result<Vec<u8>, StoreError> {
        let missing = || self.damaged(id, ChunkForm::Plain, Damage::Missing);
        let file = self.find(id)?.ok_or_else(missing)?;
        let object = self.path.join(file_name(id, file.form));
        if file.bytes > CHUNK_BYTES_MAX as u64 {
            let length = Damage::Length { expected: CHUNK_BYTES_MAX as u64, found: file.bytes };
            return Err(self.damaged(id, file.form, length));
        }
        let bytes = durable_file::read(&object, CHUNK_BYTES_MAX as u64)?.ok_or_else(missing)?;
        match file.form.content(bytes) {
            Some(content) if chunk_id(&content) == id => Ok(content),
            _ => Err(self.damaged(id, file.form, Damage::Content)),
        }
    }

    /// The content of a chunk of `bytes`, verified. A plain file of another length is told apart from one with other bytes.
    pub(crate) fn read_sized(&self, id: ChunkId, bytes: u32) -> Result<Vec<u8>, StoreError> {
        let expected = u64::from(bytes);
        let other = |form, found| self.damaged(id, form, Damage::Length { expected, found });
        if let Some(ChunkFile { form: ChunkForm::Plain, bytes: found }) = self.find(id)?
            && found != expected
        {
            return Err(other(ChunkForm::Plain, found));
        }
        let content = self.read(id)?;
        if content.len() as u64 != expected {
            return Err(other(ChunkForm::Plain, content.len() as u64));
        }
        Ok(content)
    }

    /// Has the operating system read the file of a chunk that is wanted next. Where it cannot, it is read when it is wanted.
    pub(crate) fn read_ahead(&self, id: ChunkId) {
        for form in ChunkForm::ALL {
            if let Ok(file) = File::open(self.path.join(file_name(id, form))) {
                let _ = rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::WillNeed);
                return;
            }
        }
    }

    /// Removes the chunk in whatever form it is; gives the bytes that were freed.
    pub(crate) fn remove(&self, id: ChunkId) -> Result<u64, StoreError> {
        let mut freed = 0;
        while let Some(file) = self.find(id)? {
            durable_file::remove(&self.path.join(file_name(id, file.form)))?;
            freed += file.bytes;
        }
        Ok(freed)
    }

    /// All chunks there are with the bytes of their files, and the names of files that a crash left half written.
    pub(crate) fn list(&self) -> Result<(BTreeMap<ChunkId, u64>, Vec<PathBuf>), StoreError> {
        let mut chunks = BTreeMap::new();
        let mut unfinished = Vec::new();
        for name in durable_file::names(&self.path)? {
            let path = self.path.join(&name);
            if name.ends_with(durable_file::UNFINISHED) {
                unfinished.push(path);
            } else if let Some(id) = parse_file_name(&name) {
                // One that was removed since has no bytes.
                *chunks.entry(id).or_default() +=
                    std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
            }
            // What people may have put here is theirs.
        }
        Ok((chunks, unfinished))
    }

    fn damaged(&self, id: ChunkId, form: ChunkForm, damage: Damage) -> StoreError {
        StoreError::Damaged { object: self.path.join(file_name(id, form)), damage }
    }
}

pub(crate) fn file_name(id: ChunkId, form: ChunkForm) -> String {
    format!("{id}{}", form.ending())
}

fn parse_file_name(name: &str) -> Option<ChunkId> {
    let hex = name.strip_suffix(ChunkForm::Zstd.ending()).unwrap_or(name);
    let id = ChunkId::from_hex(hex)?;
    (id.to_hex() == hex).then_some(id)
}
