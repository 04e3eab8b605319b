//! A multilayer perceptron: fully connected layers with ReLU between them, on flattened images. Its layers are called
//! `fc1`, `fc2`, … as attributes of a PyTorch module usually are.

use super::{ParameterDeclaration, layer};

/// Layer i, from 0, maps `widths[i]` numbers to `widths[i + 1]`.
fn widths(inputs: usize, hidden: &[usize], classes: usize) -> Vec<usize> {
    [&[inputs], hidden, &[classes]].concat()
}

pub(super) fn declarations(inputs: usize, hidden: &[usize], classes: usize) -> Vec<ParameterDeclaration> {
    let widths = widths(inputs, hidden, classes);
    let layers = widths.windows(2).enumerate();
    layers.flat_map(|(index, pair)| layer(&format!("fc{}", index + 1), vec![pair[1], pair[0]])).collect()
}

/// Numbers that a sample's forward and backward pass hold: the input, each layer's output before and after ReLU, and the
/// gradients of both.
pub(super) fn activation_elements(inputs: usize, hidden: &[usize], classes: usize) -> u64 {
    let outputs: usize = hidden.iter().sum::<usize>() + classes;
    (inputs + 4 * outputs) as u64
}
