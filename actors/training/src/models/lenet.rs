//! LeNet-5 as it is commonly written today: LeCun, Bottou, Bengio and Haffner, "Gradient-based learning applied to
//! document recognition" (1998), with ReLU, max pooling and a plain linear head instead of the original's
//! squashing, trainable subsampling and radial basis functions.

use super::{ParameterDeclaration, layer};

pub(crate) const KERNEL: usize = 5;
/// Channels after each convolution; the input has one.
pub(crate) const CHANNELS: [usize; 3] = [1, 6, 16];
/// What is left of 32×32 after two convolutions and two poolings: 16 channels of 5×5.
pub(crate) const FEATURES: usize = CHANNELS[2] * 5 * 5;
/// Widths of the fully connected layers but the last, which has as many outputs as there are classes.
pub(crate) const WIDTHS: [usize; 3] = [FEATURES, 120, 84];
/// Rows and columns of the images it was made for.
pub(crate) const SIDE: usize = 32;
/// Smaller images that get a border, as the digits of MNIST did in the paper.
const SIDE_SMALLER: usize = 28;

/// What it takes, for people.
pub(super) const TAKES: &str = "images of 1×32×32 or 1×28×28";

/// How many pixels of border an image needs on each side; `None` for images that it does not take.
pub(super) fn border(image_shape: [usize; 3]) -> Option<usize> {
    match image_shape {
        [1, SIDE, SIDE] => Some(0),
        [1, SIDE_SMALLER, SIDE_SMALLER] => Some((SIDE - SIDE_SMALLER) / 2),
        _ => None,
    }
}

pub(super) fn declarations(classes: usize) -> Vec<ParameterDeclaration> {
    let convolution = |input: usize| vec![CHANNELS[input + 1], CHANNELS[input], KERNEL, KERNEL];
    [
        layer("conv1", convolution(0)),
        layer("conv2", convolution(1)),
        layer("fc1", vec![WIDTHS[1], WIDTHS[0]]),
        layer("fc2", vec![WIDTHS[2], WIDTHS[1]]),
        layer("fc3", vec![classes, WIDTHS[2]]),
    ]
    .concat()
}

/// Numbers that a sample's forward and backward pass hold. The most are the convolutions' unfolded inputs, one at a time,
/// and, for each plane before pooling, its values and gradients before and after ReLU.
pub(super) fn activation_elements() -> u64 {
    let [after_first, after_second] = [28 * 28, 10 * 10];
    let unfolded = KERNEL * KERNEL * CHANNELS[0] * after_first;
    let planes = CHANNELS[1] * after_first + CHANNELS[2] * after_second;
    (SIDE * SIDE + unfolded + 4 * planes) as u64
}
