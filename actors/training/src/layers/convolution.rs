//! Two-dimensional convolution as matrix products with the unfolded input (im2col): Chellapilla, Puri and Simard, "High
//! performance convolutional neural networks for document processing" (2006).

use std::{ops::Range, sync::Arc};

use super::{Activation, Buffer, BufferPool, Layer, Pass};
use crate::numbers::{Matrix, MatrixMut, Real, column_sums, multiply, run_all, sum_wide, vectorised};

/// Samples whose weight gradients are added up by one thread: a part of the definition, since sums depend on it.
const GROUP_SAMPLES: usize = 8;

/// Channels, height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ImageShape {
    pub(crate) channels: usize,
    pub(crate) height: usize,
    pub(crate) width: usize,
}

impl ImageShape {
    pub(crate) fn elements(self) -> usize {
        self.channels * self.height * self.width
    }

    pub(super) fn plane(self) -> usize {
        self.height * self.width
    }
}

/// Square kernels over images `[samples, channels, height, width]`, surrounded by zeros.
#[derive(Clone, Debug)]
pub(crate) struct Convolution {
    pub(crate) input: ImageShape,
    pub(crate) outputs: usize,
    pub(crate) kernel: usize,
    pub(crate) stride: usize,
    pub(crate) padding: usize,
    /// `[outputs, channels, kernel, kernel]`.
    pub(crate) weight: Range<usize>,
    pub(crate) bias: Range<usize>,
}

impl Convolution {
    /// The shape of its output; it must have a pixel.
    pub(crate) fn output(&self) -> ImageShape {
        let size = |input: usize| (input + 2 * self.padding - self.kernel) / self.stride + 1;
        let ImageShape { height, width, .. } = self.input;
        ImageShape { channels: self.outputs, height: size(height), width: size(width) }
    }

    fn taps(&self) -> usize {
        self.input.channels * self.kernel * self.kernel
    }

    /// Calls `visit(offset in the matrix [taps, positions], offset in the image, length)` for each run of pixels whose
    /// neighbours in one are `stride` apart in the other.
    #[inline(always)]
    fn for_each_run(&self, mut visit: impl FnMut(usize, usize, usize)) {
        let (input, output) = (self.input, self.output());
        let (padding, stride) = (self.padding, self.stride);
        // The outputs for which `output * stride + tap - padding` lies within the input.
        let inside = |tap: usize, outputs: usize, inputs: usize| {
            let first = padding.saturating_sub(tap).div_ceil(stride);
            let end = (inputs + padding).saturating_sub(tap).div_ceil(stride).min(outputs);
            first..end.max(first)
        };
        for tap in 0..self.taps() {
            let (channel, tap_row, tap_column) =
                (tap / self.kernel / self.kernel, tap / self.kernel % self.kernel, tap % self.kernel);
            let columns = inside(tap_column, output.width, input.width);
            if columns.is_empty() {
                continue;
            }
            for row in inside(tap_row, output.height, input.height) {
                let image_row = channel * input.height + row * stride + tap_row - padding;
                let image = image_row * input.width + columns.start * stride + tap_column - padding;
                let matrix = (tap * output.height + row) * output.width + columns.start;
                visit(matrix, image, columns.len());
            }
        }
    }

    /// One image as `[taps, positions]`: column p holds the pixels under the kernel at position p.
    #[inline(always)]
    fn unfold<T: Real>(&self, image: &[T], matrix: &mut [T]) {
        if self.padding > 0 {
            matrix.fill(T::ZERO);
        }
        let stride = self.stride;
        self.for_each_run(|to, from, length| {
            let to = &mut matrix[to..to + length];
            if stride == 1 {
                to.copy_from_slice(&image[from..from + length]);
            } else {
                to.iter_mut().zip(image[from..].iter().step_by(stride)).for_each(|(to, from)| *to = *from);
            }
        });
    }

    /// The transpose of [`Self::unfold`]: adds each element of the matrix to the pixel that it was copied from.
    #[inline(always)]
    fn fold<T: Real>(&self, matrix: &[T], image: &mut [T]) {
        image.fill(T::ZERO);
        let stride = self.stride;
        self.for_each_run(|from, to, length| {
            let from = &matrix[from..from + length];
            if stride == 1 {
                image[to..to + length].iter_mut().zip(from).for_each(|(to, from)| *to += *from);
            } else {
                image[to..].iter_mut().step_by(stride).zip(from).for_each(|(to, from)| *to += *from);
            }
        });
    }

    fn unfolded<T: Real>(&self, pool: &BufferPool<T>) -> Buffer<T> {
        pool.take(self.taps() * self.output().plane())
    }

    /// The gradients of the weight of each group of samples.
    fn group_gradients<T: Real>(&self, pool: &BufferPool<T>, input: &[T], gradient: &[T]) -> Buffer<T> {
        let (elements, output) = (self.input.elements(), self.output());
        let (taps, positions) = (self.taps(), output.plane());
        let samples = input.len() / elements;
        let mut parts = pool.take(samples.div_ceil(GROUP_SAMPLES) * self.weight.len());
        run_all(parts.chunks_exact_mut(self.weight.len()).enumerate().collect(), |(group, part)| {
            let mut unfolded = self.unfolded(pool);
            let first = group * GROUP_SAMPLES;
            for sample in first..(first + GROUP_SAMPLES).min(samples) {
                vectorised(
                    #[inline(always)]
                    || self.unfold(&input[sample * elements..][..elements], &mut unfolded),
                );
                let gradient = &gradient[sample * output.elements()..][..output.elements()];
                let gradient = Matrix::new(gradient, self.outputs, positions);
                let unfolded = Matrix::new(&unfolded, taps, positions).transposed();
                let part = MatrixMut::new(part, self.outputs, taps);
                multiply(part, gradient, unfolded, T::ONE, sample > first, true);
            }
        });
        parts
    }

