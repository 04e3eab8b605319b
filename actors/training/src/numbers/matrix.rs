//! Matrix products on slices, by the `gemm` crate that candle uses too.

use std::ops::Range;

use super::{Real, run_all};
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

/// Multiplications of a product from which on it is shared among threads: below, waking one costs more than it does.
const SHARED_MULTIPLICATIONS_MIN: usize = 48 * 48 * 256;
/// Products up to so many rows and columns are summed in chunks of another length by `gemm`: no piece may be so small.
const SMALL_MAX: usize = 64;
/// Cuts between rows and between columns lie at multiples of what `gemm` computes at once.
const ROWS_AT_ONCE: usize = 12;
const COLUMNS_AT_ONCE: usize = 64;
/// A piece with fewer rows or columns is computed by other loops, with another order of sums.
const PIECE_MIN: usize = 16;

/// `product = scale · left · right`, or that added to it. Every element is summed in an order that does not depend on the
/// number of threads: rows and columns are divided among them, never the inner dimension. With `alone` the calling thread does
/// it all, because the others have work of their own.
pub(crate) fn multiply<T: Real>(
    product: MatrixMut<'_, T>,
    left: Matrix<'_, T>,
    right: Matrix<'_, T>,
    scale: T,
    add: bool,
    alone: bool,
) {
    multiply_on(if alone { 1 } else { threads::count() }, product, left, right, (scale, add));
}

fn multiply_on<T: Real>(
    threads: usize,
    product: MatrixMut<'_, T>,
    left: Matrix<'_, T>,
    right: Matrix<'_, T>,
    (scale, add): (T, bool),
) {
    assert_eq!(left.columns, right.rows, "inner dimensions of a product");
    assert_eq!((product.rows, product.columns), (left.rows, right.columns), "dimensions of a product");
    let multiplications = product.rows.saturating_mul(product.columns).saturating_mul(left.columns);
    let whole = Piece { rows: 0..product.rows, columns: 0..product.columns };
    let factors = Factors { product: product.values.as_mut_ptr(), stride: product.row_stride, left, right };
    if threads <= 1 || multiplications < SHARED_MULTIPLICATIONS_MIN {
        return factors.multiply(&whole, (scale, add), gemm::Parallelism::None);
    }
    match whole.cut(left.column_stride != 1, threads) {
        Some(pieces) => {
            run_all(pieces, |piece| factors.multiply(&piece, (scale, add), gemm::Parallelism::None));
        }
        None => factors.multiply(&whole, (scale, add), gemm::Parallelism::Rayon(threads)),
    }
}

/// Some rows and columns of a product.
struct Piece {
    rows: Range<usize>,
    columns: Range<usize>,
}

impl Piece {
    /// One piece for each thread, so that what `gemm` copies before it multiplies is shared too: it copies a left factor that
    /// lies turned, else the right one. `None` if there would be too few pieces, or too small ones.
    fn cut(&self, left_is_turned: bool, threads: usize) -> Option<Vec<Piece>> {
        let (rows, columns) = (self.rows.end, self.columns.end);
        let by_rows = || {
            let ranges = ranges(rows, ROWS_AT_ONCE, threads, columns)?;
            Some(ranges.map(|rows| Piece { rows, columns: self.columns.clone() }).collect())
        };
        let by_columns = || {
            let ranges = ranges(columns, COLUMNS_AT_ONCE, threads, rows)?;
            Some(ranges.map(|columns| Piece { rows: self.rows.clone(), columns }).collect())
        };
        if left_is_turned { by_rows().or_else(by_columns) } else { by_columns().or_else(by_rows) }
    }
}

/// `0..length` in as many ranges as there are threads, of multiples of `at_once` but for the last.
fn ranges(
    length: usize,
    at_once: usize,
    threads: usize,
    across: usize,
) -> Option<impl Iterator<Item = Range<usize>>> {
    let step = length.div_ceil(threads).next_multiple_of(at_once);
    let last = length.checked_sub(step * (threads - 1)).filter(|last| *last >= PIECE_MIN)?;
    let is_large = last > SMALL_MAX || across > SMALL_MAX;
    is_large.then(|| (0..threads).map(move |piece| piece * step..((piece + 1) * step).min(length)))
}

