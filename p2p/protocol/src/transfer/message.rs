//! What nodes say to each other about chunks.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::limits::{CHUNK_BYTES_MAX, MANIFEST_BYTES_MAX, PIECE_BYTES_MAX, REFERRALS_MAX};
use crate::ids::{ChunkId, ManifestId, NodeId};
use crate::wire::data::{DataFrame, FrameKind};
use crate::wire::{DecodeError, decode, encode};

/// Longest header of such a message, bytes: a chunk, a few nodes and numbers.
pub(super) const TRANSFER_HEADER_BYTES_MAX: usize = 256;

/// Everything that travels in frames of kind [`FrameKind::Transfer`]. Pieces and manifests have a payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TransferMessage {
    /// Send me this chunk.
    Ask {
        /// The chunk.
        chunk: ChunkId,
        /// How long it is said to be, bytes.
        bytes: u32,
    },
    /// I do not need it any more.
    Cancel {
        /// The chunk.
        chunk: ChunkId,
    },
    /// A part of a chunk that was asked for. Pieces of one chunk come in order.
    Piece {
        /// The chunk.
        chunk: ChunkId,
        /// Where the piece begins.
        offset: u32,
        /// Its bytes, at most [`PIECE_BYTES_MAX`].
        bytes: Bytes,
    },
    /// I do not have it.
    Lacks {
        /// The chunk.
        chunk: ChunkId,
    },
    /// Too many want something of me.
    Busy {
        /// The chunk.
        chunk: ChunkId,
        /// When to ask me again, milliseconds from now.
        retry_after_ms: u64,
        /// Who got it from me, at most [`REFERRALS_MAX`].
        ask: Vec<NodeId>,
    },
    /// Send me the text of this manifest.
    AskManifest {
        /// The manifest.
        manifest: ManifestId,
    },
    /// The text of a manifest that was asked for.
    Manifest {
        /// The manifest.
        manifest: ManifestId,
        /// Its text, whose BLAKE3 it is, at most [`MANIFEST_BYTES_MAX`].
        text: Bytes,
    },
    /// I do not have that manifest whole.
    LacksManifest {
        /// The manifest.
        manifest: ManifestId,
    },
}

#[derive(Serialize, Deserialize)]
enum Header {
    Ask { chunk: ChunkId, bytes: u32 },
    Cancel { chunk: ChunkId },
    Piece { chunk: ChunkId, offset: u32 },
    Lacks { chunk: ChunkId },
    Busy { chunk: ChunkId, retry_after_ms: u64, ask: Vec<NodeId> },
    AskManifest { manifest: ManifestId },
    Manifest { manifest: ManifestId },
    LacksManifest { manifest: ManifestId },
}

impl TransferMessage {
    /// The frame of this message.
    #[must_use]
    pub fn encode(self) -> DataFrame {
        let mut payload = Vec::new();
        let header = match self {
            Self::Ask { chunk, bytes } => Header::Ask { chunk, bytes },
            Self::Cancel { chunk } => Header::Cancel { chunk },
            Self::Piece { chunk, offset, bytes } => {
                payload.push(bytes);
                Header::Piece { chunk, offset }
            }
            Self::Lacks { chunk } => Header::Lacks { chunk },
            Self::Busy { chunk, retry_after_ms, ask } => Header::Busy { chunk, retry_after_ms, ask },
            Self::AskManifest { manifest } => Header::AskManifest { manifest },
            Self::Manifest { manifest, text } => {
                payload.push(text);
                Header::Manifest { manifest }
            }
            Self::LacksManifest { manifest } => Header::LacksManifest { manifest },
        };
        DataFrame { kind: FrameKind::Transfer, header: encode(&header).into(), payload }
    }

    /// Reads a frame's header and payload.
    ///
    /// # Errors
    /// When they are no such message or exceed a limit.
    pub fn decode(header: &[u8], payload: Bytes) -> Result<Self, DecodeError> {
        let inconsistent = |what| Err(DecodeError::Inconsistent { what });
        let header: Header = decode(header, TRANSFER_HEADER_BYTES_MAX)?;
        if !matches!(header, Header::Piece { .. } | Header::Manifest { .. }) && !payload.is_empty() {
            return inconsistent("a payload behind what has none");
        }
        Ok(match header {
            Header::Ask { bytes, .. } if bytes == 0 || bytes > CHUNK_BYTES_MAX => {
                return inconsistent("a chunk of no allowed length is asked for");
            }
            Header::Ask { chunk, bytes } => Self::Ask { chunk, bytes },
            Header::Cancel { chunk } => Self::Cancel { chunk },
            Header::Piece { .. } if payload.is_empty() || payload.len() > PIECE_BYTES_MAX as usize => {
                return inconsistent("a piece of no allowed length");
            }
            Header::Piece { chunk, offset } => Self::Piece { chunk, offset, bytes: payload },
            Header::Lacks { chunk } => Self::Lacks { chunk },
            Header::Busy { ask, .. } if ask.len() > REFERRALS_MAX => {
                return inconsistent("too many nodes to ask instead");
            }
            Header::Busy { chunk, retry_after_ms, ask } => Self::Busy { chunk, retry_after_ms, ask },
            Header::AskManifest { manifest } => Self::AskManifest { manifest },
            Header::Manifest { .. } if payload.is_empty() || payload.len() > MANIFEST_BYTES_MAX => {
                return inconsistent("a manifest of no allowed length");
            }
            Header::Manifest { manifest } => Self::Manifest { manifest, text: payload },
            Header::LacksManifest { manifest } => Self::LacksManifest { manifest },
        })
    }
}