    fn input_gradient<T: Real>(&self, pass: &Pass<'_, T>, gradient: &[T], out: &mut [T]) {
        let output = self.output();
        let weight = pass.weights.get(&self.weight, pass.pool);
        let weight = Matrix::new(&weight, self.outputs, self.taps()).transposed();
        let pool = pass.pool;
        run_all(out.chunks_exact_mut(self.input.elements()).enumerate().collect(), |(sample, out)| {
            let gradient = &gradient[sample * output.elements()..][..output.elements()];
            let gradient = Matrix::new(gradient, self.outputs, output.plane());
            let mut unfolded = self.unfolded(pool);
            let product = MatrixMut::new(&mut unfolded, self.taps(), output.plane());
            multiply(product, weight, gradient, T::ONE, false, true);
            vectorised(
                #[inline(always)]
                || self.fold(&unfolded, out),
            );
        });
    }
}

impl<T: Real> Layer<T> for Convolution {
    fn forward(&self, pass: &mut Pass<'_, T>, input: Activation<T>) -> Activation<T> {
        let (elements, output) = (self.input.elements(), self.output());
        let weight = pass.weights.get(&self.weight, pass.pool);
        let bias = pass.weights.get(&self.bias, pass.pool);
        let weight = Matrix::new(&weight, self.outputs, self.taps());
        let pool = pass.pool;
        let mut out = pool.take(input.len() / elements * output.elements());
        run_all(out.chunks_exact_mut(output.elements()).enumerate().collect(), |(sample, out)| {
            let mut unfolded = self.unfolded(pool);
            vectorised(
                #[inline(always)]
                || self.unfold(&input[sample * elements..][..elements], &mut unfolded),
            );
            let unfolded = Matrix::new(&unfolded, self.taps(), output.plane());
            let product = MatrixMut::new(out, self.outputs, output.plane());
            multiply(product, weight, unfolded, T::ONE, false, true);
            for (channel, bias) in out.chunks_exact_mut(output.plane()).zip(&*bias) {
                channel.iter_mut().for_each(|value| *value += *bias);
            }
        });
        pass.save_activation(&input);
        Arc::new(out)
    }

    fn backward(&self, pass: &mut Pass<'_, T>, gradient: &Buffer<T>) -> Buffer<T> {
        let (input, output) = (pass.saved_activation(), self.output());
        // Unfolded again rather than kept: copying is cheaper than holding kernel² times the input.
        let parts = self.group_gradients(pass.pool, &input, gradient);
        let weights = self.weight.len();
        column_sums(pass.gradient_mut(&self.weight), parts.len() / weights, false, |part, column, out| {
            out.copy_from_slice(&parts[part * weights + column..][..out.len()]);
        });
        let samples = gradient.len() / output.elements();
        column_sums(pass.gradient_mut(&self.bias), samples, false, |sample, channel, out| {
            for (channel, out) in (channel..).zip(out) {
                let plane = (sample * self.outputs + channel) * output.plane();
                *out = T::of(sum_wide(&gradient[plane..plane + output.plane()]));
            }
        });
        if !pass.wants_input_gradient {
            return pass.pool.take(0);
        }
        let mut out = pass.pool.take(input.len());
        self.input_gradient(pass, gradient, &mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::gradient_check::{assert_gradients, numbers, run};

    fn layer(kernel: usize, stride: usize, padding: usize) -> Convolution {
        let input = ImageShape { channels: 2, height: 6, width: 5 };
        let weights = 3 * 2 * kernel * kernel;
        let (weight, bias) = (0..weights, weights..weights + 3);
        Convolution { input, outputs: 3, kernel, stride, padding, weight, bias }
    }

    #[test]
    fn gradients_equal_central_differences() {
        for (kernel, stride, padding) in [(3, 1, 0), (3, 2, 1), (2, 3, 0), (5, 1, 2), (1, 1, 0)] {
            let layer = layer(kernel, stride, padding);
            let parameters = numbers(layer.bias.end, 1);
            assert_gradients(&layer, &parameters, &numbers(10 * 60, 2), &Default::default());
        }
    }

    #[test]
    fn outputs_are_those_of_the_definition() {
        for (kernel, stride, padding) in [(3, 1, 0), (3, 2, 1), (2, 3, 0), (5, 1, 2)] {
            let layer = layer(kernel, stride, padding);
            let parameters = numbers(layer.bias.end, 1);
            let input = numbers(2 * 60, 2);
            let found = run(&layer, &parameters, &input, &Default::default());
            let output = layer.output();
            let pixel = |sample: usize, channel: usize, row: usize, column: usize| {
                let (row, column) = (row.wrapping_sub(padding), column.wrapping_sub(padding));
                let is_inside = row < 6 && column < 5;
                if is_inside { input[((sample * 2 + channel) * 6 + row) * 5 + column] } else { 0.0 }
            };
            for (index, found) in found.iter().enumerate() {
                let (rest, column) = (index / output.width, index % output.width);
                let (rest, row) = (rest / output.height, rest % output.height);
                let (sample, channel) = (rest / 3, rest % 3);
                let mut wanted = parameters[layer.bias.start + channel];
                for tap in 0..layer.taps() {
                    let (from, r, c) = (tap / kernel / kernel, tap / kernel % kernel, tap % kernel);
                    let value = pixel(sample, from, row * stride + r, column * stride + c);
                    wanted += parameters[channel * layer.taps() + tap] * value;
                }
                assert!((found - wanted).abs() < 1e-13, "{kernel} {stride} {padding}: {found} {wanted}");
            }
        }
    }
}
