//! Checkpoints, and the files that one is exported as.

use serde::{Deserialize, Serialize};

use super::node::NodeRef;
use super::store::DamagedFile;

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
    /// Why it is kept; empty where nothing keeps it once something is pruned.
    #[serde(default)]
    pub kept: Vec<KeptReason>,
}

/// Why a checkpoint is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeptReason {
    /// It is one of the newest.
    Newest,
    /// It is the first in a stretch of so many steps.
    Nth,
    /// Its test is one of the best.
    Best,
    /// Somebody pinned it.
    Pinned,
    /// It is pinned, and of a lineage that was given up: no job starts from it.
    SetAside,
}

impl KeptReason {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Newest => "newest",
            Self::Nth => "every n-th",
            Self::Best => "best",
            Self::Pinned => "pinned",
            Self::SetAside => "set aside",
        }
    }
}

/// What went, or would go, of a job's checkpoints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointsPruned {
    /// The job's id, in hexadecimal.
    pub job: String,
    /// The job's name.
    pub job_name: String,
    /// Whether it was only looked.
    pub dry_run: bool,
    /// What went, oldest first.
    pub removed: Vec<CheckpointRow>,
    /// What stays, oldest first, and why.
    pub kept: Vec<CheckpointRow>,
}

/// What a look at every byte of a checkpoint found, on the node that was asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointVerified {
    /// The job's id, in hexadecimal.
    pub job: String,
    /// The job's name.
    pub job_name: String,
    /// Steps applied.
    pub step: u64,
    /// Digest that the ledger says it has.
    pub digest: String,
    /// Whether the state that was read has it; `None` where it could not be read.
    pub digest_matches: Option<bool>,
    /// Chunks that were read.
    pub chunks: u64,
    /// Bytes that were read.
    pub bytes: u64,
    /// Objects that are damaged or missing.
    pub damaged: u64,
    /// The first of them.
    pub objects: Vec<DamagedFile>,
}

impl CheckpointVerified {
    /// Whether it can be restored.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.damaged == 0 && self.digest_matches == Some(true)
    }
}

/// A checkpoint that came from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub enum CheckpointImported {
    /// One of a job of this swarm: it is on record again, and pinned.
    Checkpoint(CheckpointRow),
    /// A model that jobs can start from by name: `trainctl job submit JOB.toml --from set:NAME`.
    Model {
        /// Its name.
        name: String,
        /// Bytes of its files.
        bytes: u64,
        /// Its files.
        files: Vec<String>,
    },
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
