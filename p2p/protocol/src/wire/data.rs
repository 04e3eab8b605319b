//! Frames of the bulk connections: a small header that the receiver decodes, and payload bytes it does not copy.

use bytes::Bytes;

/// Longest header, bytes: sets of micro-batches and parts are bitsets, so even 65,536 parts take 8 KiB.
pub const DATA_HEADER_BYTES_MAX: usize = 64 << 10;

/// Longest payload of a frame of kind [`FrameKind::Sync`], bytes: thirty times the longest sum of a part (131 KiB), and
/// above the list of the chunks of the longest state. A peer that lies about a length costs no more than this.
pub const SYNC_PAYLOAD_BYTES_MAX: usize = 4 << 20;

/// Longest payload of a frame of kind [`FrameKind::Transfer`], bytes: the text of the longest manifest.
pub const TRANSFER_PAYLOAD_BYTES_MAX: usize = 64 << 20;

/// Whom a frame is for, and how urgent it is. The number is what travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// Messages of the sync step.
    Sync = 1,
    /// Chunks. Payloads of this kind give way to all other frames.
    Transfer = 2,
}

impl FrameKind {
    /// The kind with this number.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        [Self::Sync, Self::Transfer].into_iter().find(|kind| *kind as u8 == byte)
    }

    /// Longest payload of this kind, bytes.
    #[must_use]
    pub fn payload_bytes_max(self) -> usize {
        match self {
            Self::Sync => SYNC_PAYLOAD_BYTES_MAX,
            Self::Transfer => TRANSFER_PAYLOAD_BYTES_MAX,
        }
    }
}

/// One frame. Header and payload are opaque to the network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DataFrame {
    /// Whom it is for.
    pub kind: FrameKind,
    /// Encoded header, at most [`DATA_HEADER_BYTES_MAX`].
    pub header: Bytes,
    /// Payload pieces, sent one behind the other; a received frame has one piece.
    pub payload: Vec<Bytes>,
}

impl DataFrame {
    /// Whether it gives way to all others: what is long and nobody computes with.
    #[must_use]
    pub fn is_background(&self) -> bool {
        self.kind == FrameKind::Transfer && !self.payload.is_empty()
    }

    /// Bytes of all payload pieces.
    #[must_use]
    pub fn payload_bytes(&self) -> usize {
        self.payload.iter().map(Bytes::len).sum()
    }
}
