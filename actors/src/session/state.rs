//! The whole state of a job at a step boundary, as bytes: what checkpoints hold and joiners receive.
//!
//! Layout: magic, what the tests gave ([`EarlyStopping`]), length of the grid (u64 little endian), grid, training state.
//! Everything that decides the future is in it and in the digest: tests, block exponents, parameters, optimiser, step, seed.

use thiserror::Error;
use traind_averaging::Grid;
use traind_protocol::ids::Digest;
use traind_protocol::wire::state_sample::{SamplePiece, StateSample};
use traind_training::Session;

use super::early_stopping::{EARLY_STOPPING_BYTES, EarlyStopping};

const MAGIC: &[u8; 8] = b"TRNDST02";
const HEAD_BYTES: usize = MAGIC.len() + EARLY_STOPPING_BYTES + size_of::<u64>();
const DIGEST_CONTEXT: &str = "traind state digest v2";

/// Bytes that are no state of this job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("state is malformed: {what}")]
pub struct MalformedState {
    what: &'static str,
}

/// The parts of an encoded state.
pub(super) struct StateParts<'a> {
    /// What the tests gave.
    pub(super) stopping: [u8; EARLY_STOPPING_BYTES],
    /// Encoded block exponents.
    pub(super) grid: &'a [u8],
    /// Encoded training state.
    pub(super) training: &'a [u8],
}

/// The sample of the state whose turn it is. Block exponents need none: the chain of results decides them.
#[must_use]
pub(super) fn sample(session: &Session) -> StateSample {
    let pieces = session.state_sample().into_iter();
    let pieces = pieces.map(|piece| SamplePiece { tensor: piece.tensor, hash: piece.hash }).collect();
    StateSample { step: session.step(), round_steps: session.sample_round_steps(), pieces }
}

/// What an encoded state begins with, before the training state.
#[must_use]
pub(super) fn head(grid: &Grid, stopping: EarlyStopping) -> Vec<u8> {
    let grid = grid.to_bytes();
    let mut head = Vec::with_capacity(HEAD_BYTES + grid.len());
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(&stopping.to_bytes());
    head.extend_from_slice(&(grid.len() as u64).to_le_bytes());
    head.extend_from_slice(&grid);
    head
}

/// Splits an encoded state.
///
/// # Errors
/// When the head is not that of a state or lies about lengths.
pub(super) fn split(bytes: &[u8]) -> Result<StateParts<'_>, MalformedState> {
    let (head, body) =
        bytes.split_at_checked(HEAD_BYTES).ok_or(MalformedState { what: "shorter than its head" })?;
    let (magic, head) = head.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err(MalformedState { what: "not a state, or of another version" });
    }
    let (stopping, length) = head
        .split_first_chunk::<EARLY_STOPPING_BYTES>()
        .ok_or(MalformedState { what: "shorter than its head" })?;
    let length = <[u8; 8]>::try_from(length)
        .map(u64::from_le_bytes)
        .ok()
        .and_then(|length| usize::try_from(length).ok());
    let (grid, training) = length
        .and_then(|length| body.split_at_checked(length))
        .ok_or(MalformedState { what: "block exponents longer than the state" })?;
    Ok(StateParts { stopping: *stopping, grid, training })
}

/// The training state within a checkpoint's bytes, for whoever exports it.
///
/// # Errors
/// When the bytes are no state.
pub fn training_state(bytes: &[u8]) -> Result<&[u8], MalformedState> {
    split(bytes).map(|parts| parts.training)
}

/// The digest of an encoded state that comes in pieces, so that it need not be in memory as a whole; the same as [`digest`] gives
/// for what it was encoded from: its magic is left out.
///
/// # Errors
/// The first of the pieces.
pub fn digest_of_pieces<P: AsRef<[u8]>, E>(pieces: impl Iterator<Item = Result<P, E>>) -> Result<Digest, E> {
    let mut hasher = blake3::Hasher::new_derive_key(DIGEST_CONTEXT);
    let mut magic_left = MAGIC.len();
    for piece in pieces {
        let piece = piece?;
        let piece = piece.as_ref();
        let skipped = magic_left.min(piece.len());
        magic_left -= skipped;
        hasher.update(&piece[skipped..]);
    }
    Ok(Digest(*hasher.finalize().as_bytes()))
}

/// BLAKE3 over everything that decides the future.
#[must_use]
pub(super) fn digest(grid: &Grid, stopping: EarlyStopping, session: &Session) -> Digest {
    let mut hasher = blake3::Hasher::new_derive_key(DIGEST_CONTEXT);
    hasher.update(&stopping.to_bytes());
    let grid = grid.to_bytes();
    hasher.update(&(grid.len() as u64).to_le_bytes());
    hasher.update(&grid);
    session.hash_into(&mut hasher);
    Digest(*hasher.finalize().as_bytes())
}
