//! Matrix products on slices, by the `gemm` crate that candle uses too.

use candle_core::WithDType;

use crate::threads;

/// Element types that `gemm` multiplies and the layers compute in.
pub(super) trait Real: WithDType {}
impl Real for f32 {}
impl Real for f64 {}

/// A row-major matrix, or its transpose, borrowed.
#[derive(Clone, Copy)]
pub(super) struct Matrix<'a, T> {
    values: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a, T> Matrix<'a, T> {
    /// `values` row by row.
    pub(super) fn new(values: &'a [T], rows: usize, columns: usize) -> Self {
        assert_eq!(rows.checked_mul(columns), Some(values.len()), "a matrix of {rows} by {columns}");
        Self { values, rows, columns, row_stride: columns, column_stride: 1 }
    }

    /// The same values with rows and columns exchanged.
    pub(super) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// `left · right`, row-major. Every element is summed in an order that does not depend on the number of threads:
/// `gemm` divides rows and columns among them, never the inner dimension.
#[allow(unsafe_code)]
pub(super) fn multiply<T: Real>(left: Matrix<'_, T>, right: Matrix<'_, T>) -> Vec<T> {
    assert_eq!(left.columns, right.rows, "inner dimensions of a product");
    let mut product = vec![T::zero(); left.rows * right.columns];
    let parallelism = match threads::count() {
        0 | 1 => gemm::Parallelism::None,
        threads => gemm::Parallelism::Rayon(threads),
    };
    let stride = |length: usize| isize::try_from(length).expect("a slice is never longer than isize::MAX");
    // SAFETY: `Matrix::new` checked that each operand's values are exactly rows × columns long, so every element that
    // (rows, columns, strides) address lies inside its slice; `product` has left.rows × right.columns elements, is
    // initialised and borrowed by nobody else; `Real` is only f32 and f64, which `gemm` supports.
    unsafe {
        gemm::gemm(
            left.rows,
            right.columns,
            left.columns,
            product.as_mut_ptr(),
            1,
            stride(right.columns),
            false,
            left.values.as_ptr(),
            stride(left.column_stride),
            stride(left.row_stride),
            right.values.as_ptr(),
            stride(right.column_stride),
            stride(right.row_stride),
            T::zero(),
            T::one(),
            false,
            false,
            false,
            parallelism,
        );
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(count: usize, seed: u64) -> Vec<f64> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / (1u64 << 24) as f64 - 0.5
        };
        (0..count).map(|_| next()).collect()
    }

    fn plain_product(left: &[f64], right: &[f64], rows: usize, inner: usize, columns: usize) -> Vec<f64> {
        let mut product = vec![0.0; rows * columns];
        for row in 0..rows {
            for column in 0..columns {
                for index in 0..inner {
                    product[row * columns + column] +=
                        left[row * inner + index] * right[index * columns + column];
                }
            }
        }
        product
    }

    fn transpose(values: &[f64], rows: usize, columns: usize) -> Vec<f64> {
        (0..rows * columns).map(|index| values[index % rows * columns + index / rows]).collect()
    }

    #[test]
    fn products_of_every_orientation_equal_the_plain_loops() {
        for (rows, inner, columns) in
            [(1, 1, 1), (3, 5, 2), (6, 25, 300), (120, 400, 8), (84, 8, 120), (7, 0, 3)]
        {
            let (left, right) = (numbers(rows * inner, 1), numbers(inner * columns, 2));
            let wanted = plain_product(&left, &right, rows, inner, columns);
            let (left_turned, right_turned) =
                (transpose(&left, rows, inner), transpose(&right, inner, columns));
            let lefts =
                [Matrix::new(&left, rows, inner), Matrix::new(&left_turned, inner, rows).transposed()];
            let rights = [
                Matrix::new(&right, inner, columns),
                Matrix::new(&right_turned, columns, inner).transposed(),
            ];
            for (left, right) in lefts.iter().flat_map(|left| rights.iter().map(move |right| (left, right))) {
                let product = multiply(*left, *right);
                assert_eq!(product.len(), wanted.len());
                for (found, wanted) in product.iter().zip(&wanted) {
                    assert!((found - wanted).abs() < 1e-12, "{rows} {inner} {columns}: {found} {wanted}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "a matrix of 3 by 3")]
    fn a_slice_of_another_length_is_refused() {
        let _ = Matrix::new(&[0f32; 8], 3, 3);
    }
}
