//! The parameters of a list of layers, called by the layer's number as in PyTorch's `Sequential`.

use super::{Initial, ParameterDeclaration, layer, parameter};
pub(crate) use crate::layers::ImageShape as Shape;
use crate::{
    data_facts::DataFacts,
    spec::{LayerSpec, SequentialSpec},
    training_error::TrainingError,
};

/// The input's shape, then each layer's output's. Numbers without rows and columns are channels of one pixel.
///
/// # Errors
/// The number of the first layer whose input is too small for it, and that input's shape.
pub(crate) fn shapes(
    spec: &SequentialSpec,
    [channels, height, width]: [usize; 3],
) -> Result<Vec<Shape>, (usize, Shape)> {
    let mut shape = Shape { channels, height, width };
    let mut shapes = vec![shape];
    for (index, layer) in spec.layers.iter().enumerate() {
        let smallest = shape.height.min(shape.width);
        shape = match *layer {
            LayerSpec::Linear { outputs } => Shape { channels: outputs, height: 1, width: 1 },
            LayerSpec::Conv2d { kernel, padding, .. } if kernel > smallest + 2 * padding => {
                return Err((index, shape));
            }
            LayerSpec::Conv2d { outputs, kernel, stride, padding } => {
                let size = |input: usize| (input + 2 * padding - kernel) / stride + 1;
                Shape { channels: outputs, height: size(shape.height), width: size(shape.width) }
            }
            LayerSpec::MaxPool2d { size } | LayerSpec::MeanPool2d { size } => {
                if size > smallest {
                    return Err((index, shape));
                }
                Shape { height: shape.height / size, width: shape.width / size, ..shape }
            }
            _ => shape,
        };
        shapes.push(shape);
    }
    Ok(shapes)
}

pub(super) fn declarations(
    spec: &SequentialSpec,
    data: &DataFacts,
) -> Result<Vec<ParameterDeclaration>, TrainingError> {
    let shapes = shapes(spec, data.image_shape).map_err(|(layer, input)| TrainingError::LayerInput {
        layer,
        input: [input.channels, input.height, input.width],
    })?;
    let mut all = Vec::new();
    for (index, (spec, input)) in spec.layers.iter().zip(&shapes).enumerate() {
        let name = index.to_string();
        match *spec {
            LayerSpec::Linear { outputs } => all.extend(layer(&name, vec![outputs, input.elements()])),
            LayerSpec::Conv2d { outputs, kernel, .. } => {
                all.extend(layer(&name, vec![outputs, input.channels, kernel, kernel]));
            }
            LayerSpec::LayerNorm => {
                let (ones, zeros) = (Initial::Constant(1.0), Initial::Constant(0.0));
                all.push(parameter(format!("{name}.weight"), &[input.elements()], ones));
                all.push(parameter(format!("{name}.bias"), &[input.elements()], zeros));
            }
            _ => {}
        }
    }
    let last = shapes[spec.layers.len()];
    all.extend(layer(&spec.layers.len().to_string(), vec![data.classes, last.elements()]));
    Ok(all)
}

/// Numbers that a sample holds: each layer's output and its gradient.
pub(super) fn activation_elements(spec: &SequentialSpec, data: &DataFacts) -> u64 {
    let shapes = shapes(spec, data.image_shape).unwrap_or_default();
    2 * shapes.iter().map(|shape| shape.elements() as u64).sum::<u64>()
}
