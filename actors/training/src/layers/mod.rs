//! Differentiable layers, each a custom operation of candle with a backward pass of its own, in f32 and f64.
//!
//! They exist because candle's own would not do: its `max_pool2d` backward scales a gradient by the share of maxima in
//! the window (a quarter where the maximum is unique), its `relu` turns NaN into zero, so that a loss that is not finite can go
//! unseen, and its convolution's backward pass is slow. Each sum has a fixed order, whatever the number of
//! threads. Every layer is checked against central differences in f64.
//!
//! They run on the processor. On a GPU the same layers are composed of candle's differentiable operations, see [`composed`];
//! the compositions run on any device, so that they are checked against these here, without a GPU.

mod composed;
mod conv2d;
mod cross_entropy;
#[cfg(test)]
pub(crate) mod finite_differences;
mod linear;
mod matrix;
mod max_pool2d;
mod relu;
mod unfold;

use candle_core::{CpuStorage, Device, Layout, Result, Tensor, WithDType};

use self::cross_entropy::check as check_targets;
pub(crate) use self::cross_entropy::cross_entropy_losses;

/// A layer of an input, a weight and a bias.
type WeightedLayer = fn(&Tensor, &Tensor, &Tensor) -> Result<Tensor>;

/// The layers as one kind of device computes them. All kinds take and give the same shapes.
#[derive(Clone, Copy)]
pub(crate) struct Layers {
    /// Convolution, see [`conv2d::conv2d`].
    pub(crate) conv2d: WeightedLayer,
    /// The fully connected layer, see [`linear::linear`].
    pub(crate) linear: WeightedLayer,
    /// Max pooling over 2×2, see [`max_pool2d::max_pool2d`].
    pub(crate) max_pool2d: fn(&Tensor) -> Result<Tensor>,
    /// The rectifier, see [`relu::relu`].
    pub(crate) relu: fn(&Tensor) -> Result<Tensor>,
    /// The loss, see [`cross_entropy::cross_entropy_sum`].
    pub(crate) cross_entropy_sum: fn(&Tensor, &[u32]) -> Result<Tensor>,
}

impl Layers {
    /// This crate's own operations, for the processor alone.
    pub(crate) const PROCESSOR: Self = Self {
        conv2d: conv2d::conv2d,
        linear: linear::linear,
        max_pool2d: max_pool2d::max_pool2d,
        relu: relu::relu,
        cross_entropy_sum: cross_entropy::cross_entropy_sum,
    };

    /// Compositions of candle's operations, for every device.
    pub(crate) const COMPOSED: Self = Self {
        conv2d: composed::conv2d,
        linear: composed::linear,
        max_pool2d: composed::max_pool2d,
        relu: composed::relu,
        cross_entropy_sum: composed::cross_entropy_sum,
    };

    /// Those that tensors on `device` need.
    pub(crate) fn of(device: &Device) -> Self {
        if device.is_cpu() { Self::PROCESSOR } else { Self::COMPOSED }
    }
}

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
