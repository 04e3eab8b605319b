//! The rectifier, `max(x, 0)`, that lets NaN through, with a zero derivative at zero as in PyTorch.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, WithDType};

use super::{contiguous, for_element_type};

/// `max(input, 0)` element by element, any shape.
pub(super) fn relu(input: &Tensor) -> Result<Tensor> {
    input.contiguous()?.apply_op1(Relu)
}

struct Relu;

impl CustomOp1 for Relu {
    fn name(&self) -> &'static str {
        "relu"
    }

    fn cpu_fwd(&self, input: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        for_element_type!(input, T => {
            let output = contiguous::<T>(input, layout)?
                .iter()
                .map(|value| if *value < 0.0 { 0.0 } else { *value })
                .collect();
            Ok((T::to_cpu_storage_owned(output), layout.shape().clone()))
        })
    }

    fn bwd(&self, input: &Tensor, _output: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        input.apply_op2_no_bwd(&gradient.contiguous()?, &ReluGradient).map(Some)
    }
}

struct ReluGradient;

impl CustomOp2 for ReluGradient {
    fn name(&self) -> &'static str {
        "relu-gradient"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        for_element_type!(input, T => {
            let output = contiguous::<T>(input, layout)?
                .iter()
                .zip(contiguous::<T>(gradient, gradient_layout)?)
                .map(|(value, gradient)| if *value <= 0.0 { 0.0 } else { *gradient })
                .collect();
            Ok((T::to_cpu_storage_owned(output), layout.shape().clone()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::finite_differences::{assert_gradients, input};

    #[test]
    fn gradients_equal_central_differences() {
        assert_gradients(&[input(&[3, 7], 1)], |tensors| relu(&tensors[0]));
    }

    #[test]
    fn nan_passes_and_infinity_stays() {
        let tensor = Tensor::new(&[f32::NAN, f32::INFINITY, -1.0, 0.5], &candle_core::Device::Cpu).unwrap();
        let values = relu(&tensor).unwrap().to_vec1::<f32>().unwrap();
        assert!(values[0].is_nan());
        assert_eq!(values[1..], [f32::INFINITY, 0.0, 0.5]);
    }
}
