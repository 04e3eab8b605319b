//! The chunks of a data directory that no daemon uses.

use std::path::Path;

use crate::StoreError;
use crate::chunks::Chunks;
use crate::data_dir::DataDir;
use crate::options::StoreOptions;

/// Chunks and manifests of a directory, without its records: they are looked at and mended also where the records are lost.
/// No daemon starts on the directory while this lives.
pub struct IdleStore {
    chunks: Chunks,
    /// Last, so that the lock outlives the files it guards.
    data_dir: DataDir,
}

impl IdleStore {
    /// Opens an existing data directory; the index is made to agree with the manifests, and what a crash left half done is
    /// swept, as when a daemon starts.
    ///
    /// # Errors
    /// [`StoreError::NoDataDirectory`]; those of [`DataDir::open`]; else the file system's and the index's.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        if !DataDir::is_one(path) {
            return Err(StoreError::NoDataDirectory { path: path.to_path_buf() });
        }
        let data_dir = DataDir::open(path)?;
        let chunks = Chunks::open(&data_dir, StoreOptions::default())?;
        Ok(Self { chunks, data_dir })
    }

    /// The chunks and manifests.
    #[must_use]
    pub fn chunks(&self) -> &Chunks {
        &self.chunks
    }

    /// The data directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.data_dir.path()
    }
}
