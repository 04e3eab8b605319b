//! Checks a layer's backward pass against central differences in f64.

use candle_core::{Device, Result, Tensor, Var};

use crate::counter_rng::{CounterRng, Purpose};

/// Step of the differences: the rounding error of a difference, 1e-16 / step, and the truncation error, step², are
/// both far below the tolerance; kinks lie within a step of a random input with negligible probability.
const STEP: f64 = 1e-5;
const TOLERANCE: f64 = 1e-8;

/// Numbers in [-1, 1) in the given shape, as an f64 tensor.
pub(crate) fn input(shape: &[usize], stream: u64) -> Tensor {
    let mut values = vec![0f32; shape.iter().product()];
    CounterRng::new(11, Purpose::Initialisation, stream).fill_uniform(1.0, &mut values);
    let values: Vec<f64> = values.into_iter().map(f64::from).collect();
    Tensor::from_vec(values, shape, &Device::Cpu).unwrap()
}

/// Fails unless the gradient of `sum(layer(inputs) * weights)`, for random weights, equals central differences in every
/// element of every input.
pub(crate) fn assert_gradients(inputs: &[Tensor], layer: impl Fn(&[Tensor]) -> Result<Tensor>) {
    let variables: Vec<Var> = inputs.iter().map(|tensor| Var::from_tensor(tensor).unwrap()).collect();
    let tracked: Vec<Tensor> = variables.iter().map(|variable| variable.as_tensor().clone()).collect();
    let output = layer(&tracked).unwrap();
    let weights = input(output.dims(), 99);
    let value = |output: Tensor| (output * &weights).unwrap().sum_all().unwrap();
    let gradients = value(output).backward().unwrap();
    for (which, variable) in variables.iter().enumerate() {
        let gradient = gradients.get(variable).expect("every input gets a gradient");
        assert_eq!(gradient.shape(), inputs[which].shape());
        let gradient = gradient.flatten_all().unwrap().to_vec1::<f64>().unwrap();
        for (element, found) in gradient.iter().enumerate() {
            let at = |change: f64| {
                let mut values = inputs[which].flatten_all().unwrap().to_vec1::<f64>().unwrap();
                values[element] += change;
                let mut moved = inputs.to_vec();
                moved[which] = Tensor::from_vec(values, inputs[which].shape(), &Device::Cpu).unwrap();
                value(layer(&moved).unwrap()).to_scalar::<f64>().unwrap()
            };
            let wanted = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            assert!((found - wanted).abs() < TOLERANCE, "input {which}, element {element}: {found} {wanted}");
        }
    }
}
