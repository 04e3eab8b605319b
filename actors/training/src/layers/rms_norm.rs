//! Root mean square normalisation, `y = x / √(mean(x²) + ε) · weight`: Zhang and Sennrich, "Root mean square layer
//! normalization" (2019).

use std::{ops::Range, sync::Arc};

use super::{Activation, Buffer, Layer, Pass};
use crate::numbers::{Real, column_sums, dot, for_rows, vectorised};

/// Over the last dimension.
#[derive(Clone, Debug)]
pub(crate) struct RmsNorm {
    pub(crate) width: usize,
    pub(crate) epsilon: f64,
    pub(crate) weight: Range<usize>,
}

impl RmsNorm {
    /// `1 / √(mean(x²) + ε)` of each row.
    fn scales<T: Real>(&self, input: &[T], out: &mut [T]) {
        let (width, epsilon) = (self.width, self.epsilon);
        for_rows(out, 1, |first, out| {
            vectorised(
                #[inline(always)]
                || {
                    let rows = input[first * width..].chunks_exact(width);
                    for (out, row) in out.iter_mut().zip(rows) {
                        let square = dot(row, row).wide() / width as f64;
                        *out = T::of(1.0 / (square + epsilon).sqrt());
                    }
                },
            );
        });
    }
}

impl<T: Real> Layer<T> for RmsNorm {
    fn forward(&self, pass: &mut Pass<'_, T>, input: Activation<T>) -> Activation<T> {
        let width = self.width;
        let weight = pass.weights.get(&self.weight, pass.pool);
        let mut scales = pass.pool.take(input.len() / width);
        self.scales(&input, &mut scales);
        let mut output = pass.pool.take(input.len());
        for_rows(&mut output, width, |first, out| {
            vectorised(
                #[inline(always)]
                || {
                    let rows = input[first * width..].chunks_exact(width).zip(&scales[first..]);
                    for (out, (row, scale)) in out.chunks_exact_mut(width).zip(rows) {
                        for ((out, value), weight) in out.iter_mut().zip(row).zip(&*weight) {
                            *out = *value * *scale * *weight;
                        }
                    }
                },
            );
        });
        pass.save_activation(&input);
        pass.save_activation(&Arc::new(scales));
        Arc::new(output)
    }

    /// With s the scale: `dx = s · (w·g - x · s² · mean(w·g·x))`, `dw = Σ g · x · s`.
    fn backward(&self, pass: &mut Pass<'_, T>, gradient: &Buffer<T>) -> Buffer<T> {
        let width = self.width;
        let (scales, input) = (pass.saved_activation(), pass.saved_activation());
        let rows = input.len() / width;
        column_sums(pass.gradient_mut(&self.weight), rows, false, |row, column, out| {
            let at = row * width + column;
            let scale = scales[row];
            for ((out, gradient), value) in out.iter_mut().zip(&gradient[at..]).zip(&input[at..]) {
                *out = *gradient * *value * scale;
            }
        });
        let weight = pass.weights.get(&self.weight, pass.pool);
        let mut out = pass.pool.take(input.len());
        for_rows(&mut out, width, |first, out| {
            vectorised(
                #[inline(always)]
                || {
                    for (row, out) in (first..).zip(out.chunks_exact_mut(width)) {
                        let at = row * width..(row + 1) * width;
                        let (input, gradient, scale) = (&input[at.clone()], &gradient[at], scales[row]);
                        for ((out, gradient), weight) in out.iter_mut().zip(gradient).zip(&*weight) {
                            *out = *gradient * *weight;
                        }
                        let mean = dot(out, input).wide() / width as f64;
                        let share = T::of(mean * scale.wide() * scale.wide());
                        for (out, value) in out.iter_mut().zip(input) {
                            *out = (*out - *value * share) * scale;
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
        let layer = RmsNorm { width: 20, epsilon: 1e-2, weight: 0..20 };
        assert_gradients(&layer, &numbers(20, 1), &numbers(60, 2), &Default::default());
    }
}
