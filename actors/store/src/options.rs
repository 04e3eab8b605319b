//! What a node may choose of its store.

use crate::chunk_form::Compression;

/// Bytes of the disk that chunks leave free: the council's log grows by kilobytes an hour, and a node that cannot write its
/// votes must stop.
pub const RESERVE_BYTES: u64 = 64 << 20;

/// What a node may choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// Of new chunks.
    pub compression: Compression,
    /// Bytes of the disk that chunks and manifests leave free.
    pub reserve_bytes: u64,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self { compression: Compression::None, reserve_bytes: RESERVE_BYTES }
    }
}