/// What a product is computed from and where it goes. Pieces that do not overlap may be computed at the same time.
struct Factors<'a, T> {
    product: *mut T,
    stride: usize,
    left: Matrix<'a, T>,
    right: Matrix<'a, T>,
}

// SAFETY: it is shared only within `multiply_on`, which borrows the product exclusively for as long, and whose pieces address
// disjoint elements of it; the factors are only read.
#[allow(unsafe_code)]
unsafe impl<T: Real> Sync for Factors<'_, T> {}

impl<T: Real> Factors<'_, T> {
    /// One piece; no other thread may compute an overlapping one meanwhile.
    #[allow(unsafe_code)]
    fn multiply(&self, piece: &Piece, (scale, add): (T, bool), parallelism: gemm::Parallelism) {
        let (rows, columns, inner) = (piece.rows.len(), piece.columns.len(), self.left.columns);
        let stride =
            |length: usize| isize::try_from(length).expect("a slice is never longer than isize::MAX");
        let product_at = piece.rows.start * self.stride + piece.columns.start;
        let (left_at, right_at) =
            (piece.rows.start * self.left.row_stride, piece.columns.start * self.right.column_stride);
        // SAFETY: `Matrix` and `MatrixMut` checked that every element that (rows, columns, strides) address lies inside its
        // slice, and the piece is a part of the product; its elements are initialised and borrowed by nobody else, and its rows do
        // not overlap, since its stride is at least its columns; addresses of empty pieces are not read (`wrapping_add`);
        // `Real` is only f32 and f64, which `gemm` supports.
        unsafe {
            gemm::gemm(
                rows,
                columns,
                inner,
                self.product.wrapping_add(product_at),
                1,
                stride(self.stride),
                add,
                self.left.values.as_ptr().wrapping_add(left_at),
                stride(self.left.column_stride),
                stride(self.left.row_stride),
                self.right.values.as_ptr().wrapping_add(right_at),
                stride(self.right.column_stride),
                stride(self.right.row_stride),
                T::ONE,
                scale,
                false,
                false,
                false,
                parallelism,
            );
        }
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
    fn pieces_cover_a_product_once_and_change_no_bit() {
        let shapes =
            [(1024, 64, 256), (96, 40, 500), (64, 784, 256), (64, 700, 90), (500, 256, 10), (70, 512, 65)];
        for (rows, inner, columns) in shapes {
            let narrow =
                |values: Vec<f64>| values.into_iter().map(|value| value as f32).collect::<Vec<f32>>();
            let (left, right) = (narrow(numbers(rows * inner, 1)), narrow(numbers(inner * columns, 2)));
            let lefts = [Matrix::new(&left, rows, inner), Matrix::new(&left, inner, rows).transposed()];
            let rights =
                [Matrix::new(&right, inner, columns), Matrix::new(&right, columns, inner).transposed()];
            for (left, right) in lefts.iter().flat_map(|left| rights.iter().map(move |right| (left, right))) {
                let product = |threads: usize| {
                    let mut out = vec![0.5f32; rows * columns];
                    multiply_on(threads, MatrixMut::new(&mut out, rows, columns), *left, *right, (1.5, true));
                    out.iter().map(|value| value.to_bits()).collect::<Vec<u32>>()
                };
                let alone = product(1);
                assert!((2..8).all(|threads| product(threads) == alone), "{rows} {inner} {columns}");
            }
        }
        let whole = Piece { rows: 0..1024, columns: 0..256 };
        let starts = |is_turned: bool, threads: usize| {
            let pieces = whole.cut(is_turned, threads)?;
            Some(pieces.iter().map(|piece| (piece.rows.start, piece.columns.start)).collect::<Vec<_>>())
        };
        assert_eq!(starts(false, 2), Some(vec![(0, 0), (0, 128)]));
        assert_eq!(starts(true, 3), Some(vec![(0, 0), (348, 0), (696, 0)]));
        assert_eq!(starts(false, 5), Some(vec![(0, 0), (216, 0), (432, 0), (648, 0), (864, 0)]));
        assert!(Piece { rows: 0..60, columns: 0..60 }.cut(false, 2).is_none(), "too small to be cut");
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
