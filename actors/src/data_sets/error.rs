//! What can go wrong with a data set.

use std::path::PathBuf;

use thiserror::Error;
use traind_store::{MalformedManifest, StoreError};

use crate::transfer::FetchError;

/// What can go wrong with a data set.
#[derive(Debug, Error)]
pub enum DataSetError {
    /// It may not be called so.
    #[error(
        "{name:?} is no name for a data set: letters, digits and -_. are allowed, at most 128, no dot in front"
    )]
    Name {
        /// The name.
        name: String,
    },
    /// Nobody added it.
    #[error("there is no data set {name:?}")]
    Unknown {
        /// The name.
        name: String,
    },
    /// A file cannot be read or written.
    #[error("{operation} {}", path.display())]
    File {
        /// What was done.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
    /// Neither a file nor a folder of files.
    #[error("{} is neither a file nor a folder of files", path.display())]
    NoFile {
        /// What it is.
        path: PathBuf,
    },
    /// More files than a data set may have, or none.
    #[error("{files} files: a data set has 1 to {files_max}")]
    Files {
        /// How many.
        files: usize,
        /// The limit.
        files_max: usize,
    },
    /// What is in the files is not what a job could train on.
    #[error("the data is refused: {reason}")]
    Refused {
        /// Which file, where in it, and why.
        reason: String,
    },
    /// The store.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// It has too many chunks or its facts are too long.
    #[error("the list of its chunks cannot be written")]
    Manifest(#[from] MalformedManifest),
    /// What its manifest says of it cannot be.
    #[error("its manifest contradicts itself: {what}")]
    Facts {
        /// What does not fit.
        what: &'static str,
    },
    /// All data sets together may take so much, and what is here must stay.
    #[error(
        "data set {name:?} needs {needed} bytes on the disk, limits.data_sets of this node allows {bytes_max}, and {kept} of \
         them are taken by sets that jobs need or that no other node holds"
    )]
    CacheFull {
        /// Its name.
        name: String,
        /// Bytes that it takes.
        needed: u64,
        /// The limit.
        bytes_max: u64,
        /// Bytes that cannot make room.
        kept: u64,
    },
    /// It did not come.
    #[error("it could not be fetched")]
    Fetch(#[from] FetchError),
    /// A bug: the work panicked.
    #[error("the file work panicked")]
    Panicked,
}

impl DataSetError {
    /// For `map_err`.
    pub(super) fn file(
        operation: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { operation, path, source }
    }
}
