//! The models that a GPU computes, as compositions of candle's operations.

use candle_core::{Result, Tensor};

use super::layers::{conv2d, linear, max_pool2d, relu};
use crate::{models::lenet::FEATURES, parameter_layout::ParameterLayout};

/// The tensors of a model's parameters, found by name.
pub(super) struct Parameters<'a> {
    layout: &'a ParameterLayout,
    tensors: &'a [Tensor],
}

impl<'a> Parameters<'a> {
    /// `tensors` in the order of `layout`, all on one device.
    pub(super) fn new(layout: &'a ParameterLayout, tensors: &'a [Tensor]) -> Self {
        assert_eq!(layout.places().len(), tensors.len(), "one tensor per parameter");
        Self { layout, tensors }
    }

    fn layer(&self, name: &str) -> Result<(&'a Tensor, &'a Tensor)> {
        let get = |part: &str| {
            let name = format!("{name}.{part}");
            match self.layout.index(&name) {
                Some(index) => Ok(&self.tensors[index]),
                None => candle_core::bail!("the model declares no parameter {name}"),
            }
        };
        Ok((get("weight")?, get("bias")?))
    }
}

/// LeNet: `images` `[samples, 1, 32, 32]` to logits `[samples, classes]`.
pub(super) fn lenet(parameters: &Parameters<'_>, images: &Tensor) -> Result<Tensor> {
    // The layers keep channels first, [channels, samples, height, width]: one matrix product per batch.
    let mut hidden = images.transpose(0, 1)?.contiguous()?;
    for layer in ["conv1", "conv2"] {
        let (weight, bias) = parameters.layer(layer)?;
        hidden = max_pool2d(&relu(&conv2d(&hidden, weight, bias)?)?)?;
    }
    let samples = images.dim(0)?;
    let mut hidden = hidden.transpose(0, 1)?.contiguous()?.reshape((samples, FEATURES))?;
    for layer in ["fc1", "fc2"] {
        let (weight, bias) = parameters.layer(layer)?;
        hidden = relu(&linear(&hidden, weight, bias)?)?;
    }
    let (weight, bias) = parameters.layer("fc3")?;
    linear(&hidden, weight, bias)
}

/// A perceptron: `images` `[samples, channels, height, width]` to logits `[samples, classes]`.
pub(super) fn mlp(hidden_layers: usize, parameters: &Parameters<'_>, images: &Tensor) -> Result<Tensor> {
    let full = |input: &Tensor, index: usize| {
        let (weight, bias) = parameters.layer(&format!("fc{index}"))?;
        linear(input, weight, bias)
    };
    let mut values = images.flatten_from(1)?;
    for index in 1..=hidden_layers {
        values = relu(&full(&values, index)?)?;
    }
    full(&values, hidden_layers + 1)
}
