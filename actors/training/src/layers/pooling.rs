//! Pooling over windows that do not overlap. What does not fill a window at the right and lower edge is left out, as in
//! PyTorch.

use std::sync::Arc;

use super::{Activation, Buffer, ImageShape, Layer, Pass, Saved};
use crate::numbers::{Real, for_row_pairs, for_rows, vectorised};

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
            vectorised(
                #[inline(always)]
                || {
                    for (plane, (out, places)) in planes.zip(outs) {
                        self.plane_maxima(plane, out, places);
                    }
                },
            );
        });
    }

    #[inline(always)]
    fn plane_maxima<T: Real>(&self, plane: &[T], out: &mut [T], places: &mut [u32]) {
        let (width, columns) = (self.input.width, self.output().width);
        let rows = out.chunks_exact_mut(columns).zip(places.chunks_exact_mut(columns));
        for (row, (out, places)) in rows.enumerate() {
            let first = row * self.size * width;
            let band = &plane[first..first + self.size * width];
            if self.size == 2 {
                pair_maxima(band, first, out, places);
                continue;
            }
            for (column, (out, place)) in out.iter_mut().zip(places.iter_mut()).enumerate() {
                (*out, *place) = (band[column * self.size], (first + column * self.size) as u32);
                for tap in 1..self.size * self.size {
                    let at = tap / self.size * width + tap % self.size + column * self.size;
                    take_larger(out, place, band[at], (first + at) as u32);
                }
            }
        }
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

/// The maxima of the windows of two rows, which lie one after the other and begin at element `first` of their plane. No branches:
/// the loop becomes vector instructions.
#[inline(always)]
fn pair_maxima<T: Real>(rows: &[T], first: usize, out: &mut [T], places: &mut [u32]) {
    let width = rows.len() / 2;
    let (upper, lower) = rows.split_at(width);
    let windows = upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0);
    let (first, width) = (first as u32, width as u32);
    for ((column, (upper, lower)), (out, place)) in (0u32..).zip(windows).zip(out.iter_mut().zip(places)) {
        let at = first + 2 * column;
        let (mut best, mut from) = (upper[0], at);
        take_larger(&mut best, &mut from, upper[1], at + 1);
        take_larger(&mut best, &mut from, lower[0], at + width);
        take_larger(&mut best, &mut from, lower[1], at + width + 1);
        (*out, *place) = (best, from);
    }
}

/// NaN is larger than all, and nothing is larger than the first NaN.
#[inline(always)]
fn take_larger<T: Real>(best: &mut T, place: &mut u32, found: T, at: u32) {
    let is_better = (found > *best) | (found.is_not_a_number() & !best.is_not_a_number());
    *place = if is_better { at } else { *place };
    *best = if is_better { found } else { *best };
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
