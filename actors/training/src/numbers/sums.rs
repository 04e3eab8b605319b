//! Sums in a fixed order.

use super::{Real, rows::for_rows_indexed, rows::vectorised};

/// Partial sums of a row: as many as fill the widest vector unit.
const LANES: usize = 16;
/// Columns that are summed together: one cache line of f64 accumulators each, many to a thread.
const COLUMNS: usize = 64;

/// Adds the lanes in pairs: j and j + 8, then j + 4, j + 2, j + 1.
#[inline(always)]
fn fold<T: Real>(mut lanes: [T; LANES]) -> T {
    let mut width = LANES / 2;
    while width > 0 {
        for lane in 0..width {
            lanes[lane] += lanes[lane + width];
        }
        width /= 2;
    }
    lanes[0]
}

/// The sum of products: lane j of 16 adds elements j, j + 16, …
#[inline(always)]
pub(crate) fn dot<T: Real>(left: &[T], right: &[T]) -> T {
    let mut lanes = [T::ZERO; LANES];
    let (left_rows, left_rest) = left.as_chunks::<LANES>();
    let (right_rows, right_rest) = right.as_chunks::<LANES>();
    for (left, right) in left_rows.iter().zip(right_rows) {
        for lane in 0..LANES {
            lanes[lane] += left[lane] * right[lane];
        }
    }
    for (lane, (left, right)) in left_rest.iter().zip(right_rest).enumerate() {
        lanes[lane] += *left * *right;
    }
    fold(lanes)
}

/// The sum in f64: lane j of 16 adds elements j, j + 16, …
#[inline(always)]
pub(crate) fn sum_wide<T: Real>(values: &[T]) -> f64 {
    let mut lanes = [0f64; LANES];
    let (rows, rest) = values.as_chunks::<LANES>();
    for row in rows {
        for lane in 0..LANES {
            lanes[lane] += row[lane].wide();
        }
    }
    for (lane, value) in rest.iter().enumerate() {
        lanes[lane] += value.wide();
    }
    fold(lanes)
}

/// The largest value; minus infinity of none. NaN may be passed over: whoever exponentiates differences to it meets it again.
#[inline(always)]
pub(crate) fn largest<T: Real>(values: &[T]) -> T {
    let mut lanes = [-T::INFINITY; LANES];
    let (rows, rest) = values.as_chunks::<LANES>();
    let larger = |a: T, b: T| if b > a { b } else { a };
    for row in rows {
        for lane in 0..LANES {
            lanes[lane] = larger(lanes[lane], row[lane]);
        }
    }
    for (lane, value) in rest.iter().enumerate() {
        lanes[lane] = larger(lanes[lane], *value);
    }
    lanes.into_iter().fold(-T::INFINITY, larger)
}

/// `out[c] = (add ? out[c] : 0) + Σ over rows of term(row, c)` for `out.len()` columns, each summed in f64 from the first row
/// to the last. `terms(row, first column, out)` writes a row's terms of the columns from `first column` on.
pub(crate) fn column_sums<T: Real>(
    out: &mut [T],
    rows: usize,
    add: bool,
    terms: impl Fn(usize, usize, &mut [T]) + Sync,
) {
    for_rows_indexed(out, COLUMNS, |block, out| {
        vectorised(
            #[inline(always)]
            || {
                let mut sums = [0f64; COLUMNS];
                let mut values = [T::ZERO; COLUMNS];
                let sums = &mut sums[..out.len()];
                let values = &mut values[..out.len()];
                for row in 0..rows {
                    terms(row, block * COLUMNS, values);
                    for (sum, value) in sums.iter_mut().zip(&*values) {
                        *sum += value.wide();
                    }
                }
                for (out, sum) in out.iter_mut().zip(sums) {
                    *out = if add { *out + T::of(*sum) } else { T::of(*sum) };
                }
            },
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_equal_plain_ones_whatever_the_length() {
        for length in [0, 1, 15, 16, 17, 100] {
            let values: Vec<f64> = (0..length).map(|index| f64::from((index * 37) % 101) - 50.0).collect();
            let plain: f64 = values.iter().sum();
            assert_eq!(sum_wide(&values), plain);
            let squares: f64 = values.iter().map(|value| value * value).sum();
            assert_eq!(dot(&values, &values), squares);
            assert_eq!(largest(&values), values.iter().copied().fold(f64::NEG_INFINITY, f64::max));
        }
    }

    #[test]
    fn columns_are_summed_over_all_rows() {
        let matrix: Vec<f32> = (0..5 * 130).map(|index| (index % 17) as f32).collect();
        let mut out = vec![1.0f32; 130];
        let terms = |row: usize, first: usize, out: &mut [f32]| {
            out.copy_from_slice(&matrix[row * 130 + first..][..out.len()]);
        };
        column_sums(&mut out, 5, true, terms);
        for (column, out) in out.iter().enumerate() {
            let wanted: f32 = (0..5).map(|row| matrix[row * 130 + column]).sum::<f32>() + 1.0;
            assert_eq!(*out, wanted);
        }
    }
}
