//! What the transfer thread hears from other nodes.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use traind_protocol::ids::{ChunkId, ManifestId, NodeId};
use traind_protocol::ledger::Finding;
use traind_protocol::transfer::{Chunk, ChunkOutcome, DonorInput, FetchInput, Taken, TransferMessage};
use traind_store::Manifest;

use super::driver::{Done, Driver};
use super::fetching::Stage;
use super::messages::{FetchError, What};
use super::serving::serve_manifest;

impl Driver {
    pub(super) fn heard(&mut self, from: NodeId, message: TransferMessage) {
        match message {
            TransferMessage::Ask { chunk, bytes } => {
                self.give(DonorInput::Asked { from, chunk: Chunk { id: chunk, bytes } });
            }
            TransferMessage::Cancel { chunk } => self.give(DonorInput::Cancelled { from, chunk }),
            TransferMessage::Piece { chunk, offset, bytes } => self.piece(from, chunk, offset, bytes),
            TransferMessage::Lacks { chunk } => self.feed_all(|| FetchInput::Lacks { from, chunk }),
            TransferMessage::Busy { chunk, retry_after_ms, mut ask } => {
                let me = self.parts.node;
                ask.retain(|node| *node != me && self.connections.contains(*node));
                self.feed_all(|| FetchInput::Busy { from, chunk, retry_after_ms, ask: ask.clone() });
            }
            TransferMessage::AskManifest { manifest } => self.serve_manifest(from, manifest),
            TransferMessage::Manifest { manifest, text } => self.manifest(from, manifest, text),
            TransferMessage::LacksManifest { manifest } => {
                let now = self.parts.clock.now();
                if let Some(fetching) = self.fetching(What::Manifest(manifest)) {
                    fetching.manifest_lacking(now, from);
                }
                self.ask_for_manifests();
            }
        }
    }

    fn manifest(&mut self, from: NodeId, manifest: ManifestId, text: Bytes) {
        let what = What::Manifest(manifest);
        let Some(fetching) = self.fetching(what).filter(|fetching| fetching.awaits_manifest_of(from)) else {
            return;
        };
        match Manifest::decode(&text) {
            Ok((id, found)) if id == manifest => self.look(what, Some(found)),
            _ => {
                fetching.distrusted.insert(from);
                self.parts.verdicts.note(from, Finding::WrongManifest, ChunkId(manifest.0));
                tracing::error!(peer = %from, name = from.friendly_name(), %manifest, "another manifest was sent than asked for; nothing of this node is trusted here");
                self.ask_for_manifests();
            }
        }
    }

    fn piece(&mut self, from: NodeId, chunk: ChunkId, offset: u32, bytes: Bytes) {
        let expecting = self.fetches.iter().find_map(|fetching| match &fetching.stage {
            Stage::Chunks(fetch) => fetch.expects(from, chunk).map(|length| (fetching.what, length)),
            _ => None,
        });
        let Some((what, length)) = expecting else { return };
        let count = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        match self.assembly.take(from, chunk, length, offset, bytes) {
            Taken::Partly => self.feed(what, FetchInput::Progressed { from, chunk, bytes: count }),
            Taken::Whole(content) => {
                self.feed(what, FetchInput::Progressed { from, chunk, bytes: count });
                if let What::State(state) = what {
                    return self.keep_in_memory(state, from, chunk, content);
                }
                let chunks = Arc::clone(&self.parts.chunks);
                let panicked = Done::Looked { what, missing: Err(FetchError::Panicked) };
                let keep = move || {
                    let mut lease = chunks.lease();
                    let outcome = chunks.put_named(&mut lease, chunk, &content);
                    Done::Kept { what, from, chunk, outcome }
                };
                self.work(keep, panicked);
            }
            Taken::Stray => {}
            Taken::Broken => {
                let dropped = self.frames_dropped.load(Ordering::Relaxed);
                let was_ours = dropped != self.frames_dropped_seen;
                self.frames_dropped_seen = dropped;
                // Where frames were dropped here, the sender may be innocent.
                let input = if was_ours {
                    FetchInput::Lacks { from, chunk }
                } else {
                    FetchInput::Checked { from, chunk, outcome: ChunkOutcome::Broken }
                };
                self.feed(what, input);
            }
        }
    }

    fn serve_manifest(&mut self, to: NodeId, manifest: ManifestId) {
        if !self.manifests_served.insert(to) {
            // It asks again after a while.
            return;
        }
        let (network, chunks) = (self.parts.network.clone(), Arc::clone(&self.parts.chunks));
        let done = self.done.clone();
        tokio::spawn(async move {
            serve_manifest(network, chunks, to, manifest).await;
            // The thread that waits for it has ended.
            let _ = done.send(Done::ManifestServed { to }).await;
        });
    }
}
