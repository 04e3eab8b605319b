//! Frames on control streams: `u32` length, little-endian, then that many bytes of postcard.

use std::io;

use futures::{AsyncRead, AsyncReadExt};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use traind_protocol::ids::NodeId;
use traind_protocol::wire::control::ControlMessage;
use traind_protocol::wire::hello::Hello;
use traind_protocol::wire::{DecodeError, decode};

/// What travels on a control stream.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Frame {
    /// First, and again when the sender found its swarm. Nothing else is read before one was accepted.
    Greeting(Greeting),
    /// Every 100 ms.
    Heartbeat(Heartbeat),
    /// Where other members of the swarm can be found.
    Peers(Vec<KnownPeer>),
    /// A message of the layers above.
    Control(ControlMessage),
}

/// A hello, and where the speaker can be reached.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Greeting {
    pub(crate) hello: Hello,
    /// Port of the control listener, zero if there is none.
    pub(crate) port: u16,
    /// Published addresses, at most `ADDRESSES_PER_PEER_MAX` are looked at.
    pub(crate) addresses: Vec<String>,
}

/// A sign of life that also measures the round trip.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Heartbeat {
    /// The sender's clock, microseconds.
    pub(crate) sent_us: u64,
    /// `sent_us` of the receiver's latest heartbeat, zero if none arrived yet.
    pub(crate) echo_us: u64,
    /// How long that one waited for this, microseconds.
    pub(crate) held_us: u64,
}

/// Another member of the swarm.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct KnownPeer {
    pub(crate) node: NodeId,
    pub(crate) addresses: Vec<String>,
}

/// Why no frame could be read.
#[derive(Debug, Error)]
pub(crate) enum FrameError {
    #[error("read control stream")]
    Read(#[source] io::Error),
    #[error("frame of {bytes} bytes, {bytes_max} are allowed here")]
    TooLong { bytes: usize, bytes_max: usize },
    #[error("decode control frame")]
    Decode(#[source] DecodeError),
}

/// Read at once, bytes: a frame takes memory as it arrives, and each piece is a sign of life.
const PIECE_BYTES: usize = 64 << 10;

/// Reads one frame of at most `bytes_max` bytes; also returns its length. Calls `heard` after every piece.
pub(crate) async fn read_frame(
    stream: &mut (impl AsyncRead + Unpin),
    bytes_max: usize,
    heard: impl Fn(),
) -> Result<(Frame, usize), FrameError> {
    let mut length = [0u8; 4];
    stream.read_exact(&mut length).await.map_err(FrameError::Read)?;
    let bytes = usize::try_from(u32::from_le_bytes(length)).unwrap_or(usize::MAX);
    if bytes > bytes_max {
        return Err(FrameError::TooLong { bytes, bytes_max });
    }
    let mut buffer = Vec::new();
    while buffer.len() < bytes {
        let before = buffer.len();
        buffer.resize(bytes.min(before + PIECE_BYTES), 0);
        stream.read_exact(&mut buffer[before..]).await.map_err(FrameError::Read)?;
        heard();
    }
    let frame = decode(&buffer, bytes_max).map_err(FrameError::Decode)?;
    Ok((frame, bytes))
}
