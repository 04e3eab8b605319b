//! Max pooling over windows of 2×2 that do not overlap. Of equal maxima the first in row order gets the gradient, as in
//! PyTorch; NaN counts as the maximum.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor, WithDType};

use super::{contiguous, for_element_type};

const WINDOW: usize = 2;

/// `[a, b, height, width]` to `[a, b, height / 2, width / 2]`; height and width must be even.
pub(super) fn max_pool2d(input: &Tensor) -> Result<Tensor> {
    input.contiguous()?.apply_op1(MaxPool2d)
}

struct MaxPool2d;

impl CustomOp1 for MaxPool2d {
    fn name(&self) -> &'static str {
        "max-pool2d"
    }

    fn cpu_fwd(&self, input: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (outer, inner, height, width) = layout.shape().dims4()?;
        if height % WINDOW != 0 || width % WINDOW != 0 {
            candle_core::bail!("max pooling of 2 by 2 over {:?}", layout.shape());
        }
        let shape = Shape::from((outer, inner, height / WINDOW, width / WINDOW));
        for_element_type!(input, T => {
            let input = contiguous::<T>(input, layout)?;
            let mut output = Vec::with_capacity(input.len() / (WINDOW * WINDOW));
            for_each_window(input.len(), width, |window| output.push(input[argmax(input, window)]));
            Ok((T::to_cpu_storage_owned(output), shape))
        })
    }

    fn bwd(&self, input: &Tensor, _output: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        input.apply_op2_no_bwd(&gradient.contiguous()?, &MaxPool2dGradient).map(Some)
    }
}

struct MaxPool2dGradient;

impl CustomOp2 for MaxPool2dGradient {
    fn name(&self) -> &'static str {
        "max-pool2d-gradient"
    }

    fn cpu_fwd(
        &self,
        input: &CpuStorage,
        layout: &Layout,
        gradient: &CpuStorage,
        gradient_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let width = layout.shape().dims4()?.3;
        for_element_type!(input, T => {
            let input = contiguous::<T>(input, layout)?;
            let mut gradients = contiguous::<T>(gradient, gradient_layout)?.iter();
            let mut output = vec![0.0; input.len()];
            for_each_window(input.len(), width, |window| {
                if let Some(gradient) = gradients.next() {
                    output[argmax(input, window)] = *gradient;
                }
            });
            Ok((T::to_cpu_storage_owned(output), layout.shape().clone()))
        })
    }
}

/// Calls `visit` with the four indices of each window. Rows of all planes lie below one another, and heights are
/// even, so pairs of rows never span two planes.
fn for_each_window(elements: usize, width: usize, mut visit: impl FnMut([usize; 4])) {
    for row in (0..elements).step_by(WINDOW * width.max(1)) {
        for first in (row..row + width).step_by(WINDOW) {
            visit([first, first + 1, first + width, first + width + 1]);
        }
    }
}

fn argmax<T: WithDType>(input: &[T], window: [usize; 4]) -> usize {
    let [mut best, rest @ ..] = window;
    for candidate in rest {
        let (value, maximum) = (input[candidate], input[best]);
        if value > maximum || value.to_f64().is_nan() {
            best = candidate;
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;
    use crate::layers::finite_differences::{assert_gradients, input};

    #[test]
    fn gradients_equal_central_differences() {
        assert_gradients(&[input(&[2, 3, 4, 6], 1)], |tensors| max_pool2d(&tensors[0]));
    }

    #[test]
    fn of_equal_maxima_the_first_gets_the_whole_gradient() {
        let values = [1f32, 5.0, 2.0, 2.0, 5.0, 0.0, 2.0, 2.0];
        let image = Var::from_slice(&values, (1, 1, 2, 4), &Device::Cpu).unwrap();
        let pooled = max_pool2d(&image).unwrap();
        assert_eq!(pooled.flatten_all().unwrap().to_vec1::<f32>().unwrap(), [5.0, 2.0]);
        let gradient = pooled.backward().unwrap().remove(&image).unwrap();
        let gradient = gradient.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(gradient, [0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn nan_is_the_maximum_and_odd_sizes_are_refused() {
        let image = Tensor::from_slice(&[9f32, 1.0, f32::NAN, 2.0], (1, 1, 2, 2), &Device::Cpu).unwrap();
        let pooled = max_pool2d(&image).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert!(pooled[0].is_nan());
        assert!(max_pool2d(&input(&[1, 1, 3, 4], 1)).is_err());
    }
}
