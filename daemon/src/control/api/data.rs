//! Data sets.

use serde::{Deserialize, Serialize};

use super::node::NodeRef;

/// A data set in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataRow {
    /// Its name: jobs refer to it as `set:NAME`.
    pub name: String,
    /// Its kind, as `idx`, `csv` or `files`.
    pub set_kind: String,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Samples to train on; zero where nobody counted.
    pub training: u64,
    /// Samples held out for the test.
    pub held_out: u64,
    /// Its manifest, in hexadecimal.
    pub manifest: String,
    /// Who holds all of it.
    pub holders: Vec<NodeRef>,
}

/// Everything about one data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataDetail {
    /// As it is listed.
    #[serde(flatten)]
    pub row: DataRow,
    /// Where it was added.
    pub added_by: NodeRef,
    /// Whether all of it is on the node that was asked.
    pub local: bool,
    /// Bytes of it that came to that node from others since its daemon started.
    pub bytes_fetched: u64,
    /// Its files, as far as that node knows them.
    pub files: Vec<DataFile>,
    /// Jobs that have not ended and need it, by name.
    pub jobs: Vec<String>,
}

/// A file of a data set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataFile {
    /// Where it lies in its folder.
    pub name: String,
    /// Its length.
    pub bytes: u64,
    /// Chunks that it is cut into.
    pub shards: u64,
    /// Lines or items in them; absent where that cannot be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub samples: Option<u64>,
}

/// What a look at every byte of a data set found, on the node that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataVerified {
    /// Its name.
    pub name: String,
    /// Chunks that were read.
    pub chunks: u64,
    /// Names of those that are damaged or missing; they are fetched again from other nodes.
    pub damaged: Vec<String>,
}
