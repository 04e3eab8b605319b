//! Puts the pieces of chunks together, each sender's apart.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};

use crate::ids::{ChunkId, NodeId};

/// What became of a piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Taken {
    /// There is more to come.
    Partly,
    /// The chunk is whole; whether its bytes are right is another matter.
    Whole(Bytes),
    /// The rest of an answer whose beginning was dropped, as after a broken connection: it means nothing.
    Stray,
    /// It does not follow the piece before it, or exceeds the chunk: what came so far is dropped.
    Broken,
}

/// Chunks that have come in part. As many as were asked for and not answered, which the caller bounds: it takes no
/// piece of a chunk that it did not ask of the sender.
#[derive(Debug, Default)]
pub struct Assembly {
    parts: BTreeMap<(NodeId, ChunkId), BytesMut>,
}

impl Assembly {
    /// Takes a piece of a chunk of `chunk_bytes`.
    pub fn take(
        &mut self,
        from: NodeId,
        chunk: ChunkId,
        chunk_bytes: u32,
        offset: u32,
        piece: Bytes,
    ) -> Taken {
        let key = (from, chunk);
        let length = chunk_bytes as usize;
        if offset == 0 && piece.len() == length {
            self.parts.remove(&key);
            return Taken::Whole(piece);
        }
        if offset != 0 && !self.parts.contains_key(&key) {
            return Taken::Stray;
        }
        let part = self.parts.entry(key).or_default();
        if offset == 0 {
            // Said again from the start, as after a broken connection.
            part.clear();
        }
        if part.len() != offset as usize || part.len() + piece.len() > length {
            self.parts.remove(&key);
            return Taken::Broken;
        }
        if offset == 0 {
            part.reserve(length);
        }
        part.extend_from_slice(&piece);
        if part.len() < length {
            return Taken::Partly;
        }
        match self.parts.remove(&key) {
            Some(whole) => Taken::Whole(whole.freeze()),
            None => Taken::Broken,
        }
    }

    /// What came of this chunk from there is not needed any more.
    pub fn forget(&mut self, from: NodeId, chunk: ChunkId) {
        self.parts.remove(&(from, chunk));
    }

    /// The path from that node broke: what comes next begins anew.
    pub fn forget_sender(&mut self, from: NodeId) {
        self.parts.retain(|(sender, _), _| *sender != from);
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.parts.values().map(BytesMut::len).sum()
    }
}
