//! The grid that gradients are rounded to: one power of two a block, the same on all replicas.

use crate::contribution::{ContributionWriter, SUM_BITS_MAX};
use crate::mean_result::{self, ResultHeader};
use crate::totals::{ContributionHeader, HELD_OUT_LOSS_SCALE, LOSS_SCALE, Totals};
use crate::{Accumulator, BLOCK_ELEMENTS, CodecError, PartLayout};

/// Bits of the grid below the largest magnitude of a block's last mean.
const GRID_BITS: i16 = 24;

/// Exponent of a block at least, that of step 0 and of all-zero blocks: a grid of 2^-40.
///
/// The floor bounds what a block can grow by in one step: any sum over the batch below 2^(53-40) = 8192 in magnitude
/// is representable in every step, also after steps whose gradients all but vanished. Means below 2^-16 keep an
/// absolute precision of 2^-41 per micro-batch, divided by the samples.
pub const BLOCK_EXPONENT_MIN: i16 = -16;

/// Exponent of a block at most: all finite `f32` are below 2^128.
const BLOCK_EXPONENT_MAX: i16 = 128;

/// `x + ROUND - ROUND` rounds to the nearest integer, ties to even, for |x| < 2^51: the unit of the last place of 1.5 *
/// 2^52 is one. The low bits of the sum are then the integer itself.
const ROUND: f64 = 1.5 * (1u64 << 52) as f64;

/// Why the gradient of a micro-batch cannot take part in a sum. The step is refused, with the micro-batch named.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum NotFinite {
    /// An element is infinite or not a number.
    #[error("quantise a gradient: element {element} is {value}")]
    Gradient {
        /// Element within the flat gradient.
        element: usize,
        /// Its value.
        value: f32,
    },
    /// An element is finite but too large for the exact range of its block's grid.
    #[error("quantise a gradient: element {element} is {value}, beyond the exact range of its block")]
    GradientOutOfRange {
        /// Element within the flat gradient.
        element: usize,
        /// Its value.
        value: f32,
    },
    /// The sum of the losses is not finite or beyond its exact range of 2^29.
    #[error("quantise a gradient: the sum of the losses is {loss_sum}")]
    Loss {
        /// The sum.
        loss_sum: f64,
    },
}

/// The exponents of all blocks. Part of a job's state: of its digest, its checkpoints and what a joiner fetches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grid {
    layout: PartLayout,
    exponents: Vec<i16>,
}

impl Grid {
    /// The grid of step 0.
    #[must_use]
    pub fn new(layout: &PartLayout) -> Self {
        Self { layout: *layout, exponents: vec![BLOCK_EXPONENT_MIN; layout.blocks()] }
    }

    /// The parts this grid is for.
    #[must_use]
    pub fn layout(&self) -> &PartLayout {
        &self.layout
    }

    /// Rounds one micro-batch's `gradient` (flat and whole, the sum over its samples of their loss's derivative) to
    /// the grid and encodes `part` of it, with its `totals`. Each element is rounded once, ties to even; scaling by a
    /// power of two is exact.
    ///
    /// # Errors
    /// When an element of the part or the loss is not finite or out of range.
    ///
    /// # Panics
    /// When `gradient` has not the layout's length or there is no such part.
    pub fn quantise(&self, part: u32, gradient: &[f32], totals: &Totals) -> Result<Vec<u8>, NotFinite> {
        assert_eq!(gradient.len(), self.layout.elements(), "a whole flat gradient");
        assert!(part < self.layout.parts(), "part {part} of {}", self.layout.parts());
        let range = self.layout.range(part);
        let header = ContributionHeader::quantise(totals)?;
        let mut writer = ContributionWriter::new(header, range.len());
        let exponents = &self.exponents[self.layout.block_range(part)];
        for ((block, values), exponent) in
            gradient[range.clone()].chunks(BLOCK_ELEMENTS).enumerate().zip(exponents)
        {
            push_block(&mut writer, values, *exponent)
                .map_err(|element| name_element(gradient, range.start + block * BLOCK_ELEMENTS + element))?;
        }
        Ok(writer.finish())
    }

