//! The fully connected layer, `x · weightᵀ + bias`.

use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor, WithDType};

use super::{
    contiguous, for_element_type,
    matrix::{Matrix, multiply},
};

/// `input` `[samples, inputs]`, `weight` `[outputs, inputs]`, `bias` `[outputs]` to `[samples, outputs]`.
pub(super) fn linear(input: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor> {
    input.contiguous()?.apply_op3(&weight.contiguous()?, &bias.contiguous()?, Linear)
}

struct Linear;

impl CustomOp3 for Linear {
    fn name(&self) -> &'static str {
        "linear"
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
        let (samples, inputs) = input_layout.shape().dims2()?;
        let (outputs, weight_inputs) = weight_layout.shape().dims2()?;
        if inputs != weight_inputs || bias_layout.shape().dims() != [outputs] || outputs == 0 {
            candle_core::bail!("linear of {:?} with {:?}", input_layout.shape(), weight_layout.shape());
        }
        for_element_type!(input, T => {
            let input = Matrix::<T>::new(contiguous(input, input_layout)?, samples, inputs);
            let weight = Matrix::new(contiguous(weight, weight_layout)?, outputs, inputs);
            let bias = contiguous::<T>(bias, bias_layout)?;
            let mut output = multiply(input, weight.transposed());
            for row in output.chunks_exact_mut(outputs) {
                for (value, bias) in row.iter_mut().zip(bias) {
                    *value += *bias;
                }
            }
            Ok((T::to_cpu_storage_owned(output), Shape::from((samples, outputs))))
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
        let input_gradient = input
            .track_op()
            .then(|| gradient.apply_op2_no_bwd(weight, &Product { left_transposed: false }))
            .transpose()?;
        let weight_gradient = gradient.apply_op2_no_bwd(input, &Product { left_transposed: true })?;
        Ok((input_gradient, Some(weight_gradient), Some(gradient.sum(0)?)))
    }
}

/// `left · right` or `leftᵀ · right`.
struct Product {
    left_transposed: bool,
}

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "linear-gradient"
    }

    fn cpu_fwd(
        &self,
        left: &CpuStorage,
        left_layout: &Layout,
        right: &CpuStorage,
        right_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (left_rows, left_columns) = left_layout.shape().dims2()?;
        let (right_rows, right_columns) = right_layout.shape().dims2()?;
        for_element_type!(left, T => {
            let plain = Matrix::<T>::new(contiguous(left, left_layout)?, left_rows, left_columns);
            let right = Matrix::new(contiguous(right, right_layout)?, right_rows, right_columns);
            let (left, rows) =
                if self.left_transposed { (plain.transposed(), left_columns) } else { (plain, left_rows) };
            Ok((T::to_cpu_storage_owned(multiply(left, right)), Shape::from((rows, right_columns))))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::finite_differences::{assert_gradients, input};

    #[test]
    fn gradients_equal_central_differences() {
        let inputs = [input(&[3, 5], 1), input(&[4, 5], 2), input(&[4], 3)];
        assert_gradients(&inputs, |tensors| linear(&tensors[0], &tensors[1], &tensors[2]));
    }

    #[test]
    fn shapes_that_do_not_match_are_refused() {
        assert!(linear(&input(&[3, 5], 1), &input(&[4, 6], 2), &input(&[4], 3)).is_err());
        assert!(linear(&input(&[3, 5], 1), &input(&[4, 5], 2), &input(&[5], 3)).is_err());
    }
}
