//! LeNet-5 as it is commonly written today: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to
//! document recognition" (1998), with ReLU, max pooling and a plain linear head instead of the original's
//! squashing, trainable subsampling and radial basis functions.

use candle_core::{Result, Tensor};

use super::{ParameterDeclaration, Parameters};
use crate::layers::{conv2d, linear, max_pool2d, relu};

const KERNEL: usize = 5;
/// Channels after each convolution; the input has one.
const CHANNELS: [usize; 3] = [1, 6, 16];
/// What is left of 32×32 after two convolutions and two poolings: 16 channels of 5×5.
const FEATURES: usize = CHANNELS[2] * 5 * 5;
/// Widths of the fully connected layers; the last is the number of classes.
const WIDTHS: [usize; 4] = [FEATURES, 120, 84, 10];

pub(super) fn declarations() -> Vec<ParameterDeclaration> {
    let convolution = |input: usize| vec![CHANNELS[input + 1], CHANNELS[input], KERNEL, KERNEL];
    let full = |input: usize| vec![WIDTHS[input + 1], WIDTHS[input]];
    [
        layer("conv1.weight", "conv1.bias", convolution(0)),
        layer("conv2.weight", "conv2.bias", convolution(1)),
        layer("fc1.weight", "fc1.bias", full(0)),
        layer("fc2.weight", "fc2.bias", full(1)),
        layer("fc3.weight", "fc3.bias", full(2)),
    ]
    .concat()
}

/// PyTorch's default for both kinds of layer: `kaiming_uniform(a = √5)`, which is uniform within ±1/√fan_in, for the
/// weight and the bias. The square root and the division are exactly rounded by IEEE 754.
fn layer(weight: &'static str, bias: &'static str, shape: Vec<usize>) -> Vec<ParameterDeclaration> {
    let fan_in: usize = shape[1..].iter().product();
    let bound = 1.0 / (fan_in as f32).sqrt();
    let outputs = shape[0];
    vec![
        ParameterDeclaration { name: weight, shape, bound },
        ParameterDeclaration { name: bias, shape: vec![outputs], bound },
    ]
}

/// `images` `[samples, 1, 32, 32]` to logits `[samples, 10]`.
pub(super) fn forward(parameters: &Parameters<'_>, images: &Tensor) -> Result<Tensor> {
    let weight_and_bias = |layer: &str| -> Result<(&Tensor, &Tensor)> {
        Ok((parameters.get(&format!("{layer}.weight"))?, parameters.get(&format!("{layer}.bias"))?))
    };
    // The layers keep channels first, [channels, samples, height, width]: one matrix product per batch.
    let mut hidden = images.transpose(0, 1)?.contiguous()?;
    for layer in ["conv1", "conv2"] {
        let (weight, bias) = weight_and_bias(layer)?;
        hidden = max_pool2d(&relu(&conv2d(&hidden, weight, bias)?)?)?;
    }
    let samples = images.dim(0)?;
    let mut hidden = hidden.transpose(0, 1)?.contiguous()?.reshape((samples, FEATURES))?;
    for layer in ["fc1", "fc2"] {
        let (weight, bias) = weight_and_bias(layer)?;
        hidden = relu(&linear(&hidden, weight, bias)?)?;
    }
    let (weight, bias) = weight_and_bias("fc3")?;
    linear(&hidden, weight, bias)
}
