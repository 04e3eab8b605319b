//! Differentiable layers for the processor, in f32 and f64, each with a backward pass of its own over plain slices.
//!
//! A layer maps activations to activations; in a recording pass it saves what its backward pass needs, which then asks for it in
//! reverse order. Gradients of parameters are written straight to their places in the flat vector. Every sum has a fixed
//! order, whatever the number of threads. Every layer is checked against central differences in f64.

mod activation;
mod attention;
mod buffer_pool;
mod convolution;
mod cross_entropy;
mod dropout;
mod embedding;
#[cfg(test)]
pub(crate) mod gradient_check;
mod head;
mod key_value_cache;
mod layer_norm;
mod linear;
mod pass;
mod pooling;
mod residual;
mod rms_norm;
mod rotary;
mod self_attention;
mod swiglu;
mod weights;

pub(crate) use self::{
    activation::{Activations, Elementwise},
    attention::Heads,
    buffer_pool::{Buffer, BufferPool},
    convolution::{Convolution, ImageShape},
    cross_entropy::{IGNORED, RowScore},
    dropout::Dropout,
    embedding::Embedding,
    head::Head,
    key_value_cache::KeyValueCache,
    layer_norm::LayerNorm,
    linear::Linear,
    pass::{Activation, Pass, Saved, Sequences},
    pooling::{Pooling, PoolingKind},
    residual::Residual,
    rms_norm::RmsNorm,
    rotary::Rotary,
    self_attention::{Projections, SelfAttention},
    swiglu::SwiGlu,
    weights::Weights,
};
use crate::numbers::Real;

/// A differentiable map. Shapes are fixed when it is made; the number of rows (samples, or tokens of all sequences) is the
/// input's.
pub(crate) trait Layer<T: Real>: Send + Sync {
    /// The output for an input.
    fn forward(&self, pass: &mut Pass<'_, T>, input: Activation<T>) -> Activation<T>;

    /// From the gradient of the output to that of the input; writes the gradients of the layer's parameters.
    fn backward(&self, pass: &mut Pass<'_, T>, gradient: &Buffer<T>) -> Buffer<T>;
}
