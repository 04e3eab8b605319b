//! What goes wrong with a store.

use std::path::{Path, PathBuf};

use traind_protocol::ids::{ChunkId, JobId, ManifestId};

use crate::manifest::MalformedManifest;

/// How an object on disk differs from what was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Damage {
    /// The file is gone.
    Missing,
    /// The file has another length.
    Length {
        /// Bytes that were written.
        expected: u64,
        /// Bytes there are.
        found: u64,
    },
    /// The content has another BLAKE3.
    Content,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Missing => write!(formatter, "it is missing"),
            Self::Length { expected, found } => write!(formatter, "it has {found} bytes of {expected}"),
            Self::Content => write!(formatter, "its content is not what was written"),
        }
    }
}

/// Why the store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Another process uses the directory.
    #[error("{} is in use by another traind{}", path.display(), pid.map(|pid| format!(" (process {pid})")).unwrap_or_default())]
    Locked {
        /// The data directory.
        path: PathBuf,
        /// The process that holds it, if it is known.
        pid: Option<u32>,
    },
    /// The directory was written by another version of the format. It was not touched.
    #[error("{} has the data format {found}, this traind reads {supported}; nothing was changed; from format 3 on a daemon brings it up to date when it starts, and a traind of its format still reads it and exports its checkpoints", path.display())]
    OtherVersion {
        /// The data directory.
        path: PathBuf,
        /// Its format.
        found: String,
        /// The one format that is supported.
        supported: u32,
    },
    /// The directory holds files but was not made by traind. It was not touched.
    #[error("{} is not empty and not a data directory of traind; name an empty or a new one", path.display())]
    NotADataDirectory {
        /// The directory.
        path: PathBuf,
    },
    /// There is none, and none was made.
    #[error("there is no data directory of traind at {}", path.display())]
    NoDataDirectory {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The council's log or local values are gone or older than they were. Going on could vote twice.
    #[error(
        "the records in {} are lost or older than they were (record {found} of {expected}), votes among them. Restore \
         that directory from a copy. If there is none, remove this node from the swarm and let it join anew with an empty \
         data directory; the folders manifests and chunks may be moved there, its checkpoints with them",
        path.display()
    )]
    RecordsLost {
        /// Where the records are kept.
        path: PathBuf,
        /// The last record that was acknowledged.
        expected: u64,
        /// The last record that is there.
        found: u64,
    },
    /// A checkpoint that was never written, or deleted.
    #[error("there is no checkpoint of job {job} at step {step}")]
    NoSuchCheckpoint {
        /// Job asked for.
        job: JobId,
        /// Step asked for.
        step: u64,
    },
    /// A file of a checkpoint is not what was written.
    #[error("read a checkpoint: {} is damaged: {damage}", object.display())]
    Damaged {
        /// The file.
        object: PathBuf,
        /// What is wrong with it.
        damage: Damage,
    },
    /// A manifest that was never put, or removed.
    #[error("there is no manifest {id}")]
    NoSuchManifest {
        /// Its id.
        id: ManifestId,
    },
    /// A manifest whose chunks are not all here.
    #[error("{missing} chunks of manifest {id} are missing")]
    Incomplete {
        /// Its id.
        id: ManifestId,
        /// How many.
        missing: u64,
    },
    /// What claims to be a manifest, or is to become one, is none.
    #[error("{operation} a manifest")]
    MalformedManifest {
        /// What was tried.
        operation: &'static str,
        /// What is wrong with it.
        #[source]
        source: MalformedManifest,
    },
    /// The content offered for a chunk is not the one that its name stands for.
    #[error("put chunk {id}: the content offered has another BLAKE3")]
    WrongContent {
        /// The name.
        id: ChunkId,
    },
    /// A chunk without content.
    #[error("put a chunk: it is empty")]
    EmptyChunk,
    /// A link, a folder or a device where a file of an import should be.
    #[error("import: {} is no plain file; links are not followed", path.display())]
    NotAFile {
        /// Where it lies.
        path: PathBuf,
    },
    /// The disk is too full. What was begun has been given back.
    #[error(
        "the disk of {} is too full: {bytes} bytes are to be written, {available} are free, of which {reserve_bytes} are \
         left for the council's log. Free some, or keep fewer checkpoints",
        path.display()
    )]
    NoSpace {
        /// The data directory, or the file that could not be written.
        path: PathBuf,
        /// Bytes to be written.
        bytes: u64,
        /// Bytes that are free.
        available: u64,
        /// Bytes that are to stay free.
        reserve_bytes: u64,
    },
    /// The index of chunks failed before and could not be made anew yet.
    #[error("the index of chunks at {} failed and is closed until it is made anew", path.display())]
    IndexClosed {
        /// Its folder.
        path: PathBuf,
    },
    /// A value in the records is not what was written.
    #[error("read the records: {what} is damaged")]
    RecordDamaged {
        /// Which value.
        what: String,
    },
    /// More bytes than the store takes of this kind.
    #[error("store {what}: {bytes} bytes are more than {bytes_max}")]
    TooLarge {
        /// Which kind.
        what: &'static str,
        /// Bytes offered.
        bytes: usize,
        /// Bytes at most.
        bytes_max: usize,
    },
    /// The council's log would have a hole.
    #[error("persist the council's log: entry {found} does not follow {last}")]
    LogHole {
        /// The last entry before.
        last: u64,
        /// The entry offered.
        found: u64,
    },
    /// The file system failed.
    #[error("{operation} {}", path.display())]
    File {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The index failed.
    #[error("{operation} in the index")]
    Index {
        /// What was tried.
        operation: &'static str,
        /// Why it failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl StoreError {
    /// For `map_err`: names the operation and the file.
    pub(crate) fn file(
        operation: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::File { operation, path: path.as_ref().to_path_buf(), source }
    }

    /// For `map_err`: names the operation.
    pub(crate) fn index(operation: &'static str) -> impl FnOnce(sled::Error) -> Self {
        move |source| Self::Index { operation, source: Box::new(source) }
    }

    /// For `map_err`: names the operation.
    pub(crate) fn malformed(operation: &'static str) -> impl FnOnce(MalformedManifest) -> Self {
        move |source| Self::MalformedManifest { operation, source }
    }

    pub(crate) fn check_length(what: &'static str, bytes: &[u8], bytes_max: usize) -> Result<(), StoreError> {
        if bytes.len() > bytes_max {
            return Err(Self::TooLarge { what, bytes: bytes.len(), bytes_max });
        }
        Ok(())
    }
}
