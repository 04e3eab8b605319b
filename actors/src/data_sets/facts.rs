//! What a data set's manifest says beside its chunks: the files and an index of samples, as JSON.

use std::path::{Component, Path};

use serde::{Deserialize, Serialize};
use traind_store::{Manifest, ManifestBody};

use super::DataSetError;

/// Files of a data set at most.
pub const FILES_MAX: usize = 4096;

/// The form of this text.
const VERSION: u32 = 1;

/// What a data set is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetFacts {
    version: u32,
    /// Its kind, as job files name it, or `files`.
    pub kind: String,
    /// Whether it was a folder; else it is one file.
    pub is_folder: bool,
    /// Samples to train on; zero where nobody counted.
    pub training: u64,
    /// Samples held out for the test.
    pub held_out: u64,
    /// Its files in the order of their chunks.
    pub files: Vec<FileFacts>,
}

/// One file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFacts {
    /// Where it lies in the folder, with slashes.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// For each of its chunks how many samples (lines of a table, items of an IDX file) it holds, all of them whole; `None`
    /// where that cannot be told, as in compressed files.
    pub shards: Vec<Option<u64>>,
}

impl SetFacts {
    pub(super) fn new(
        kind: &str,
        is_folder: bool,
        (training, held_out): (u64, u64),
        files: Vec<FileFacts>,
    ) -> Self {
        Self { version: VERSION, kind: kind.to_owned(), is_folder, training, held_out, files }
    }

    pub(super) fn to_text(&self) -> String {
        serde_json::to_string(self).expect("strings and integers always have a JSON form")
    }

    /// What a manifest says, checked against its chunks.
    ///
    /// # Errors
    /// When it is no data set's, or contradicts itself.
    pub fn of(manifest: &Manifest) -> Result<Self, DataSetError> {
        let refuse = |what| Err(DataSetError::Facts { what });
        let ManifestBody::DataSet { facts, .. } = &manifest.body else {
            return refuse("it is no data set");
        };
        let Ok(facts) = serde_json::from_str::<Self>(facts) else { return refuse("its facts do not decode") };
        if facts.version != VERSION {
            return refuse("its facts are of another version");
        }
        if facts.files.is_empty()
            || facts.files.len() > FILES_MAX
            || (!facts.is_folder && facts.files.len() != 1)
        {
            return refuse("it has another number of files than it may");
        }
        let mut chunks = manifest.chunks.iter();
        for file in &facts.files {
            let is_inside =
                Path::new(&file.name).components().all(|part| matches!(part, Component::Normal(_)));
            if file.name.is_empty() || !is_inside {
                return refuse("a file of it would lie outside");
            }
            let bytes: u64 =
                chunks.by_ref().take(file.shards.len()).map(|chunk| u64::from(chunk.bytes)).sum();
            if bytes != file.bytes {
                return refuse("a file is not as long as its chunks");
            }
        }
        if chunks.next().is_some() {
            return refuse("it has chunks that belong to no file");
        }
        Ok(facts)
    }
}
