//! The sum of squares whose root is the gradient's norm.

use super::{both, middle};
use crate::numbers::{Real, vectorised};

/// Partial sums of a chunk: as many as fill the processor's vector units.
const LANES: usize = 16;

/// The sum of squares, in f64, by a fixed tree, so that it has the same bits on every machine and with every number of
/// threads:
/// - the vector is cut at half its length, rounded up to a multiple of a chunk (2^14 elements), and so are the halves, until no piece is
///   longer than a chunk; sums of the halves are added;
/// - within a chunk, lane j of 16 adds the squares of elements j, j + 16, j + 32, … from the first to the last;
/// - the lanes are added in pairs: j and j + 8, then j and j + 4, j + 2, j + 1.
///
/// A square of an f32 is exact in f64.
pub(super) fn square_sum<T: Real>(values: &[T]) -> f64 {
    let Some(middle) = middle(values.len()) else { return chunk_sum(values) };
    let (left, right) = values.split_at(middle);
    let (left, right) = both(values.len(), || square_sum(left), || square_sum(right));
    left + right
}

fn chunk_sum<T: Real>(values: &[T]) -> f64 {
    vectorised(
        #[inline(always)]
        || lanes_sum(values),
    )
}

#[inline(always)]
fn lanes_sum<T: Real>(values: &[T]) -> f64 {
    let mut lanes = [0f64; LANES];
    let (rows, rest) = values.as_chunks::<LANES>();
    for row in rows {
        for (lane, value) in lanes.iter_mut().zip(row) {
            *lane += value.wide() * value.wide();
        }
    }
    for (lane, value) in lanes.iter_mut().zip(rest) {
        *lane += value.wide() * value.wide();
    }
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        counter_rng::{CounterRng, Purpose},
        optimiser::CHUNK_ELEMENTS,
    };

    /// The tree once more, by index arithmetic alone.
    fn described(values: &[f32], from: usize, to: usize) -> f64 {
        if to - from > CHUNK_ELEMENTS {
            let middle = from + ((to - from) / 2).div_ceil(CHUNK_ELEMENTS) * CHUNK_ELEMENTS;
            return described(values, from, middle) + described(values, middle, to);
        }
        let squares =
            |lane: usize| (from + lane..to).step_by(16).map(|index| f64::from(values[index]).powi(2));
        let lane = |lane: usize| squares(lane).fold(0.0, |sum, square| sum + square);
        let eight: Vec<f64> = (0..8).map(|j| lane(j) + lane(j + 8)).collect();
        let four: Vec<f64> = (0..4).map(|j| eight[j] + eight[j + 4]).collect();
        (four[0] + four[2]) + (four[1] + four[3])
    }

    #[test]
    fn the_tree_is_the_documented_one() {
        let mut values = vec![0f32; 5 * CHUNK_ELEMENTS + 77];
        CounterRng::new(1, Purpose::Initialisation, 5).fill_uniform(3.0, &mut values);
        for length in [0, 1, 15, 16, 17, 1000, CHUNK_ELEMENTS, CHUNK_ELEMENTS + 1, 5 * CHUNK_ELEMENTS + 77] {
            let found = square_sum(&values[..length]);
            assert_eq!(found.to_bits(), described(&values, 0, length).to_bits(), "{length} elements");
            let plain: f64 = values[..length].iter().map(|value| f64::from(*value).powi(2)).sum();
            assert!((found - plain).abs() <= 1e-12 * plain, "{length} elements: {found} {plain}");
        }
    }

    #[test]
    fn the_largest_numbers_do_not_overflow_and_bad_ones_show() {
        assert!(square_sum(&vec![f32::MAX; 100_000]).is_finite());
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = vec![0f32; 40_000];
            values[33_333] = bad;
            assert!(!square_sum(&values).is_finite());
        }
    }
}