    /// The encoded result of `part`: every sum times its grid, divided by the samples, rounded to `f32` once. A sum of
    /// no samples has a mean of zero.
    ///
    /// # Panics
    /// When `sum` is not over `part`.
    #[must_use]
    pub fn mean(&self, part: u32, sum: &Accumulator) -> Vec<u8> {
        assert_eq!(sum.sums().len(), self.layout.range(part).len(), "a sum over part {part}");
        let sums = sum.header();
        let samples = sum.samples().max(1) as f64;
        let empty = if sum.samples() == 0 { 0.0 } else { 1.0 };
        let held_out_total = sums.held_out_total.max(1) as f64;
        let header = ResultHeader {
            samples: sum.samples(),
            loss_mean: empty * (sums.loss as f64 / LOSS_SCALE / samples),
            held_out_correct: sums.held_out_correct,
            held_out_total: sums.held_out_total,
            held_out_loss_mean: sums.held_out_loss as f64 / HELD_OUT_LOSS_SCALE / held_out_total,
        };
        let exponents = &self.exponents[self.layout.block_range(part)];
        let mut values = vec![0.0; sum.sums().len()];
        for ((out, sums), exponent) in
            values.chunks_mut(BLOCK_ELEMENTS).zip(sum.sums().chunks(BLOCK_ELEMENTS)).zip(exponents)
        {
            let grid = empty * power_of_two(*exponent - GRID_BITS);
            for (out, sum) in out.iter_mut().zip(sums) {
                *out = mean_value(*sum, grid, samples);
            }
        }
        mean_result::encode(header, values.into_iter())
    }

    /// The next step's exponents of `part`, from the `result` that all replicas applied: the smallest power of two that
    /// is no less than each block's largest magnitude, and no less than [`BLOCK_EXPONENT_MIN`].
    ///
    /// # Errors
    /// When `result` is no result of `part`; then nothing has changed.
    pub fn advance(&mut self, part: u32, result: &[u8]) -> Result<(), CodecError> {
        if part >= self.layout.parts() {
            return Err(CodecError::NoSuchPart { part, parts: self.layout.parts() });
        }
        let (_, values) = mean_result::split(self.layout.range(part).len(), result)?;
        let largest: Vec<u32> = values
            .chunks(BLOCK_ELEMENTS)
            .map(|block| block.iter().fold(0, |largest, value| largest.max(mean_result::magnitude(*value))))
            .collect();
        mean_result::check_finite(largest.iter().copied().max().unwrap_or(0), values)?;
        let exponents = &mut self.exponents[self.layout.block_range(part)];
        for (exponent, largest) in exponents.iter_mut().zip(largest) {
            *exponent = ceil_log2(largest).unwrap_or(BLOCK_EXPONENT_MIN).max(BLOCK_EXPONENT_MIN);
        }
        Ok(())
    }

    /// The exponents, two bytes a block, little endian: for digests, checkpoints and joiners.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        self.exponents.iter().flat_map(|exponent| exponent.to_le_bytes()).collect()
    }

    /// Reads what [`Self::to_bytes`] wrote for the same layout.
    ///
    /// # Errors
    /// When the length is another or an exponent is one that no result leads to.
    pub fn from_bytes(layout: &PartLayout, bytes: &[u8]) -> Result<Self, CodecError> {
        let expected = 2 * layout.blocks();
        if bytes.len() != expected {
            return Err(CodecError::Length { expected, found: bytes.len() });
        }
        let exponents: Vec<i16> =
            bytes.as_chunks::<2>().0.iter().map(|pair| i16::from_le_bytes(*pair)).collect();
        let possible = BLOCK_EXPONENT_MIN..=BLOCK_EXPONENT_MAX;
        match exponents.iter().position(|exponent| !possible.contains(exponent)) {
            Some(block) => Err(CodecError::Exponent { block, exponent: exponents[block] }),
            None => Ok(Self { layout: *layout, exponents }),
        }
    }
}

