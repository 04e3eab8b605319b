//! The bytes of a contribution: the exact sum of some micro-batches over one part.
//!
//! The header ([`ContributionHeader`], five words), one flag byte per block, the values of each block, little endian. A
//! block's values are `i32` where all fit and `i64` elsewhere, so a sum has exactly one encoding.

use crate::totals::{ContributionHeader, HEADER_BYTES};
use crate::{BLOCK_ELEMENTS, CodecError, PartLayout};

/// Magnitude bits of a sum at most: `f64` holds integers below 2^53 exactly, so the mean is rounded only by its
/// division and its conversion to `f32`.
pub const SUM_BITS_MAX: u32 = 53;

/// Samples (or tokens) of a sum at most: exact as `f64`, which the mean divides by.
pub const SAMPLES_MAX: u64 = 1 << SUM_BITS_MAX;

/// Flag of a block of `i32` values.
const NARROW: u8 = 0;
/// Flag of a block of `i64` values.
const WIDE: u8 = 1;

/// Checks that `bytes`, from a peer, is a well-formed contribution to `part`: length, flags, ranges, one encoding.
///
/// # Errors
/// Names what is wrong; a misbehaving sender is the usual cause.
pub fn check_contribution(
    layout: &PartLayout,
    part: u32,
    bytes: &[u8],
) -> Result<ContributionHeader, CodecError> {
    if part >= layout.parts() {
        return Err(CodecError::NoSuchPart { part, parts: layout.parts() });
    }
    let contribution = Contribution::parse(layout.range(part).len(), bytes)?;
    for (block, values) in contribution.blocks().enumerate() {
        values.check(block)?;
    }
    Ok(contribution.header)
}

/// A contribution whose length, flags and header were checked, but not its values.
pub(crate) struct Contribution<'a> {
    pub(crate) header: ContributionHeader,
    flags: &'a [u8],
    values: &'a [u8],
    elements: usize,
}

impl<'a> Contribution<'a> {
    /// Reads a contribution to a part of `elements`. Allocates nothing.
    pub(crate) fn parse(elements: usize, bytes: &'a [u8]) -> Result<Self, CodecError> {
        let blocks = elements.div_ceil(BLOCK_ELEMENTS);
        let length = |expected| CodecError::Length { expected, found: bytes.len() };
        let (header, rest) =
            bytes.split_first_chunk::<HEADER_BYTES>().ok_or_else(|| length(HEADER_BYTES + blocks))?;
        let (flags, values) = rest.split_at_checked(blocks).ok_or_else(|| length(HEADER_BYTES + blocks))?;
        if let Some(block) = flags.iter().position(|flag| *flag > WIDE) {
            return Err(CodecError::Flag { block, flag: flags[block] });
        }
        let expected: usize =
            flags.iter().enumerate().map(|(block, flag)| block_bytes(elements, block, *flag)).sum();
        if values.len() != expected {
            return Err(length(HEADER_BYTES + blocks + expected));
        }
        let header = ContributionHeader::from_bytes(header);
        header.check()?;
        Ok(Self { header, flags, values, elements })
    }

    /// The blocks in order.
    pub(crate) fn blocks(&self) -> impl Iterator<Item = BlockValues<'a>> + use<'a> {
        let (flags, elements, mut rest) = (self.flags, self.elements, self.values);
        flags.iter().enumerate().map(move |(block, flag)| {
            let (bytes, after) = rest.split_at(block_bytes(elements, block, *flag));
            rest = after;
            if *flag == NARROW { BlockValues::Narrow(bytes) } else { BlockValues::Wide(bytes) }
        })
    }
}

/// One block's values as they stand in a contribution.
pub(crate) enum BlockValues<'a> {
    Narrow(&'a [u8]),
    Wide(&'a [u8]),
}

impl BlockValues<'_> {
    /// That the values are in range and have their one encoding.
    pub(crate) fn check(&self, block: usize) -> Result<(), CodecError> {
        let Self::Wide(bytes) = self else { return Ok(()) };
        let union = read_wide(bytes).fold(0, |union, value| union | magnitude_bits(value));
        if union >> SUM_BITS_MAX != 0 {
            return Err(CodecError::OutOfRange { block });
        }
        if union >> 31 == 0 {
            return Err(CodecError::NotCanonical { block });
        }
        Ok(())
    }

    /// `sums[i] += sign * values[i]`; returns the union of all magnitude bits of the sums. Values must be in range.
    pub(crate) fn add_to<const SIGN: i64>(&self, sums: &mut [i64]) -> i64 {
        let mut union = 0;
        match self {
            Self::Narrow(bytes) => {
                for (sum, value) in sums.iter_mut().zip(bytes.as_chunks::<4>().0) {
                    *sum += SIGN * i64::from(i32::from_le_bytes(*value));
                    union |= magnitude_bits(*sum);
                }
            }
            Self::Wide(bytes) => {
                for (sum, value) in sums.iter_mut().zip(read_wide(bytes)) {
                    *sum += SIGN * value;
                    union |= magnitude_bits(*sum);
                }
            }
        }
        union
    }
}

/// Writes contributions block by block.
pub(crate) struct ContributionWriter {
    bytes: Vec<u8>,
    block: usize,
}

impl ContributionWriter {
    /// Starts a contribution to a part of `elements`.
    pub(crate) fn new(header: ContributionHeader, elements: usize) -> Self {
        let blocks = elements.div_ceil(BLOCK_ELEMENTS);
        let mut bytes = Vec::with_capacity(HEADER_BYTES + blocks + 4 * elements);
        bytes.extend_from_slice(&header.to_bytes());
        bytes.resize(HEADER_BYTES + blocks, NARROW);
        Self { bytes, block: 0 }
    }

    /// Appends a block whose values are known to fit `i32`.
    pub(crate) fn push_narrow(&mut self, values: impl ExactSizeIterator<Item = i32>) {
        let start = self.bytes.len();
        self.bytes.resize(start + 4 * values.len(), 0);
        let room = self.bytes[start..].as_chunks_mut::<4>().0;
        for (bytes, value) in room.iter_mut().zip(values) {
            *bytes = value.to_le_bytes();
        }
        self.block += 1;
    }

    /// Appends a block in the narrowest form that holds it.
    pub(crate) fn push(&mut self, values: &[i64]) {
        let union = values.iter().fold(0, |union, value| union | magnitude_bits(*value));
        if union >> 31 == 0 {
            return self.push_narrow(values.iter().map(|value| *value as i32));
        }
        self.bytes[HEADER_BYTES + self.block] = WIDE;
        self.bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        self.block += 1;
    }

    /// The bytes.
    pub(crate) fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// The bits that `value` needs beside its sign: below 2^k for all of -2^k..2^k.
pub(crate) fn magnitude_bits(value: i64) -> i64 {
    value ^ (value >> 63)
}

fn block_bytes(elements: usize, block: usize, flag: u8) -> usize {
    let values = BLOCK_ELEMENTS.min(elements - block * BLOCK_ELEMENTS);
    values * if flag == NARROW { 4 } else { 8 }
}

fn read_wide(bytes: &[u8]) -> impl Iterator<Item = i64> + '_ {
    bytes.as_chunks::<8>().0.iter().map(|value| i64::from_le_bytes(*value))
}
