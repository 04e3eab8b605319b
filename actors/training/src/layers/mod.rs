//! Differentiable layers, each a custom operation of candle with a backward pass of its own, in f32 and f64.
//!
//! They exist because candle's own would not do: its `max_pool2d` backward scales a gradient by the share of maxima in
//! the window (a quarter where the maximum is unique), its `relu` turns NaN into zero, so that a loss that is not finite can go
//! unseen, and its convolution's backward pass is slow. Each sum has a fixed order, whatever the number of
//! threads. Every layer is checked against central differences in f64.

mod conv2d;
mod cross_entropy;
#[cfg(test)]
pub(crate) mod finite_differences;
mod linear;
mod matrix;
mod max_pool2d;
mod relu;
mod unfold;

use candle_core::{CpuStorage, Layout, Result, WithDType};

pub(crate) use self::{
    conv2d::conv2d,
    cross_entropy::{cross_entropy_losses, cross_entropy_sum},
    linear::linear,
    max_pool2d::max_pool2d,
    relu::relu,
};

/// The elements of a contiguous tensor on the processor.
fn contiguous<'a, T: WithDType>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [T]> {
    let values = T::cpu_storage_as_slice(storage)?;
    match layout.contiguous_offsets() {
        Some((start, end)) => Ok(&values[start..end]),
        None => candle_core::bail!("a layer needs contiguous tensors, got {layout:?}"),
    }
}

/// Evaluates `$body`, a `Result`, with `$real` standing for the element type of `$storage`: f32 or f64.
macro_rules! for_element_type {
    ($storage:expr, $real:ident => $body:expr) => {
        match $storage {
            candle_core::CpuStorage::F32(_) => {
                type $real = f32;
                $body
            }
            candle_core::CpuStorage::F64(_) => {
                type $real = f64;
                $body
            }
            _ => candle_core::bail!("a layer computes in f32 or f64"),
        }
    };
}
use for_element_type;
