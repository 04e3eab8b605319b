//! Layer normalisation, `y = (x - mean) / √(variance + ε) · weight + bias`: Ba, Kiros and Hinton, "Layer normalization" (2016).

use std::{ops::Range, sync::Arc};

use super::{Activation, Buffer, Layer, Pass};
use crate::numbers::{Real, column_sums, dot, for_rows, sum_wide, vectorised};

/// Over the last dimension; the variance is the mean square difference from the mean.
#[derive(Clone, Debug)]
pub(crate) struct LayerNorm {
    pub(crate) width: usize,
    pub(crate) epsilon: f64,
    pub(crate) weight: Range<usize>,
    pub(crate) bias: Range<usize>,
}

impl LayerNorm {
    /// The normalised rows, before weight and bias; the scale of each.
    fn normalise<T: Real>(&self, pass: &Pass<'_, T>, input: &[T]) -> (Buffer<T>, Buffer<T>) {
        let width = self.width;
        let mut normal = pass.pool.take(input.len());
        let mut scales = pass.pool.take(input.len() / width);
        crate::numbers::for_row_pairs((&mut normal, width), (&mut scales, 1), |first, normal, scales| {
            vectorised(
                #[inline(always)]
                || {
                    let rows = input[first * width..].chunks_exact(width);
                    for ((out, scale), row) in normal.chunks_exact_mut(width).zip(scales).zip(rows) {
                        let mean = T::of(sum_wide(row) / width as f64);
                        for (out, value) in out.iter_mut().zip(row) {
                            *out = *value - mean;
                        }
                        let variance = dot(out, out).wide() / width as f64;
                        *scale = T::of(1.0 / (variance + self.epsilon).sqrt());
                        for out in out.iter_mut() {
                            *out *= *scale;
                        }
                    }
                },
            );
        });
        (normal, scales)
    }
}

impl<T: Real> Layer<T> for LayerNorm {
    fn forward(&self, pass: &mut Pass<'_, T>, input: Activation<T>) -> Activation<T> {
        let width = self.width;
        let weight = pass.weights.get(&self.weight, pass.pool);
        let bias = pass.weights.get(&self.bias, pass.pool);
        let (normal, scales) = self.normalise(pass, &input);
        let mut output = pass.pool.take(input.len());
        for_rows(&mut output, width, |first, out| {
            vectorised(
                #[inline(always)]
                || {
                    let rows = normal[first * width..].chunks_exact(width);
                    for (out, row) in out.chunks_exact_mut(width).zip(rows) {
                        for (((out, value), weight), bias) in
                            out.iter_mut().zip(row).zip(&*weight).zip(&*bias)
                        {
                            *out = *value * *weight + *bias;
                        }
                    }
                },
            );
        });
        pass.save_activation(&Arc::new(normal));
        pass.save_activation(&Arc::new(scales));
        Arc::new(output)
    }

    /// With n the normalised row and s its scale: `dx = s · (w·g - mean(w·g) - n · mean(w·g·n))`.
    fn backward(&self, pass: &mut Pass<'_, T>, gradient: &Buffer<T>) -> Buffer<T> {
        let width = self.width;
        let (scales, normal) = (pass.saved_activation(), pass.saved_activation());
        let rows = normal.len() / width;
        column_sums(pass.gradient_mut(&self.weight), rows, false, |row, column, out| {
            let at = row * width + column;
            for ((out, gradient), value) in out.iter_mut().zip(&gradient[at..]).zip(&normal[at..]) {
                *out = *gradient * *value;
            }
        });
        column_sums(pass.gradient_mut(&self.bias), rows, false, |row, column, out| {
            out.copy_from_slice(&gradient[row * width + column..][..out.len()]);
        });
        let weight = pass.weights.get(&self.weight, pass.pool);
        let mut out = pass.pool.take(normal.len());
        for_rows(&mut out, width, |first, out| {
            vectorised(
                #[inline(always)]
                || {
                    for (row, out) in (first..).zip(out.chunks_exact_mut(width)) {
                        let at = row * width..(row + 1) * width;
                        let (normal, gradient, scale) = (&normal[at.clone()], &gradient[at], scales[row]);
                        for ((out, gradient), weight) in out.iter_mut().zip(gradient).zip(&*weight) {
                            *out = *gradient * *weight;
                        }
                        let mean = T::of(sum_wide(out) / width as f64);
                        let share = T::of(dot(out, normal).wide() / width as f64);
                        for (out, value) in out.iter_mut().zip(normal) {
                            *out = (*out - mean - *value * share) * scale;
                        }
                    }
                },
            );
        });
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::gradient_check::{assert_gradients, numbers};

    #[test]
    fn gradients_equal_central_differences() {
        let layer = LayerNorm { width: 20, epsilon: 1e-2, weight: 0..20, bias: 20..40 };
        assert_gradients(&layer, &numbers(40, 1), &numbers(60, 2), &Default::default());
    }
}
