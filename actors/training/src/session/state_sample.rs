//! A rotating sample of the state, hashed: what shows that a member's memory has gone wrong.

use std::ops::Range;

use super::Session;
use crate::shared_vectors::Vectors;

/// Fewest bytes that a sample has: hashing them takes about 10 µs.
const SAMPLE_BYTES_MIN: usize = 64 << 10;
/// Steps after which every number was in a sample, at most. A sample of a state of 600 MB is then 2.3 MB, a third of a millisecond
/// of steps of seconds.
const ROUND_STEPS_MAX: usize = 256;
/// Tensors that a sample names apart; the rest of it is one piece.
pub const SAMPLE_PIECES_MAX: usize = 32;
/// Bytes kept of a piece's hash: what differs by accident differs here.
const PIECE_HASH_BYTES: usize = 8;

/// A stretch of one tensor of the state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatePiece {
    /// The parameter's name, or `moment 1 of` it; of the last piece, that of its first one.
    pub tensor: String,
    /// Of its bytes, little-endian.
    pub hash: [u8; PIECE_HASH_BYTES],
}

impl Session {
    /// Steps after which all of the state was in a sample: the same for every session of a job.
    #[must_use]
    pub fn sample_round_steps(&self) -> u64 {
        self.sample_elements().1 as u64
    }

    /// Hashes of the stretch of the state, parameters and moments, whose turn it is at the present step.
    #[must_use]
    pub fn state_sample(&self) -> Vec<StatePiece> {
        let (length, samples) = self.sample_elements();
        let turn = (self.state.step % samples as u64) as usize;
        let end = self.state.vectors.parameters.len() + self.state.vectors.moments.len();
        let range = (turn * length).min(end)..((turn + 1) * length).min(end);
        let mut pieces: Vec<StatePiece> = Vec::new();
        let mut rest = blake3::Hasher::new();
        for (name, stretch) in self.tensors_in(&range) {
            let is_full = pieces.len() >= SAMPLE_PIECES_MAX;
            if !is_full {
                rest = blake3::Hasher::new();
            }
            self.hash_values(&stretch, &mut rest);
            let hash = first_bytes(&rest);
            match pieces.last_mut().filter(|_| is_full) {
                Some(last) => last.hash = hash,
                None => pieces.push(StatePiece { tensor: name, hash }),
            }
        }
        pieces
    }

    /// Elements of a sample, and how many samples the state has.
    fn sample_elements(&self) -> (usize, usize) {
        let elements = (self.state.vectors.parameters.len() + self.state.vectors.moments.len()).max(1);
        let length = (SAMPLE_BYTES_MIN / size_of::<f32>()).max(elements.div_ceil(ROUND_STEPS_MAX));
        (length, elements.div_ceil(length))
    }

    /// The tensors of the state that lie in `range`, with the part of each that does.
    fn tensors_in(&self, range: &Range<usize>) -> Vec<(String, Range<usize>)> {
        let elements = self.layout.elements();
        let mut found = Vec::new();
        let (first, last) = (range.start / elements.max(1), range.end.saturating_sub(1) / elements.max(1));
        for vector in first..=last {
            let base = vector * elements;
            for place in self.layout.places() {
                let of_place = place.range();
                let start = (base + of_place.start).max(range.start);
                let end = (base + of_place.end).min(range.end);
                if start < end {
                    let name = match vector {
                        0 => place.name.clone(),
                        moment => format!("moment {moment} of {}", place.name),
                    };
                    found.push((name, start..end));
                }
            }
        }
        found
    }

    fn hash_values(&self, range: &Range<usize>, hasher: &mut blake3::Hasher) {
        let border = self.state.vectors.parameters.len();
        let parameters = range.start.min(border)..range.end.min(border);
        let moments = range.start.max(border) - border..range.end.max(border) - border;
        let Vectors { parameters: of_parameters, moments: of_moments } = &*self.state.vectors;
        for values in [&of_parameters[parameters], &of_moments[moments]] {
            hasher.update(bytemuck::cast_slice(values));
        }
    }
}

fn first_bytes(hasher: &blake3::Hasher) -> [u8; PIECE_HASH_BYTES] {
    let mut hash = [0; PIECE_HASH_BYTES];
    hasher.finalize_xof().fill(&mut hash);
    hash
}
