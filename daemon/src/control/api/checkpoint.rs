//! Checkpoints, and the files that one is exported as.

use serde::{Deserialize, Serialize};

use super::node::NodeRef;

/// A checkpoint in the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointRow {
    /// The job's id, in hexadecimal.
    pub job: String,
    /// The job's name.
    pub job_name: String,
    /// Steps applied.
    pub step: u64,
    /// Digest of the state.
    pub digest: String,
    /// Chain of the state.
    pub chain: String,
    /// Its manifest: what its chunks are named by.
    pub manifest: String,
    /// Length of the state, bytes.
    pub bytes: u64,
    /// Who holds it.
    pub holders: Vec<NodeRef>,
    /// Nodes that were chosen to hold it too, and fetch it.
    #[serde(default)]
    pub fetching: Vec<NodeRef>,
    /// How many nodes the job wants to hold it.
    #[serde(default)]
    pub replicas: u32,
}

/// Everything about one checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointDetail {
    /// As it is listed.
    #[serde(flatten)]
    pub row: CheckpointRow,
    /// Whether the daemon that was asked holds it: only then it exports without asking another.
    pub local: bool,
    /// The newest checkpoint of the job.
    pub newest: bool,
}

/// What a checkpoint is exported as. The files' bytes follow this answer on the connection, one after the other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointExport {
    /// The job's id, in hexadecimal.
    pub job: String,
    /// The job's name.
    pub job_name: String,
    /// Steps applied.
    pub step: u64,
    /// Digest of the state that was exported.
    pub digest: String,
    /// The files, in the order in which their bytes follow.
    pub files: Vec<ExportedFile>,
}

/// One file of an export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportedFile {
    /// Its name, without a directory.
    pub name: String,
    /// Its length, bytes.
    pub bytes: u64,
    /// BLAKE3 of its bytes, in hexadecimal.
    pub blake3: String,
}
