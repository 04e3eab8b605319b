//! A multilayer perceptron: fully connected layers with ReLU between them, on flattened images. Its layers are called
//! `fc1`, `fc2`, … as attributes of a PyTorch module usually are.

use candle_core::{Result, Tensor};

use super::{ParameterDeclaration, Parameters, layer};

/// Layer i, from 0, maps `widths[i]` numbers to `widths[i + 1]`.
fn widths(inputs: usize, hidden: &[usize], classes: usize) -> Vec<usize> {
    [&[inputs], hidden, &[classes]].concat()
}

pub(super) fn declarations(inputs: usize, hidden: &[usize], classes: usize) -> Vec<ParameterDeclaration> {
    let widths = widths(inputs, hidden, classes);
    let layers = widths.windows(2).enumerate();
    layers.flat_map(|(index, pair)| layer(&format!("fc{}", index + 1), vec![pair[1], pair[0]])).collect()
}

/// `images` `[samples, channels, height, width]` to logits `[samples, classes]`.
pub(super) fn forward(hidden: &[usize], parameters: &Parameters<'_>, images: &Tensor) -> Result<Tensor> {
    let mut values = images.flatten_from(1)?;
    for index in 1..=hidden.len() {
        values = (parameters.layers.relu)(&full(parameters, &values, index)?)?;
    }
    full(parameters, &values, hidden.len() + 1)
}

fn full(parameters: &Parameters<'_>, input: &Tensor, index: usize) -> Result<Tensor> {
    let weight = parameters.get(&format!("fc{index}.weight"))?;
    (parameters.layers.linear)(input, weight, parameters.get(&format!("fc{index}.bias"))?)
}

/// Numbers that a sample's forward and backward pass hold: the input, each layer's output before and after ReLU, and the
/// gradients of both.
pub(super) fn activation_elements(inputs: usize, hidden: &[usize], classes: usize) -> u64 {
    let outputs: usize = hidden.iter().sum::<usize>() + classes;
    (inputs + 4 * outputs) as u64
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device, Var};
    use serde::Deserialize;

    use super::*;
    use crate::{
        layers::{
            Layers,
            finite_differences::{assert_gradients, input},
        },
        parameter_layout::ParameterLayout,
    };

    const INPUTS: usize = 6;
    const HIDDEN: [usize; 2] = [5, 4];
    const CLASSES: usize = 3;

    fn layout() -> ParameterLayout {
        ParameterLayout::new(&declarations(INPUTS, &HIDDEN, CLASSES))
    }

    #[derive(Deserialize)]
    struct Reference {
        names: Vec<String>,
        labels: Vec<u32>,
        logits: Vec<f64>,
        loss_sum: f64,
        gradient: Vec<f64>,
    }

    /// The formula of `make_mlp_reference.py`.
    fn formula(count: usize, factor: usize) -> Vec<f64> {
        (0..count).map(|index| ((index * factor) % 101) as f64 / 101.0 - 0.5).collect()
    }

    #[test]
    fn logits_loss_and_gradients_equal_those_of_pytorch() {
        let reference: Reference =
            toml::from_str(include_str!("../../tests/fixtures/mlp_reference.toml")).unwrap();
        let layout = layout();
        assert!(layout.places().iter().map(|place| &place.name).eq(&reference.names));
        let flat = formula(layout.elements(), 37);
        let tensor =
            |values: &[f64], shape: &[usize]| Tensor::from_slice(values, shape, &Device::Cpu).unwrap();
        let places = layout.places().iter();
        let variables: Vec<Var> = places
            .map(|place| Var::from_tensor(&tensor(&flat[place.range()], &place.shape)).unwrap())
            .collect();
        let tensors: Vec<Tensor> = variables.iter().map(|variable| variable.as_tensor().clone()).collect();
        let images = tensor(&formula(4 * INPUTS, 29), &[4, 1, 2, 3]);
        let logits =
            forward(&HIDDEN, &Parameters::new(&layout, &tensors, Layers::PROCESSOR), &images).unwrap();
        let loss = (Layers::PROCESSOR.cross_entropy_sum)(&logits, &reference.labels).unwrap();
        let gradients = loss.backward().unwrap();
        let mut gradient = Vec::new();
        for variable in &variables {
            let part = gradients.get(variable).unwrap().flatten_all().unwrap();
            gradient.extend(part.to_vec1::<f64>().unwrap());
        }
        let logits = logits.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        let pairs = logits.iter().zip(&reference.logits).chain(gradient.iter().zip(&reference.gradient));
        for (index, (found, wanted)) in pairs.enumerate() {
            assert!((found - wanted).abs() < 1e-14, "{index}: {found} {wanted}");
        }
        assert_eq!((logits.len(), gradient.len()), (reference.logits.len(), reference.gradient.len()));
        assert!((loss.to_scalar::<f64>().unwrap() - reference.loss_sum).abs() < 1e-14);
    }

    #[test]
    fn gradients_equal_central_differences() {
        let layout = layout();
        let mut inputs = vec![input(&[3, 1, 2, 3], 1)];
        inputs.extend((2..).zip(layout.places()).map(|(stream, place)| input(&place.shape, stream)));
        assert!(inputs.iter().all(|tensor| tensor.dtype() == DType::F64));
        assert_gradients(&inputs, |tensors| {
            forward(&HIDDEN, &Parameters::new(&layout, &tensors[1..], Layers::PROCESSOR), &tensors[0])
        });
    }
}
