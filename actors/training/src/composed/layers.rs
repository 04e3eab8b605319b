//! The layers as compositions of candle's differentiable operations, for devices that our own operations do not know.
//! Only operations whose backward pass is right and that add nothing atomically are used, so not candle's `max_pool2d`
//! and `relu`.

use candle_core::{DType, Result, Shape, Tensor};

/// Rows and columns of a pooling window.
const WINDOW: usize = 2;

/// Convolution with square kernels, stride one and no padding, as one matrix product with the unfolded input: `input`
/// `[channels, samples, height, width]`, `weight` `[outputs, channels, kernel, kernel]`, `bias` `[outputs]`.
pub(super) fn conv2d(input: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (channels, samples, height, width) = input.dims4()?;
    let (outputs, weight_channels, kernel, kernel_width) = weight.dims4()?;
    if channels != weight_channels || kernel != kernel_width || kernel > height.min(width) || kernel == 0 {
        candle_core::bail!("conv2d of {:?} with {:?}", input.shape(), weight.shape());
    }
    let (output_height, output_width) = (height - kernel + 1, width - kernel + 1);
    let positions = samples * output_height * output_width;
    let mut taps = Vec::with_capacity(kernel * kernel);
    for row in 0..kernel {
        let rows = input.narrow(2, row, output_height)?;
        for column in 0..kernel {
            taps.push(rows.narrow(3, column, output_width)?.reshape((channels, 1, positions))?);
        }
    }
    let unfolded = Tensor::cat(&taps, 1)?.reshape((channels * kernel * kernel, positions))?;
    let weight = weight.reshape((outputs, channels * kernel * kernel))?;
    let output = weight.matmul(&unfolded)?.broadcast_add(&bias.reshape((outputs, 1))?)?;
    output.reshape((outputs, samples, output_height, output_width))
}

/// The fully connected layer: `input` `[samples, inputs]`, `weight` `[outputs, inputs]`, `bias` `[outputs]`.
pub(super) fn linear(input: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    input.matmul(&weight.t()?)?.broadcast_add(bias)
}

/// Max pooling over 2×2: of equal maxima the first in row order gets the gradient, NaN counts as the maximum.
pub(super) fn max_pool2d(input: &Tensor) -> Result<Tensor> {
    let (outer, inner, height, width) = input.dims4()?;
    if height % WINDOW != 0 || width % WINDOW != 0 {
        candle_core::bail!("max pooling of 2 by 2 over {:?}", input.shape());
    }
    let (rows, columns) = (height / WINDOW, width / WINDOW);
    let windows = input.reshape((outer * inner * rows, WINDOW, columns, WINDOW))?;
    let corner =
        |row, column| windows.narrow(1, row, 1)?.narrow(3, column, 1)?.reshape((outer, inner, rows, columns));
    let mut best: Tensor = corner(0, 0)?;
    for (row, column) in [(0, 1), (1, 0), (1, 1)] {
        let candidate = corner(row, column)?;
        // NaN is what is unlike itself.
        let better = candidate.gt(&best)?.maximum(&candidate.ne(&candidate)?)?;
        best = better.where_cond(&candidate, &best)?;
    }
    Ok(best)
}

/// The rectifier: NaN passes, the derivative at zero is zero.
pub(super) fn relu(input: &Tensor) -> Result<Tensor> {
    let zeros = input.zeros_like()?;
    input.le(&zeros)?.where_cond(&zeros, input)
}

/// The sum over samples of `-ln softmax(logits)[target]`, by the logarithm of the sum of exponentials in f64.
pub(super) fn cross_entropy_sum(logits: &Tensor, targets: &[u32]) -> Result<Tensor> {
    check_targets(logits.shape(), targets)?;
    let wide = logits.to_dtype(DType::F64)?;
    // The result does not depend on what is subtracted, so the gradient need not know of it.
    let shifted = wide.broadcast_sub(&wide.detach().max_keepdim(1)?)?;
    let normalisers = shifted.exp()?.sum(1)?.log()?;
    let (samples, classes) = logits.dims2()?;
    let is_target: Vec<u8> = targets
        .iter()
        .flat_map(|target| (0..classes).map(move |class| u8::from(class == *target as usize)))
        .collect();
    let is_target = Tensor::from_vec(is_target, (samples, classes), logits.device())?;
    let target_logits = is_target.where_cond(&shifted, &shifted.zeros_like()?)?.sum(1)?;
    (normalisers - target_logits)?.sum_all()?.to_dtype(logits.dtype())
}

