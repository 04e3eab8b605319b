//! What the index says about a checkpoint.

use serde::{Deserialize, Serialize};
use traind_protocol::ids::{Chain, Digest, JobId};

/// A checkpoint that is whole on this node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointRecord {
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
