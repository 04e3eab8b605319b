//! Exact sums of gradients in block fixed point. Numbers only: slices of `f32` and bytes, no clock and no IO.
//!
//! A gradient is cut in parts ([`PartLayout`]) and parts in blocks of [`BLOCK_ELEMENTS`]. Each block has a power of two
//! that all replicas share ([`Grid`]). The gradient of one micro-batch is rounded to that grid once
//! ([`Grid::quantise`]), everything after is integer addition ([`Accumulator`]), so the sum over all micro-batches has
//! the same bits in whatever order and grouping it was formed. [`Grid::mean`] encodes the result that every member
//! applies, [`Grid::advance`] derives the next grid from it.

mod accumulator;
mod codec_error;
mod contribution;
mod grid;
mod layout;
mod mean_result;
mod totals;

pub use accumulator::Accumulator;
pub use codec_error::CodecError;
pub use contribution::{SAMPLES_MAX, SUM_BITS_MAX, check_contribution};
pub use grid::{BLOCK_EXPONENT_MIN, Grid, NotFinite};
pub use layout::{BLOCK_ELEMENTS, ELEMENTS_MAX, LayoutError, PART_ELEMENTS_MAX, PartLayout};
pub use mean_result::{ResultHeader, check_result, decode_result};
pub use totals::{ContributionHeader, HeldOut, Totals};