/// Rounds a block to its grid and appends it; the element that cannot be is the error.
fn push_block(writer: &mut ContributionWriter, values: &[f32], exponent: i16) -> Result<(), usize> {
    let scale = power_of_two(GRID_BITS - exponent);
    let largest = values.iter().fold(0, |largest: u32, value| largest.max(value.abs().to_bits()));
    // NaN and infinities have the largest bits, so this comparison refuses them with the rest.
    let limit = f64::from(f32::from_bits(largest)) * scale;
    if limit < f64::from(1u32 << 31) {
        writer.push_narrow(values.iter().map(|value| (f64::from(*value) * scale + ROUND).to_bits() as i32));
        return Ok(());
    }
    // The negation also catches NaN.
    let in_range = |x: f64| x.abs() < (1u64 << SUM_BITS_MAX) as f64;
    if let Some(element) = values.iter().position(|value| !in_range(f64::from(*value) * scale)) {
        return Err(element);
    }
    let mut block = [0i64; BLOCK_ELEMENTS];
    for (integer, value) in block.iter_mut().zip(values) {
        *integer = (f64::from(*value) * scale).round_ties_even() as i64;
    }
    writer.push(&block[..values.len()]);
    Ok(())
}

fn name_element(gradient: &[f32], element: usize) -> NotFinite {
    let value = gradient[element];
    if value.is_finite() {
        NotFinite::GradientOutOfRange { element, value }
    } else {
        NotFinite::Gradient { element, value }
    }
}

/// `sum * grid / samples`. Only hostile sums can exceed `f32`; they are clamped so that a result is always finite.
fn mean_value(sum: i64, grid: f64, samples: f64) -> f32 {
    (sum as f64 * grid / samples).clamp(f64::from(f32::MIN), f64::from(f32::MAX)) as f32
}

/// 2^exponent, exact for the exponents of grids.
fn power_of_two(exponent: i16) -> f64 {
    f64::from_bits(u64::from((1023 + exponent).unsigned_abs()) << 52)
}

/// The smallest e with 2^e no less than the positive finite `f32` of these bits, by inspection of the bits; `None` for
/// zero.
fn ceil_log2(bits: u32) -> Option<i16> {
    let (exponent, fraction) = ((bits >> 23) as i16, bits & 0x7f_ffff);
    match (exponent, fraction) {
        (0, 0) => None,
        // Subnormal: the fraction counts units of 2^-149.
        (0, _) => Some(fraction.next_power_of_two().trailing_zeros() as i16 - 149),
        (_, 0) => Some(exponent - 127),
        _ => Some(exponent - 126),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ceil_log2_is_the_smallest_power_of_two_above() {
        assert_eq!(ceil_log2(0), None);
        let mut bits = 1u32;
        while bits < f32::INFINITY.to_bits() {
            let value = f64::from(f32::from_bits(bits));
            let exponent = ceil_log2(bits).unwrap();
            assert!(2f64.powi(exponent.into()) >= value, "2^{exponent} is below {value:e}");
            assert!(
                2f64.powi(i32::from(exponent) - 1) < value,
                "2^{exponent} is not the smallest for {value:e}"
            );
            bits += if bits < 4096 { 1 } else { 65_521 };
        }
        for (value, exponent) in
            [(1.0, 0), (1.000_000_1, 1), (2.0, 1), (f32::MIN_POSITIVE, -126), (f32::MAX, 128)]
        {
            assert_eq!(ceil_log2(f32::to_bits(value)), Some(exponent), "{value:e}");
        }
    }

    #[test]
    fn power_of_two_is_exact() {
        for exponent in BLOCK_EXPONENT_MIN - GRID_BITS..=BLOCK_EXPONENT_MAX + GRID_BITS {
            assert_eq!(power_of_two(exponent), 2f64.powi(exponent.into()));
            assert_eq!(power_of_two(-exponent), 2f64.powi((-exponent).into()));
        }
    }
}
