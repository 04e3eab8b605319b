//! A list of chunks as bytes. Its own BLAKE3 names it, so who knows that name can take the list from anybody.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::Chunk;
use super::limits::{CHUNK_BYTES_MAX, LIST_CHUNKS_MAX};
use crate::ids::ChunkId;
use crate::wire::{DecodeError, decode, encode};

/// The chunks of one object in the order of its bytes. All are full but the last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChunkList {
    /// The chunks, at most [`LIST_CHUNKS_MAX`].
    pub chunks: Vec<Chunk>,
}

/// Bytes that are no list of chunks.
#[derive(Debug, Error)]
pub enum ListError {
    /// They do not decode.
    #[error("the list of chunks does not decode")]
    Decode(#[from] DecodeError),
    /// There are too many.
    #[error("the list names {chunks} chunks, {chunks_max} are allowed")]
    TooMany {
        /// How many.
        chunks: usize,
        /// The limit.
        chunks_max: usize,
    },
    /// One is empty or too long.
    #[error("chunk {position} of the list has {bytes} bytes")]
    Length {
        /// Its place.
        position: usize,
        /// Its length.
        bytes: u32,
    },
}

impl ChunkList {
    /// Name and bytes of this list.
    #[must_use]
    pub fn encode(&self) -> (ChunkId, Vec<u8>) {
        let bytes = encode(self);
        (ChunkId::of(&bytes), bytes)
    }

    /// Reads a list.
    ///
    /// # Errors
    /// When `bytes` are none, or a length in it is not allowed.
    pub fn decode(bytes: &[u8]) -> Result<Self, ListError> {
        let list: Self = decode(bytes, CHUNK_BYTES_MAX as usize)?;
        if list.chunks.len() > LIST_CHUNKS_MAX {
            return Err(ListError::TooMany { chunks: list.chunks.len(), chunks_max: LIST_CHUNKS_MAX });
        }
        let last = list.chunks.len().saturating_sub(1);
        let is_wrong = |(position, chunk): &(usize, &Chunk)| {
            chunk.bytes == 0
                || chunk.bytes > CHUNK_BYTES_MAX
                || (*position < last && chunk.bytes < CHUNK_BYTES_MAX)
        };
        match list.chunks.iter().enumerate().find(is_wrong) {
            Some((position, chunk)) => Err(ListError::Length { position, bytes: chunk.bytes }),
            None => Ok(list),
        }
    }

    /// Bytes of all chunks.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.chunks.iter().map(|chunk| u64::from(chunk.bytes)).sum()
    }
}
