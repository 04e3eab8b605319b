//! Checks a layer's backward pass against central differences in f64.

use std::sync::Arc;

use super::{BufferPool, Layer, Pass, Sequences, Weights};
use crate::counter_rng::{CounterRng, Purpose};

/// Step of the differences: the rounding error of a difference, 1e-16 / step, and the truncation error, step², are
/// both far below the tolerance; kinks lie within a step of a random input with negligible probability.
const STEP: f64 = 1e-5;
const TOLERANCE: f64 = 1e-8;

/// Numbers in [-1, 1).
pub(crate) fn numbers(count: usize, stream: u64) -> Vec<f64> {
    let mut values = vec![0f32; count];
    CounterRng::new(11, Purpose::Initialisation, stream).fill_uniform(1.0, &mut values);
    values.into_iter().map(f64::from).collect()
}

/// A layer's output.
pub(crate) fn run(
    layer: &dyn Layer<f64>,
    parameters: &[f64],
    input: &[f64],
    sequences: &Sequences<'_>,
) -> Vec<f64> {
    let pool = BufferPool::default();
    let mut pass = Pass::new(Weights::Plain(parameters), &mut [], &pool, *sequences);
    layer.forward(&mut pass, Arc::new(pool.copy(input))).to_vec()
}

/// Fails unless the gradients of `Σ output · weight`, for random weights, equal central differences in every parameter and
/// every element of the input.
pub(crate) fn assert_gradients(
    layer: &dyn Layer<f64>,
    parameters: &[f64],
    input: &[f64],
    sequences: &Sequences<'_>,
) {
    let pool = BufferPool::default();
    let mut gradients = vec![f64::NAN; parameters.len()];
    let mut pass = Pass::new(Weights::Plain(parameters), &mut gradients, &pool, *sequences);
    pass.is_recording = true;
    let output = layer.forward(&mut pass, Arc::new(pool.copy(input)));
    let weights = numbers(output.len(), 99);
    let input_gradient = layer.backward(&mut pass, &pool.copy(&weights)).to_vec();
    assert!(pass.tape_is_empty(), "everything that was saved was used");
    let value = |parameters: &[f64], input: &[f64]| -> f64 {
        run(layer, parameters, input, sequences).iter().zip(&weights).map(|(a, b)| a * b).sum()
    };
    let difference = |values: &[f64], element: usize, value: &dyn Fn(&[f64]) -> f64| {
        let at = |change: f64| {
            let mut moved = values.to_vec();
            moved[element] += change;
            value(&moved)
        };
        (at(STEP) - at(-STEP)) / (2.0 * STEP)
    };
    for (element, found) in gradients.iter().enumerate() {
        let wanted = difference(parameters, element, &|moved| value(moved, input));
        assert!((found - wanted).abs() < TOLERANCE, "parameter {element}: {found} {wanted}");
    }
    assert_eq!(input_gradient.len(), input.len());
    for (element, found) in input_gradient.iter().enumerate() {
        let wanted = difference(input, element, &|moved| value(parameters, moved));
        assert!((found - wanted).abs() < TOLERANCE, "input {element}: {found} {wanted}");
    }
}