/// Fails unless there is one target per sample and each is a class.
fn check_targets(logits: &Shape, targets: &[u32]) -> Result<()> {
    let (samples, classes) = logits.dims2()?;
    if samples != targets.len() || targets.iter().any(|target| *target as usize >= classes) {
        candle_core::bail!("cross-entropy of {logits:?} with {} targets", targets.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::composed::finite_differences::{assert_gradients, input};

    #[test]
    fn gradients_equal_central_differences() {
        let inputs = [input(&[3, 2, 7, 6], 1), input(&[4, 3, 3, 3], 2), input(&[4], 3)];
        assert_gradients(&inputs, |tensors| conv2d(&tensors[0], &tensors[1], &tensors[2]));
        let inputs = [input(&[3, 5], 1), input(&[4, 5], 2), input(&[4], 3)];
        assert_gradients(&inputs, |tensors| linear(&tensors[0], &tensors[1], &tensors[2]));
        let random = input(&[2, 3, 4, 6], 1);
        assert_gradients(std::slice::from_ref(&random), |tensors| max_pool2d(&tensors[0]));
        assert_gradients(&[random], |tensors| relu(&tensors[0]));
        assert_gradients(&[input(&[4, 5], 1)], |tensors| cross_entropy_sum(&tensors[0], &[0, 4, 2, 2]));
    }

    /// Of equal maxima the first in row order gets the gradient; at zero the rectifier gives none.
    #[test]
    fn ties_go_to_the_first() {
        let image = candle_core::Var::new(&[[[[0f32, 0.0], [0.0, -1.0]]]], &Device::Cpu).unwrap();
        let gradient = |output: Tensor| {
            let gradients = output.sum_all().unwrap().backward().unwrap();
            gradients.get(&image).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        assert_eq!(gradient(max_pool2d(&image).unwrap()), [1.0, 0.0, 0.0, 0.0]);
        assert_eq!(gradient(relu(&image).unwrap()), [0.0; 4]);
    }

    #[test]
    fn nan_is_not_lost() {
        for place in 0..4 {
            let mut values = [1f32, -2.0, 3.0, 0.5];
            values[place] = f32::NAN;
            let image = Tensor::from_slice(&values, (1, 1, 2, 2), &Device::Cpu).unwrap();
            assert!(max_pool2d(&image).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()[0].is_nan());
            assert!(relu(&image).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap()[place].is_nan());
            let logits = image.reshape((1, 4)).unwrap();
            assert!(cross_entropy_sum(&logits, &[2]).unwrap().to_scalar::<f32>().unwrap().is_nan());
        }
    }

    #[test]
    fn shapes_that_do_not_match_are_refused() {
        assert!(conv2d(&input(&[3, 1, 4, 4], 1), &input(&[2, 2, 3, 3], 2), &input(&[2], 3)).is_err());
        assert!(conv2d(&input(&[2, 1, 2, 2], 1), &input(&[2, 2, 3, 3], 2), &input(&[2], 3)).is_err());
        assert!(linear(&input(&[3, 5], 1), &input(&[4, 6], 2), &input(&[4], 3)).is_err());
        assert!(linear(&input(&[3, 5], 1), &input(&[4, 5], 2), &input(&[5], 3)).is_err());
        assert!(max_pool2d(&input(&[1, 1, 3, 4], 1)).is_err());
        assert!(cross_entropy_sum(&input(&[2, 3], 1), &[0, 3]).is_err());
    }
}
