//! A list of layers from a job file. A layer's parameters are called by its number in the list, from 0, as in PyTorch's
//! `Sequential`.

use super::Builder;
use crate::{
    data_facts::DataFacts,
    layers::{Activations, Convolution, Elementwise, Pooling, PoolingKind},
    models::sequential::{Shape, shapes},
    numbers::Real,
    spec::{LayerSpec, SequentialSpec},
};

/// Added to variances, as PyTorch does by default.
const EPSILON: f64 = 1e-5;

pub(super) fn build<T: Real>(builder: &mut Builder<'_, T>, spec: &SequentialSpec, data: &DataFacts) {
    let shapes = shapes(spec, data.image_shape).expect("the declarations were made from the same shapes");
    for (index, (layer, pair)) in spec.layers.iter().zip(shapes.windows(2)).enumerate() {
        add(builder, &index.to_string(), *layer, pair[0]);
        builder.end_segment();
    }
    let last = shapes[spec.layers.len()];
    let head = builder.linear(&spec.layers.len().to_string(), last.elements(), data.classes, true);
    builder.head(head, false);
}

fn add<T: Real>(builder: &mut Builder<'_, T>, name: &str, layer: LayerSpec, input: Shape) {
    match layer {
        LayerSpec::Linear { outputs } => {
            let linear = builder.linear(name, input.elements(), outputs, true);
            builder.add(linear);
        }
        LayerSpec::Conv2d { outputs, kernel, stride, padding } => {
            let weight = builder.place(&format!("{name}.weight"));
            let bias = builder.place(&format!("{name}.bias"));
            builder.add(Convolution { input, outputs, kernel, stride, padding, weight, bias });
        }
        LayerSpec::MaxPool2d { size } => builder.add(Pooling { kind: PoolingKind::Max, input, size }),
        LayerSpec::MeanPool2d { size } => builder.add(Pooling { kind: PoolingKind::Mean, input, size }),
        LayerSpec::LayerNorm => {
            let norm = builder.layer_norm(name, input.elements(), EPSILON);
            builder.add(norm);
        }
        LayerSpec::Dropout { probability } => builder.add_dropout(probability),
        LayerSpec::Relu => builder.add(Activations(Elementwise::Relu)),
        LayerSpec::Gelu => builder.add(Activations(Elementwise::Gelu)),
        LayerSpec::Silu => builder.add(Activations(Elementwise::Silu)),
        LayerSpec::Tanh => builder.add(Activations(Elementwise::Tanh)),
    }
}
