//! A multilayer perceptron: fully connected layers with ReLU between them, on flattened images.

use super::Builder;
use crate::{
    layers::{Activations, Elementwise},
    numbers::Real,
};

pub(super) fn build<T: Real>(builder: &mut Builder<'_, T>, inputs: usize, hidden: &[usize], classes: usize) {
    let mut width = inputs;
    for (index, outputs) in hidden.iter().enumerate() {
        let layer = builder.linear(&format!("fc{}", index + 1), width, *outputs, true);
        builder.add(layer);
        builder.add(Activations(Elementwise::Relu));
        builder.end_segment();
        width = *outputs;
    }
    let head = builder.linear(&format!("fc{}", hidden.len() + 1), width, classes, true);
    builder.head(head, false);
}
