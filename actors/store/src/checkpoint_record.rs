//! What is said of a checkpoint.

use traind_protocol::ids::{Chain, Digest, JobId, ManifestId};

/// A checkpoint that is whole on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckpointRecord {
    /// Its manifest.
    pub manifest: ManifestId,
    /// The job.
    pub job: JobId,
    /// The stable step whose state it is.
    pub step: u64,
    /// The chain after that step.
    pub chain: Chain,
    /// The digest of the state, as the writer gave it.
    pub digest: Digest,
    /// Bytes of the state.
    pub state_bytes: u64,
    /// Chunks they lie in.
    pub chunks: u32,
}
