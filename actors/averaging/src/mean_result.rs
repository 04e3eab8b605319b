//! The bytes of a result: the mean gradient over one part, which every member applies.
//!
//! `samples: u64, loss mean: f64, held-out correct: u64, total: u64, loss mean: f64, values: f32 each`, little endian.

use crate::contribution::SAMPLES_MAX;
use crate::totals::HEADER_BYTES;
use crate::{CodecError, PartLayout};

/// What a result says about its step.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ResultHeader {
    /// Samples (or tokens) in the mean.
    pub samples: u64,
    /// Mean of their losses.
    pub loss_mean: f64,
    /// Right answers on the held-out samples that were tested in this step.
    pub held_out_correct: u64,
    /// Held-out samples that were tested in this step, 0 where it had no test.
    pub held_out_total: u64,
    /// Mean of their losses; 0 without a test.
    pub held_out_loss_mean: f64,
}

/// Checks that `bytes`, from a peer, is a well-formed result of `part`: length, ranges, all values finite.
///
/// # Errors
/// Names what is wrong.
pub fn check_result(layout: &PartLayout, part: u32, bytes: &[u8]) -> Result<ResultHeader, CodecError> {
    if part >= layout.parts() {
        return Err(CodecError::NoSuchPart { part, parts: layout.parts() });
    }
    Ok(parse(layout.range(part).len(), bytes)?.0)
}

/// Writes the values of a result to `out`, one part of the flat mean gradient.
///
/// # Errors
/// When the bytes are no result of a part of `out`'s length; then `out` is as it was.
pub fn decode_result(bytes: &[u8], out: &mut [f32]) -> Result<ResultHeader, CodecError> {
    let (header, values) = parse(out.len(), bytes)?;
    for (element, value) in out.iter_mut().zip(values) {
        *element = f32::from_le_bytes(*value);
    }
    Ok(header)
}

/// Encodes a result from values that are finite.
pub(crate) fn encode(header: ResultHeader, values: impl ExactSizeIterator<Item = f32>) -> Vec<u8> {
    let mut bytes = vec![0; HEADER_BYTES + 4 * values.len()];
    let words = [
        header.samples.to_le_bytes(),
        header.loss_mean.to_le_bytes(),
        header.held_out_correct.to_le_bytes(),
        header.held_out_total.to_le_bytes(),
        header.held_out_loss_mean.to_le_bytes(),
    ];
    for (room, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
        *room = word;
    }
    let room = bytes[HEADER_BYTES..].as_chunks_mut::<4>().0;
    for (bytes, value) in room.iter_mut().zip(values) {
        *bytes = value.to_le_bytes();
    }
    bytes
}

/// The checked header and values of a result of `elements`.
fn parse(elements: usize, bytes: &[u8]) -> Result<(ResultHeader, &[[u8; 4]]), CodecError> {
    let (header, values) = split(elements, bytes)?;
    let largest = values.iter().fold(0, |largest, value| largest.max(magnitude(*value)));
    check_finite(largest, values)?;
    Ok((header, values))
}

/// Refuses values of which the `largest` magnitude is not that of a finite one. Without a branch for each value, as the
/// magnitude bits of infinities and NaN are the largest.
pub(crate) fn check_finite(largest: u32, values: &[[u8; 4]]) -> Result<(), CodecError> {
    if largest < f32::INFINITY.to_bits() {
        return Ok(());
    }
    let element = values.iter().position(|value| !f32::from_le_bytes(*value).is_finite()).unwrap_or(0);
    Err(CodecError::NotFinite { element })
}

/// The checked header and the values of a result of `elements`, which [`check_finite`] has yet to see.
pub(crate) fn split(elements: usize, bytes: &[u8]) -> Result<(ResultHeader, &[[u8; 4]]), CodecError> {
    let expected = HEADER_BYTES + 4 * elements;
    if bytes.len() != expected {
        return Err(CodecError::Length { expected, found: bytes.len() });
    }
    let (words, _) = bytes[..HEADER_BYTES].as_chunks::<8>();
    let header = ResultHeader {
        samples: u64::from_le_bytes(words[0]),
        loss_mean: f64::from_le_bytes(words[1]),
        held_out_correct: u64::from_le_bytes(words[2]),
        held_out_total: u64::from_le_bytes(words[3]),
        held_out_loss_mean: f64::from_le_bytes(words[4]),
    };
    check(&header)?;
    let values = bytes[HEADER_BYTES..].as_chunks::<4>().0;
    Ok((header, values))
}

fn check(header: &ResultHeader) -> Result<(), CodecError> {
    if header.samples > SAMPLES_MAX {
        return Err(CodecError::Samples);
    }
    if !header.loss_mean.is_finite() {
        return Err(CodecError::Loss);
    }
    let is_counted = header.held_out_correct <= header.held_out_total && header.held_out_total <= SAMPLES_MAX;
    if !is_counted || !header.held_out_loss_mean.is_finite() {
        return Err(CodecError::HeldOut);
    }
    Ok(())
}

/// The bits of a value without its sign: ordered as the magnitudes are.
pub(crate) fn magnitude(value: [u8; 4]) -> u32 {
    u32::from_le_bytes(value) & (u32::MAX >> 1)
}
