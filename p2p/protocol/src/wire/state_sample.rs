//! A rotating sample of a member's state, as hashes: members that applied the same steps have equal ones.

use serde::{Deserialize, Serialize};

/// Pieces of one sample that are read; what is beyond is dropped.
pub const SAMPLE_PIECES_MAX: usize = 32;
/// Longest name of a tensor, bytes; longer ones are cut.
pub const TENSOR_NAME_BYTES_MAX: usize = 128;

/// Hashes of that part of a state whose turn it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateSample {
    /// Steps applied to the state.
    pub step: u64,
    /// After so many steps everything was in a sample.
    pub round_steps: u64,
    /// In the order of the state.
    pub pieces: Vec<SamplePiece>,
}

/// A stretch of one tensor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SamplePiece {
    /// Its name.
    pub tensor: String,
    /// The first bytes of the hash of its numbers.
    pub hash: [u8; 8],
}

impl StateSample {
    /// The first tensor of which the two say different things.
    #[must_use]
    pub fn first_difference<'a>(&'a self, other: &Self) -> Option<&'a str> {
        let differs = |(piece, other): &(&SamplePiece, &SamplePiece)| piece != other;
        let found =
            self.pieces.iter().zip(&other.pieces).find(differs).map(|(piece, _)| piece.tensor.as_str());
        let is_longer = self.pieces.len() != other.pieces.len();
        found.or_else(|| {
            is_longer.then(|| self.pieces.last().map_or("nothing", |piece| piece.tensor.as_str()))
        })
    }
}
