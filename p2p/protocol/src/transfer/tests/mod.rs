mod donor;
mod fetch;
mod messages;
mod seeds;
mod world;

use super::Chunk;
use crate::ids::{ChunkId, NodeId};

/// A chunk whose name says nothing about its bytes.
fn chunk(number: u32) -> Chunk {
    Chunk { id: ChunkId::of(&number.to_le_bytes()), bytes: 4 << 20 }
}

fn chunks(count: u32) -> Vec<Chunk> {
    (0..count).map(chunk).collect()
}

fn node(number: u8) -> NodeId {
    NodeId([number; 32])
}
