//! Chunks: files named by the BLAKE3 of their content.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::{Damage, StoreError, durable_file};

/// Bytes of a chunk at most. Measured on one disk: 4 MiB reach its speed, and a chunk fits the memory of anything.
pub const CHUNK_BYTES_MAX: usize = 4 << 20;

/// The BLAKE3 of a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ChunkName([u8; blake3::OUT_LEN]);

impl ChunkName {
    pub(crate) fn of(content: &[u8]) -> Self {
        Self(*blake3::hash(content).as_bytes())
    }

    pub(crate) fn file_name(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }

    pub(crate) fn parse(name: &str) -> Option<Self> {
        let parsed = Self(*blake3::Hash::from_hex(name).ok()?.as_bytes());
        (parsed.file_name() == name).then_some(parsed)
    }
}

/// The folder of all chunks.
pub(crate) struct ChunkDirectory {
    path: PathBuf,
}

impl ChunkDirectory {
    pub(crate) fn open(path: PathBuf) -> Result<Self, StoreError> {
        durable_file::create_directory(&path)?;
        Ok(Self { path })
    }

    /// Writes `state` in chunks; they and their names are durable when this returns.
    pub(crate) fn write(&self, state: &[u8]) -> Result<Vec<ChunkName>, StoreError> {
        let mut names = Vec::with_capacity(state.len().div_ceil(CHUNK_BYTES_MAX));
        for content in state.chunks(CHUNK_BYTES_MAX) {
            let name = ChunkName::of(content);
            // A chunk of an earlier checkpoint serves again, if it is still what its name says.
            if self.read(name, content.len()).is_err() {
                durable_file::write(&self.path, &name.file_name(), content)?;
            }
            names.push(name);
        }
        durable_file::sync_directory(&self.path)?;
        Ok(names)
    }

    /// The content of a chunk of `bytes`, verified.
    pub(crate) fn read(&self, name: ChunkName, bytes: usize) -> Result<Vec<u8>, StoreError> {
        let object = self.path.join(name.file_name());
        let damaged = |damage| StoreError::Damaged { object: object.clone(), damage };
        let found = match std::fs::metadata(&object) {
            Ok(metadata) => metadata.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return Err(damaged(Damage::Missing));
            }
            Err(error) => return Err(StoreError::file("read", &object)(error)),
        };
        if found != bytes as u64 {
            return Err(damaged(Damage::Length { expected: bytes as u64, found }));
        }
        let content = durable_file::read(&object, bytes as u64)?.ok_or_else(|| damaged(Damage::Missing))?;
        if ChunkName::of(&content) == name { Ok(content) } else { Err(damaged(Damage::Content)) }
    }

    /// Removes chunks and leftovers that are not `named`; says how many.
    pub(crate) fn sweep(&self, named: &BTreeSet<ChunkName>) -> Result<usize, StoreError> {
        let mut swept = 0;
        for name in durable_file::names(&self.path)? {
            let orphan = match ChunkName::parse(&name) {
                Some(chunk) => !named.contains(&chunk),
                // What people may have put here is theirs.
                None => name.ends_with(durable_file::UNFINISHED),
            };
            if orphan {
                durable_file::remove(&self.path.join(&name))?;
                swept += 1;
            }
        }
        Ok(swept)
    }
}
