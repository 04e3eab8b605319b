//! Moving chunks between nodes: who is asked for what, and who is served next.
//!
//! Everything that is too large for a message (checkpoints, shards of data, the state for a joiner) is a list of chunks,
//! each named by the BLAKE3 of its bytes. Two machines move them, and neither trusts anybody:
//!
//! * [`Fetch`] gets the chunks that this node lacks from several sources at once. A source that dies, is slow, lacks a
//!   chunk or sends other bytes is made up for by the rest; the one that sent other bytes is named.
//! * [`Donor`] serves others, one chunk after the other to each, a few receivers at a time. While more want something,
//!   it sends each chunk once and then names who got it: receivers are sources for what they hold.
//!
//! [`Assembly`] puts pieces together, and [`TransferMessage`] is what travels. Whether bytes are what they should be is
//! an input: hashing is the driver's.

mod assembly;
mod donor;
mod fetch;
mod limits;
mod message;
mod progress;
mod source;
#[cfg(test)]
mod tests;

pub use assembly::{Assembly, Taken};
pub use donor::{Donor, DonorInput, DonorOutput};
pub use fetch::{ChunkOutcome, Fetch, FetchInput, FetchOutput, Verdict};
pub use limits::*;
pub use message::TransferMessage;
pub use progress::{FetchProgress, SourceProgress};

use serde::{Deserialize, Serialize};

use crate::ids::ChunkId;

/// A chunk as a list names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Chunk {
    /// BLAKE3 of its bytes.
    pub id: ChunkId,
    /// How many.
    pub bytes: u32,
}
