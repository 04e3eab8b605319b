//! Arithmetic on slices that every layer shares: real numbers of one or two words, elementary functions that compute the same bits
//! on every processor, matrix products, and loops over rows that threads share.
//!
//! Loops are compiled for the widest vectors that the processor has and chosen at run time. Rust never contracts a
//! multiplication and an addition, and every sum has a fixed number of lanes, so the width changes no bit.

mod elementary;
mod matrix;
mod past_caches;
mod real;
mod rows;
mod sums;

pub use self::real::Real;
pub(crate) use self::{
    matrix::{Matrix, MatrixMut, multiply},
    past_caches::PastCaches,
    rows::{for_row_pairs, for_rows, for_rows_indexed, run_all, vectorised},
    sums::{column_sums, dot, largest, sum_wide},
};
