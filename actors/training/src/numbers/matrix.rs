//! Matrix products on slices, by the `gemm` crate that candle uses too.

use super::Real;
use crate::threads;

/// A matrix within a slice: row-major with a stride, or its transpose, borrowed.
#[derive(Clone, Copy)]
pub(crate) struct Matrix<'a, T> {
    values: &'a [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

/// A row-major matrix with a stride within a slice, to be written.
pub(crate) struct MatrixMut<'a, T> {
    values: &'a mut [T],
    rows: usize,
    columns: usize,
    row_stride: usize,
}

/// Fails unless rows of `columns` elements, `stride` apart, lie within `length` elements.
fn check(rows: usize, columns: usize, stride: usize, length: usize) {
    assert!(columns <= stride, "rows of {columns} elements, {stride} apart");
    let end = rows.saturating_sub(1).checked_mul(stride).and_then(|start| start.checked_add(columns));
    let fits = rows == 0 || end.is_some_and(|end| end <= length);
    assert!(fits, "a matrix of {rows} by {columns}, stride {stride}, in {length} elements");
}

impl<'a, T> Matrix<'a, T> {
    /// `values` row by row.
    pub(crate) fn new(values: &'a [T], rows: usize, columns: usize) -> Self {
        assert_eq!(rows.checked_mul(columns), Some(values.len()), "a matrix of {rows} by {columns}");
        Self::strided(values, rows, columns, columns)
    }

    /// Rows that begin `row_stride` elements apart, the first with the first of `values`.
    pub(crate) fn strided(values: &'a [T], rows: usize, columns: usize, row_stride: usize) -> Self {
        check(rows, columns, row_stride, values.len());
        Self { values, rows, columns, row_stride, column_stride: 1 }
    }

    /// The same values with rows and columns exchanged.
    pub(crate) fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

impl<'a, T> MatrixMut<'a, T> {
    /// `values` row by row.
    pub(crate) fn new(values: &'a mut [T], rows: usize, columns: usize) -> Self {
        assert_eq!(rows.checked_mul(columns), Some(values.len()), "a matrix of {rows} by {columns}");
        Self::strided(values, rows, columns, columns)
    }

    /// Rows that begin `row_stride` elements apart, the first with the first of `values`.
    pub(crate) fn strided(values: &'a mut [T], rows: usize, columns: usize, row_stride: usize) -> Self {
        check(rows, columns, row_stride, values.len());
        Self { values, rows, columns, row_stride }
    }
}

/// `product = scale · left · right`, or that added to it. Every element is summed in an order that does not depend on the
/// number of threads: `gemm` divides rows and columns among them, never the inner dimension. With `alone` the calling thread does
/// it all, because the others have work of their own.
#[allow(unsafe_code)]
pub(crate) fn multiply<T: Real>(
    product: MatrixMut<'_, T>,
    left: Matrix<'_, T>,
    right: Matrix<'_, T>,
    scale: T,
    add: bool,
    alone: bool,
) {
    assert_eq!(left.columns, right.rows, "inner dimensions of a product");
    assert_eq!((product.rows, product.columns), (left.rows, right.columns), "dimensions of a product");
    let parallelism = match threads::count() {
        0 | 1 => gemm::Parallelism::None,
        _ if alone => gemm::Parallelism::None,
        threads => gemm::Parallelism::Rayon(threads),
    };
    let stride = |length: usize| isize::try_from(length).expect("a slice is never longer than isize::MAX");
    // SAFETY: `Matrix` and `MatrixMut` checked that every element that (rows, columns, strides) address lies inside its
    // slice; `product` is initialised and borrowed by nobody else, and its rows do not overlap, since its stride is at least
    // its columns; `Real` is only f32 and f64, which `gemm` supports.
    unsafe {
        gemm::gemm(
            product.rows,
            product.columns,
            left.columns,
            product.values.as_mut_ptr(),
            1,
            stride(product.row_stride),
            add,
            left.values.as_ptr(),
            stride(left.column_stride),
            stride(left.row_stride),
            right.values.as_ptr(),
            stride(right.column_stride),
            stride(right.row_stride),
            T::ONE,
            scale,
            false,
            false,
            false,
            parallelism,
        );
    }
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
                // Two more columns that must stay as they are.
                let stride = columns + 2;
                let mut product = vec![7.0; rows * stride];
                multiply(
                    MatrixMut::strided(&mut product, rows, columns, stride),
                    *left,
                    *right,
                    2.0,
                    false,
                    false,
                );
                multiply(
                    MatrixMut::strided(&mut product, rows, columns, stride),
                    *left,
                    *right,
                    0.5,
                    true,
                    true,
                );
                for (index, found) in product.iter().enumerate() {
                    let (row, column) = (index / stride, index % stride);
                    let wanted = if column < columns { 2.5 * wanted[row * columns + column] } else { 7.0 };
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

    #[test]
    #[should_panic(expected = "a matrix of 3 by 3, stride 4, in 10 elements")]
    fn a_stride_that_leaves_the_slice_is_refused() {
        let _ = MatrixMut::strided(&mut [0f32; 10], 3, 3, 4);
    }
}
