//! Serving one receiver: a chunk is read, checked and sent in pieces, as fast as the connection takes them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use traind_protocol::ids::{ManifestId, NodeId};
use traind_protocol::transfer::{Chunk, PIECE_BYTES_MAX, TransferMessage};
use traind_store::Chunks;

use super::held::HeldStates;

/// Sends a chunk, or says that it is lacking; whether it was handed to the network whole.
pub(super) async fn serve(
    network: traind_p2p::Handle,
    (held, chunks): (Arc<HeldStates>, Arc<Chunks>),
    to: NodeId,
    chunk: Chunk,
    stop: Arc<AtomicBool>,
) -> bool {
    let content = match held.get(chunk.id) {
        Some(content) => Some(content),
        None => tokio::task::spawn_blocking(move || read(&chunks, chunk)).await.ok().flatten(),
    };
    let Some(content) = content.filter(|content| content.len() == chunk.bytes as usize) else {
        say(&network, to, TransferMessage::Lacks { chunk: chunk.id });
        return false;
    };
    let mut offset = 0;
    while offset < content.len() {
        if stop.load(Ordering::Acquire) {
            return false;
        }
        let end = content.len().min(offset + PIECE_BYTES_MAX as usize);
        let bytes = content.slice(offset..end);
        let offset_bytes = u32::try_from(offset).unwrap_or(u32::MAX);
        let piece = TransferMessage::Piece { chunk: chunk.id, offset: offset_bytes, bytes };
        if let Err(error) = network.send_data_behind(to, piece.encode()).await {
            tracing::debug!(peer = %to.short(), %error, "chunk not sent");
            return false;
        }
        offset = end;
    }
    true
}

/// The bytes of a chunk that is here and whole.
fn read(chunks: &Chunks, chunk: Chunk) -> Option<Bytes> {
    // One that never was here is no damage.
    if !chunks.has(chunk.id).ok()? {
        return None;
    }
    let content = chunks.get(chunk.id).ok()?;
    (content.len() == chunk.bytes as usize).then(|| content.into())
}

/// Sends the text of a manifest, or says that it is lacking.
pub(super) async fn serve_manifest(
    network: traind_p2p::Handle,
    chunks: Arc<Chunks>,
    to: NodeId,
    manifest: ManifestId,
) {
    let text = tokio::task::spawn_blocking(move || {
        let found = chunks.manifest(manifest).ok()?;
        found.encode().ok().map(|(_id, text)| text)
    });
    let message = match text.await {
        Ok(Some(text)) => TransferMessage::Manifest { manifest, text: text.into() },
        _ => TransferMessage::LacksManifest { manifest },
    };
    if let Err(error) = network.send_data_behind(to, message.encode()).await {
        tracing::debug!(peer = %to.short(), %error, "manifest not sent");
    }
}

/// Queues a message. What is lost with a connection is asked again.
pub(super) fn say(network: &traind_p2p::Handle, to: NodeId, message: TransferMessage) {
    if let Err(error) = network.try_send_data(to, message.encode()) {
        tracing::debug!(peer = %to.short(), %error, "message about a chunk not sent");
    }
}
