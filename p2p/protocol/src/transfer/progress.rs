//! How far a fetch is, for people.

use serde::{Deserialize, Serialize};

use crate::ids::NodeId;

/// How far a fetch is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FetchProgress {
    /// Chunks to get in all.
    pub chunks: u32,
    /// Of these, those that are here.
    pub chunks_done: u32,
    /// Bytes to get in all.
    pub bytes: u64,
    /// Of these, those that are here.
    pub bytes_done: u64,
    /// Bytes that came twice, because a chunk was asked of two sources, or were not what their name says.
    pub bytes_wasted: u64,
    /// Who is asked.
    pub sources: Vec<SourceProgress>,
    /// Chunks that nobody who is connected has.
    pub chunks_without_source: u32,
}

/// What one source did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceProgress {
    /// The source.
    pub node: NodeId,
    /// Whether it is connected and trusted.
    pub is_usable: bool,
    /// Chunks that it gave.
    pub chunks: u32,
    /// Its rate, bytes per second, as measured last.
    pub bytes_per_second: u64,
    /// Chunks asked of it and not answered.
    pub in_flight: u32,
}
