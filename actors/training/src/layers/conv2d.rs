//! Two-dimensional convolution with square kernels, stride one, no padding, and a bias.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, WithDType};

use super::{
    contiguous, for_element_type,
    matrix::{Matrix, Real, multiply},
    unfold::{Geometry, fold, unfold},
};

/// `input` `[channels, samples, height, width]`, `weight` `[outputs, channels, kernel, kernel]`, `bias` `[outputs]`
/// to `[outputs, samples, height - kernel + 1, width - kernel + 1]`. Channels come first so that a batch is one
/// matrix product.
pub(super) fn conv2d(input: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    input.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, Conv2d)
}

fn geometry(input: &Shape, weight: &Shape) -> Result<Geometry> {
    let (channels, samples, height, width) = input.dims4()?;
    let (_, weight_channels, kernel, kernel_width) = weight.dims4()?;
    if channels != weight_channels || kernel != kernel_width || kernel > height.min(width) || kernel == 0 {
        candle_core::bail!("conv2d of {input:?} with {weight:?}");
    }
    Ok(Geometry { channels, samples, height, width, kernel })
}

struct Conv2d;

impl CustomOp3 for Conv2d {
    fn name(&self) -> &'static str {
        "conv2d"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        weight: &CpuStorage,
        weight_layout: &Layout,
        bias: &CpuStorage,
        bias_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let geometry = geometry(input_layout.shape(), weight_layout.shape())?;
        let outputs = weight_layout.shape().dims()[0];
        if bias_layout.shape().dims() != [outputs] {
            candle_core::bail!("conv2d with {outputs} outputs and a bias of {:?}", bias_layout.shape());
        }
        let shape =
            Shape::from((outputs, geometry.samples, geometry.output_height(), geometry.output_width()));
        for_element_type!(input, T => {
            let output = forward::<T>(
                contiguous(input, input_layout)?,
                contiguous(weight, weight_layout)?,
                contiguous(bias, bias_layout)?,
                &geometry,
            );
            Ok((T::to_cpu_storage_owned(output), shape))
        })
    }

    fn bwd(
        &self,
        input: &Tensor,
        weight: &Tensor,
        _bias: &Tensor,
        _output: &Tensor,
        gradient: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let gradient = gradient.contiguous()?;
        let geometry = geometry(input.shape(), weight.shape())?;
        // The first layer's input is data: nobody asks for its gradient.
        let input_gradient = input
            .track_op()
            .then(|| weight.apply_op2_no_bwd(&gradient, &InputGradient(geometry)))
            .transpose()?;
        let weight_gradient = input.apply_op2_no_bwd(&gradient, &WeightGradient(geometry))?;
        let outputs = weight.dim(0)?;
        let bias_gradient = gradient.reshape((outputs, ()))?.sum(1)?;
        Ok((input_gradient, Some(weight_gradient), Some(bias_gradient)))
    }
}

fn forward<T: Real>(input: &[T], weight: &[T], bias: &[T], geometry: &Geometry) -> Vec<T> {
    let (taps, positions) = (geometry.taps(), geometry.positions());
    let matrix = unfold(input, geometry);
    let mut output = multiply(Matrix::new(weight, bias.len(), taps), Matrix::new(&matrix, taps, positions));
    for (channel, bias) in output.chunks_exact_mut(positions.max(1)).zip(bias) {
        for value in channel {
            *value += *bias;
        }
    }
    output
}

struct InputGradient(Geometry);

impl CustomOp2 for InputGradient {
    fn name(&self) -> &'static str {
        "conv2d-input-gradient"
    }

    fn cpu_fwd(
        &self,
        weight: &CpuStorage,
        weight_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let Self(geometry) = self;
        let (outputs, taps, positions) =
            (weight_layout.shape().dims()[0], geometry.taps(), geometry.positions());
        let shape = Shape::from((geometry.channels, geometry.samples, geometry.height, geometry.width));
        for_element_type!(weight, T => {
            let weight = Matrix::<T>::new(contiguous(weight, weight_layout)?, outputs, taps);
            let gradient = Matrix::new(contiguous(gradient, gradient_layout)?, outputs, positions);
            let folded = fold(&multiply(weight.transposed(), gradient), geometry);
            Ok((T::to_cpu_storage_owned(folded), shape))
        })
    }
}

struct WeightGradient(Geometry);

impl CustomOp2 for WeightGradient {
    fn name(&self) -> &'static str {
        "conv2d-weight-gradient"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        input_layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let Self(geometry) = self;
        let outputs = gradient_layout.shape().dims()[0];
        let shape = Shape::from((outputs, geometry.channels, geometry.kernel, geometry.kernel));
        for_element_type!(input, T => {
            // Unfolded again rather than kept from the forward pass: copying is cheaper than holding 25 times the input.
            let unfolded = unfold::<T>(contiguous(input, input_layout)?, geometry);
            let matrix = Matrix::new(&unfolded, geometry.taps(), geometry.positions());
            let gradient = Matrix::new(contiguous(gradient, gradient_layout)?, outputs, geometry.positions());
            Ok((T::to_cpu_storage_owned(multiply(gradient, matrix.transposed())), shape))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::finite_differences::{assert_gradients, input};

    #[test]
    fn gradients_equal_central_differences() {
        let inputs = [input(&[2, 3, 7, 6], 1), input(&[4, 2, 3, 3], 2), input(&[4], 3)];
        assert_gradients(&inputs, |tensors| conv2d(&tensors[0], &tensors[1], &tensors[2]));
    }

    #[test]
    fn a_kernel_that_does_not_fit_is_refused() {
        let (image, bias) = (input(&[1, 1, 3, 3], 1), input(&[2], 3));
        assert!(conv2d(&image, &input(&[2, 1, 5, 5], 2), &bias).is_err());
        assert!(conv2d(&image, &input(&[2, 3, 3, 3], 2), &bias).is_err());
        assert!(conv2d(&image, &input(&[3, 1, 3, 3], 2), &bias).is_err());
    }
}
