//! LeNet-5 as it is commonly written today: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to
//! document recognition" (1998), with ReLU, max pooling and a plain linear head instead of the original's
//! squashing, trainable subsampling and radial basis functions.

use super::Builder;
use crate::{
    layers::{Activations, Convolution, Elementwise, ImageShape, Pooling, PoolingKind},
    models::lenet::{CHANNELS, FEATURES, KERNEL, SIDE, WIDTHS},
    numbers::Real,
};

const WINDOW: usize = 2;

pub(super) fn build<T: Real>(builder: &mut Builder<'_, T>, classes: usize) {
    let mut input = ImageShape { channels: CHANNELS[0], height: SIDE, width: SIDE };
    for (index, outputs) in CHANNELS[1..].iter().enumerate() {
        let name = format!("conv{}", index + 1);
        let weight = builder.place(&format!("{name}.weight"));
        let bias = builder.place(&format!("{name}.bias"));
        let (outputs, kernel) = (*outputs, KERNEL);
        let convolution = Convolution { input, outputs, kernel, stride: 1, padding: 0, weight, bias };
        let pooling = Pooling { kind: PoolingKind::Max, input: convolution.output(), size: WINDOW };
        input = pooling.output();
        builder.add(convolution);
        // The maximum of rectified values is the rectified maximum, of a quarter of them; gradients are the same, too, as
        // those of a negative maximum are zero.
        builder.add(pooling);
        builder.add(Activations(Elementwise::Relu));
        builder.end_segment();
    }
    debug_assert_eq!(input.elements(), FEATURES);
    for (index, pair) in WIDTHS.windows(2).enumerate() {
        let layer = builder.linear(&format!("fc{}", index + 1), pair[0], pair[1], true);
        builder.add(layer);
        builder.add(Activations(Elementwise::Relu));
    }
    builder.end_segment();
    let head = builder.linear("fc3", WIDTHS[2], classes, true);
    builder.head(head, false);
}
