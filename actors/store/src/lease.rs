//! Chunks that no manifest names yet, and that must not be swept: they are leased while somebody writes or fetches them.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use traind_protocol::ids::ChunkId;

/// How many leases hold each chunk. The lock is held while a chunk is looked for and while one is unlinked, never for both
/// a whole sweep.
#[derive(Debug, Default)]
pub(crate) struct LeaseTable {
    counts: Mutex<BTreeMap<ChunkId, u32>>,
}

impl LeaseTable {
    /// Nobody leases a chunk while the guard lives.
    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeMap<ChunkId, u32>> {
        // Counts change one by one, each whole.
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn release(&self, chunks: &[ChunkId]) {
        let mut counts = self.lock();
        for id in chunks {
            if let Some(count) = counts.get_mut(id) {
                *count -= 1;
                if *count == 0 {
                    counts.remove(id);
                }
            }
        }
    }
}

/// While it lives, no chunk that was put or touched under it is swept. Name the chunks by a manifest, then drop it. It lives
/// in memory: after a crash what no manifest names is swept when the store opens.
#[derive(Debug)]
pub struct ChunkLease {
    table: Arc<LeaseTable>,
    chunks: Vec<ChunkId>,
}

impl ChunkLease {
    pub(crate) fn new(table: &Arc<LeaseTable>) -> Self {
        Self { table: Arc::clone(table), chunks: Vec::new() }
    }

    /// Holds `id`, whether it is here yet or not.
    pub fn hold(&mut self, id: ChunkId) {
        *self.table.lock().entry(id).or_default() += 1;
        self.chunks.push(id);
    }

    /// The chunks that it holds.
    #[must_use]
    pub fn chunks(&self) -> &[ChunkId] {
        &self.chunks
    }
}

impl Drop for ChunkLease {
    fn drop(&mut self) {
        self.table.release(&self.chunks);
    }
}
