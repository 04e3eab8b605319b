//! A state as a list of chunks: what a member offers to one without it.

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use super::message::SnapshotHead;
use crate::ids::{Chain, ChunkId, StateId};
use crate::transfer::{CHUNK_BYTES_MAX, Chunk, STATE_BYTES_MAX};
use crate::wire::encode;

/// Chunks of an offer: of the longest state and of the results of a step, which are no longer than that.
pub const OFFER_CHUNKS_MAX: usize = 2 * (STATE_BYTES_MAX / CHUNK_BYTES_MAX as u64) as usize;

/// A state and the results that led to it, by the names of their chunks. All that have the same state offer the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateOffer {
    /// Steps applied.
    pub step: u64,
    /// Chain of the state.
    pub chain: Chain,
    /// Chain of the state a step before.
    pub previous_chain: Chain,
    /// The encoded state, in order.
    pub state: Vec<Chunk>,
    /// The results of the step before, one behind the other.
    pub last: Vec<Chunk>,
    /// Their lengths, bytes, one for each part; empty if the state is the first of its incarnation.
    pub last_bytes: Vec<u32>,
}

impl StateOffer {
    /// What `head` goes with: a state of these chunks, and the results of the step before of those.
    ///
    /// # Panics
    /// Never: a result is below 4 GiB, as a frame has 4 MiB at most.
    #[must_use]
    pub fn new(head: &SnapshotHead, state: Vec<Chunk>, last: Vec<Chunk>) -> Self {
        let length = |result: &Bytes| u32::try_from(result.len()).expect("a result fits a frame");
        let SnapshotHead { step, chain, previous_chain, .. } = *head;
        let last_bytes = head.last.iter().map(length).collect();
        Self { step, chain, previous_chain, state, last, last_bytes }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> StateId {
        StateId(*blake3::hash(&encode(self)).as_bytes())
    }

    /// All chunks, the state's first. One may be named twice.
    pub fn chunks(&self) -> impl Iterator<Item = &Chunk> {
        self.state.iter().chain(&self.last)
    }

    /// Bytes of all chunks.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.chunks().map(|chunk| u64::from(chunk.bytes)).sum()
    }

    /// Bytes of the list.
    pub(super) fn list_bytes(&self) -> usize {
        (self.state.len() + self.last.len()) * size_of::<Chunk>() + self.last_bytes.len() * size_of::<u32>()
    }

    /// Whether it can be the state of a job with so many parts, results included of at most so many bytes.
    pub(super) fn is_possible(&self, parts: u32, bytes_max: u64) -> bool {
        let bytes_of = |lengths: &mut dyn Iterator<Item = u32>| lengths.map(u64::from).sum::<u64>();
        let chunks_fit = self.chunks().all(|chunk| (1..=CHUNK_BYTES_MAX).contains(&chunk.bytes));
        let results = bytes_of(&mut self.last_bytes.iter().copied());
        let is_whole = self.last_bytes.is_empty() || self.last_bytes.len() == parts as usize;
        !self.state.is_empty()
            && self.state.len() + self.last.len() <= OFFER_CHUNKS_MAX
            && chunks_fit
            && is_whole
            && results == bytes_of(&mut self.last.iter().map(|chunk| chunk.bytes))
            && self.bytes() <= bytes_max
    }

    /// Puts state and results together from chunks that are here and checked; `None` if one is missing.
    #[must_use]
    pub fn assemble(&self, chunk: impl Fn(ChunkId) -> Option<Bytes>) -> Option<(Bytes, Vec<Bytes>)> {
        let state = join(&self.state, &chunk)?;
        let mut rest = join(&self.last, &chunk)?;
        let mut last = Vec::with_capacity(self.last_bytes.len());
        for &length in &self.last_bytes {
            let length = length as usize;
            if length > rest.len() {
                return None;
            }
            last.push(rest.split_to(length));
        }
        Some((state, last))
    }
}

fn join(chunks: &[Chunk], content: &impl Fn(ChunkId) -> Option<Bytes>) -> Option<Bytes> {
    if let [only] = chunks {
        return content(only.id);
    }
    let length = chunks.iter().map(|chunk| chunk.bytes as usize).sum();
    let mut joined = BytesMut::with_capacity(length);
    for chunk in chunks {
        joined.extend_from_slice(&content(chunk.id)?);
    }
    Some(joined.freeze())
}
