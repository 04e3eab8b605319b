//! The layers as compositions of candle's differentiable operations, for devices that our own operations do not know.
//! Only operations whose backward pass is right and that add nothing atomically are used, so not candle's `max_pool2d`
//! and `relu`.

use candle_core::{DType, Result, Tensor};

use super::check_targets;

/// Rows and columns of a pooling window.
const WINDOW: usize = 2;

/// As [`super::conv2d::conv2d`]: one matrix product with the unfolded input.
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

/// As [`super::linear::linear`].
pub(super) fn linear(input: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    input.matmul(&weight.t()?)?.broadcast_add(bias)
}

/// As [`super::max_pool2d::max_pool2d`]: of equal maxima the first in row order gets the gradient, NaN counts as the maximum.
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

/// As [`super::relu::relu`]: NaN passes, the derivative at zero is zero.
pub(super) fn relu(input: &Tensor) -> Result<Tensor> {
    let zeros = input.zeros_like()?;
    input.le(&zeros)?.where_cond(&zeros, input)
}

/// As [`super::cross_entropy::cross_entropy_sum`], by the logarithm of the sum of exponentials in f64.
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

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::layers::{Layers, finite_differences::input};

    /// Relative to the largest element of a tensor.
    const TOLERANCE_F32: f64 = 1e-5;
    const TOLERANCE_F64: f64 = 1e-13;

    /// The output for `inputs` of `dtype` and the gradients of a weighted sum of it.
    fn values_and_gradients(
        inputs: &[Tensor],
        dtype: DType,
        layer: impl Fn(&[Tensor]) -> Result<Tensor>,
    ) -> Vec<Vec<f64>> {
        let variable = |tensor: &Tensor| Var::from_tensor(&tensor.to_dtype(dtype).unwrap()).unwrap();
        let variables: Vec<Var> = inputs.iter().map(variable).collect();
        let tracked: Vec<Tensor> = variables.iter().map(|variable| variable.as_tensor().clone()).collect();
        let output = layer(&tracked).unwrap();
        let weights = input(output.dims(), 99).to_dtype(dtype).unwrap();
        let gradients = (&output * weights).unwrap().sum_all().unwrap().backward().unwrap();
        let flat = |tensor: &Tensor| {
            tensor.flatten_all().unwrap().to_dtype(DType::F64).unwrap().to_vec1::<f64>().unwrap()
        };
        let gradients = variables.iter().map(|variable| flat(gradients.get(variable).unwrap()));
        std::iter::once(flat(&output)).chain(gradients).collect()
    }

    fn assert_equal(
        inputs: &[Tensor],
        own: impl Fn(&[Tensor]) -> Result<Tensor>,
        composed: impl Fn(&[Tensor]) -> Result<Tensor>,
    ) {
        for (dtype, tolerance) in [(DType::F32, TOLERANCE_F32), (DType::F64, TOLERANCE_F64)] {
            let wanted = values_and_gradients(inputs, dtype, &own);
            let found = values_and_gradients(inputs, dtype, &composed);
            for (which, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
                assert_eq!(found.len(), wanted.len());
                let largest = wanted.iter().fold(0f64, |largest, value| largest.max(value.abs()));
                for (index, (found, wanted)) in found.iter().zip(wanted).enumerate() {
                    let error = (found - wanted).abs() / largest;
                    assert!(error <= tolerance, "{dtype:?}, {which}, element {index}: {found} {wanted}");
                }
            }
        }
    }

    #[test]
    fn weighted_layers_equal_our_own_in_values_and_gradients() {
        let inputs = [input(&[3, 2, 7, 6], 1), input(&[4, 3, 3, 3], 2), input(&[4], 3)];
        let conv2d = |layers: Layers| move |t: &[Tensor]| (layers.conv2d)(&t[0], &t[1], &t[2]);
        assert_equal(&inputs, conv2d(Layers::PROCESSOR), conv2d(Layers::COMPOSED));
        let inputs = [input(&[3, 5], 1), input(&[4, 5], 2), input(&[4], 3)];
        let linear = |layers: Layers| move |t: &[Tensor]| (layers.linear)(&t[0], &t[1], &t[2]);
        assert_equal(&inputs, linear(Layers::PROCESSOR), linear(Layers::COMPOSED));
    }

    #[test]
    fn the_others_equal_our_own_in_values_and_gradients() {
        let random = input(&[2, 3, 4, 6], 1);
        // Thirds make ties and exact zeros frequent.
        let ties = ((&random * 1.5).unwrap().round().unwrap() / 3.0).unwrap();
        for input in [random, ties] {
            let pool = |layers: Layers| move |t: &[Tensor]| (layers.max_pool2d)(&t[0]);
            assert_equal(std::slice::from_ref(&input), pool(Layers::PROCESSOR), pool(Layers::COMPOSED));
            let relu = |layers: Layers| move |t: &[Tensor]| (layers.relu)(&t[0]);
            assert_equal(&[input], relu(Layers::PROCESSOR), relu(Layers::COMPOSED));
        }
        let loss = |layers: Layers| move |t: &[Tensor]| (layers.cross_entropy_sum)(&t[0], &[0, 4, 2, 2]);
        assert_equal(&[input(&[4, 5], 1)], loss(Layers::PROCESSOR), loss(Layers::COMPOSED));
        let large = (input(&[4, 5], 1) * 1e30).unwrap();
        assert_equal(&[large], loss(Layers::PROCESSOR), loss(Layers::COMPOSED));
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
