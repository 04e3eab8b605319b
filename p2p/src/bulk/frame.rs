//! Frames on bulk connections: the kind as a byte, lengths of header and payload as `u32`, little-endian, then both.

use std::io;

use bytes::{Bytes, BytesMut};
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use traind_protocol::wire::data::{DATA_HEADER_BYTES_MAX, DataFrame, FrameKind};

use crate::bulk::Caps;
use crate::limits::UPLOAD_SLICE_BYTES;

/// Reserved at first for a payload, bytes: a length alone costs no more memory than this.
const RESERVED_BYTES: usize = 16 << 20;

/// Why no frame could be read.
#[derive(Debug, Error)]
pub(crate) enum DataFrameError {
    #[error("read bulk connection")]
    Read(#[source] io::Error),
    #[error("header of {header_bytes} and payload of {payload_bytes} bytes are too long")]
    TooLong { header_bytes: usize, payload_bytes: usize },
    #[error("frames of kind {kind} are not known")]
    Kind { kind: u8 },
}

/// Reads kind, header and payload of the next frame; `None` when the connection ended between two frames.
pub(crate) async fn read_frame(
    stream: &mut (impl AsyncRead + Unpin),
) -> Result<Option<(FrameKind, Bytes, Bytes)>, DataFrameError> {
    let mut lengths = [0u8; 9];
    if stream.read(&mut lengths[..1]).await.map_err(DataFrameError::Read)? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut lengths[1..]).await.map_err(DataFrameError::Read)?;
    let [kind, h0, h1, h2, h3, p0, p1, p2, p3] = lengths;
    let kind = FrameKind::from_byte(kind).ok_or(DataFrameError::Kind { kind })?;
    let header_bytes = u32::from_le_bytes([h0, h1, h2, h3]) as usize;
    let payload_bytes = u32::from_le_bytes([p0, p1, p2, p3]) as usize;
    if header_bytes > DATA_HEADER_BYTES_MAX || payload_bytes > kind.payload_bytes_max() {
        return Err(DataFrameError::TooLong { header_bytes, payload_bytes });
    }
    let header = read_bytes(stream, header_bytes).await.map_err(DataFrameError::Read)?;
    let payload = read_bytes(stream, payload_bytes).await.map_err(DataFrameError::Read)?;
    Ok(Some((kind, header, payload)))
}

/// Reads without zeroing the buffer first.
async fn read_bytes(stream: &mut (impl AsyncRead + Unpin), length: usize) -> io::Result<Bytes> {
    let mut buffer = BytesMut::with_capacity(length.min(RESERVED_BYTES));
    let mut rest = stream.take(length as u64);
    while buffer.len() < length {
        if buffer.len() == buffer.capacity() {
            buffer.reserve(buffer.len().min(length - buffer.len()));
        }
        if rest.read_buf(&mut buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(buffer.freeze())
}

/// Writes one frame as fast as `caps` let it; its lengths were checked when it was queued.
pub(crate) async fn write_frame(
    stream: &mut (impl AsyncWrite + Unpin),
    frame: &DataFrame,
    caps: &Caps,
) -> io::Result<()> {
    let header_bytes = u32::try_from(frame.header.len()).map_err(io::Error::other)?;
    let payload_bytes = u32::try_from(frame.payload_bytes()).map_err(io::Error::other)?;
    let is_background = frame.is_background();
    let mut head = Vec::with_capacity(9 + frame.header.len());
    head.push(frame.kind as u8);
    head.extend(header_bytes.to_le_bytes());
    head.extend(payload_bytes.to_le_bytes());
    head.extend(&frame.header);
    write_capped(stream, &head, caps, is_background).await?;
    for piece in &frame.payload {
        write_capped(stream, piece, caps, is_background).await?;
    }
    Ok(())
}

/// Without a cap in one piece; under one in slices, each sent on its way before the next is waited for.
async fn write_capped(
    stream: &mut (impl AsyncWrite + Unpin),
    mut bytes: &[u8],
    caps: &Caps,
    is_background: bool,
) -> io::Result<()> {
    while caps.holds(is_background) && !bytes.is_empty() {
        let (slice, rest) = bytes.split_at(bytes.len().min(UPLOAD_SLICE_BYTES));
        caps.allow(slice.len(), is_background).await;
        stream.write_all(slice).await?;
        stream.flush().await?;
        bytes = rest;
    }
    stream.write_all(bytes).await
}
