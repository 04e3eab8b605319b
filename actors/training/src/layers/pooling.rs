//! Pooling over windows that do not overlap. What does not fill a window at the right and lower edge is left out, as in
//! PyTorch.

use std::sync::Arc;

use super::{Activation, Buffer, ImageShape, Layer, Pass, Saved};
use crate::numbers::{Real, for_row_pairs, for_rows};

/// What becomes of a window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PoolingKind {
    /// Its maximum: NaN counts as one, of equal ones the first in row order gets the gradient.
    Max,
    /// Its mean.
    Mean,
}

/// Windows of `size` by `size` over images `[samples, channels, height, width]`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pooling {
    pub(crate) kind: PoolingKind,
    pub(crate) input: ImageShape,
    pub(crate) size: usize,
}

impl Pooling {
    pub(crate) fn output(&self) -> ImageShape {
        let ImageShape { channels, height, width } = self.input;
        ImageShape { channels, height: height / self.size, width: width / self.size }
    }

    /// The first element of a window within its plane.
    fn corner(&self, window: usize) -> usize {
        let columns = self.output().width;
        (window / columns * self.input.width + window % columns) * self.size
    }

    fn maxima<T: Real>(&self, input: &[T], out: &mut [T], places: &mut [u32]) {
        let windows = self.output().plane();
        for_row_pairs((out, windows), (places, windows), |first, out, places| {
            let planes = input[first * self.input.plane()..].chunks_exact(self.input.plane());
            let outs = out.chunks_exact_mut(windows).zip(places.chunks_exact_mut(windows));
            for (plane, (out, places)) in planes.zip(outs) {
                for (window, (out, place)) in out.iter_mut().zip(places).enumerate() {
                    let corner = self.corner(window);
                    let mut best = corner;
                    let mut value = plane[corner];
                    for row in 0..self.size {
                        for column in 0..self.size {
                            let candidate = corner + row * self.input.width + column;
                            let found = plane[candidate];
                            // NaN is what is unlike itself; the first one stays.
                            let is_better = found > value || (found != found && value == value);
                            best = if is_better { candidate } else { best };
                            value = if is_better { found } else { value };
                        }
                    }
                    *out = value;
                    *place = best as u32;
                }
            }
        });
    }

    fn means<T: Real>(&self, input: &[T], out: &mut [T]) {
        let windows = self.output().plane();
        let share = T::of(1.0 / (self.size * self.size) as f64);
        for_rows(out, windows, |first, out| {
            let planes = input[first * self.input.plane()..].chunks_exact(self.input.plane());
            for (plane, out) in planes.zip(out.chunks_exact_mut(windows)) {
                for (window, out) in out.iter_mut().enumerate() {
                    let corner = self.corner(window);
                    let mut sum = T::ZERO;
                    for row in 0..self.size {
                        for value in &plane[corner + row * self.input.width..][..self.size] {
                            sum += *value;
                        }
                    }
                    *out = sum * share;
                }
            }
        });
    }
}

impl<T: Real> Layer<T> for Pooling {
    fn forward(&self, pass: &mut Pass<'_, T>, input: Activation<T>) -> Activation<T> {
        let planes = input.len() / self.input.plane();
        let mut out = pass.pool.take(planes * self.output().plane());
        match self.kind {
            PoolingKind::Mean => self.means(&input, &mut out),
            PoolingKind::Max => {
                let mut places = vec![0; out.len()];
                self.maxima(&input, &mut out, &mut places);
                pass.save(Saved::Places(places));
            }
        }
        Arc::new(out)
    }

    fn backward(&self, pass: &mut Pass<'_, T>, gradient: &Buffer<T>) -> Buffer<T> {
        let windows = self.output().plane();
        let mut out = pass.pool.take(gradient.len() / windows * self.input.plane());
        let places = if self.kind == PoolingKind::Max { pass.saved_places() } else { Vec::new() };
        let share = T::of(1.0 / (self.size * self.size) as f64);
        for_rows(&mut out, self.input.plane(), |first, out| {
            out.fill(T::ZERO);
            for (plane, out) in (first..).zip(out.chunks_exact_mut(self.input.plane())) {
                let gradient = &gradient[plane * windows..][..windows];
                match self.kind {
                    PoolingKind::Max => {
                        let places = &places[plane * windows..][..windows];
                        gradient.iter().zip(places).for_each(|(value, place)| out[*place as usize] = *value);
                    }
                    PoolingKind::Mean => {
                        for (window, value) in gradient.iter().enumerate() {
                            for row in 0..self.size {
                                let at = self.corner(window) + row * self.input.width;
                                out[at..at + self.size].fill(*value * share);
                            }
                        }
                    }
                }
            }
        });
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::gradient_check::{assert_gradients, numbers, run};

    const SHAPE: ImageShape = ImageShape { channels: 2, height: 7, width: 5 };

    #[test]
    fn gradients_equal_central_differences() {
        for kind in [PoolingKind::Max, PoolingKind::Mean] {
            for size in [1, 2, 3] {
                let layer = Pooling { kind, input: SHAPE, size };
                assert_gradients(&layer, &[], &numbers(3 * 70, 2), &Default::default());
            }
        }
    }

    #[test]
    fn maxima_and_means_are_those_of_the_window_and_nan_counts() {
        let input = ImageShape { channels: 1, height: 2, width: 4 };
        let values = [1.0, 5.0, 2.0, 2.0, -3.0, 4.0, f64::NAN, 2.0];
        let pool = |kind| run(&Pooling { kind, input, size: 2 }, &[], &values, &Default::default());
        let (maxima, means) = (pool(PoolingKind::Max), pool(PoolingKind::Mean));
        assert_eq!((maxima[0], means[0]), (5.0, 1.75));
        assert!(maxima[1].is_nan() && means[1].is_nan());
    }
}
