//! Dropout: Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting" (2014). Which elements are
//! dropped is a function of the job's seed, the step, the micro-batch, the layer and the element: the same on every node, and the
//! same when an activation is computed again.

use std::sync::Arc;

use super::{Activation, Buffer, Layer, Pass};
use crate::{
    counter_rng::CounterRng,
    numbers::{Real, for_rows},
};

/// Elements that one block of random numbers decides.
const ELEMENTS: usize = 4;

/// Drops elements with a probability and scales the others up; in evaluation it does nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropout {
    /// From 0 to below 1.
    pub(crate) probability: f64,
    /// Tells the model's dropout layers apart.
    pub(crate) number: u32,
}

impl Dropout {
    fn apply<T: Real>(&self, randomness: &CounterRng, input: &[T], out: &mut [T]) {
        let randomness = randomness.branch(self.number);
        let scale = T::of(1.0 / (1.0 - self.probability));
        // Below it an element is dropped: exact to 2^-32.
        let threshold = (self.probability * 4_294_967_296.0) as u32;
        for_rows(out, ELEMENTS, |first, out| {
            let blocks = out.chunks_mut(ELEMENTS).zip(input[first * ELEMENTS..].chunks(ELEMENTS));
            for (block, (out, input)) in (first..).zip(blocks) {
                let index = u32::try_from(block).expect("an activation has fewer than 2^34 elements");
                for ((out, input), bits) in out.iter_mut().zip(input).zip(randomness.block(index)) {
                    *out = if bits < threshold { T::ZERO } else { *input * scale };
                }
            }
        });
    }
}

impl<T: Real> Layer<T> for Dropout {
    fn forward(&self, pass: &mut Pass<'_, T>, input: Activation<T>) -> Activation<T> {
        let Some(randomness) = pass.randomness.filter(|_| self.probability > 0.0) else { return input };
        let mut output = pass.pool.take(input.len());
        self.apply(&randomness, &input, &mut output);
        Arc::new(output)
    }

    fn backward(&self, pass: &mut Pass<'_, T>, gradient: &Buffer<T>) -> Buffer<T> {
        let Some(randomness) = pass.randomness.filter(|_| self.probability > 0.0) else {
            return pass.pool.copy(gradient);
        };
        let mut out = pass.pool.take(gradient.len());
        self.apply(&randomness, gradient, &mut out);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counter_rng::Purpose;

    #[test]
    fn about_the_given_share_is_dropped_and_the_mean_stays() {
        let input = vec![1f64; 40_001];
        let dropped = |number, stream| {
            let mut out = vec![f64::NAN; input.len()];
            let randomness = CounterRng::new(5, Purpose::Dropout, stream);
            Dropout { probability: 0.25, number }.apply(&randomness, &input, &mut out);
            out
        };
        let out = dropped(1, 9);
        let zeros = out.iter().filter(|value| **value == 0.0).count();
        // Four standard errors, √(40,000 · 3/16) = 87.
        assert!(zeros.abs_diff(10_000) < 350, "{zeros}");
        assert!(out.iter().all(|value| *value == 0.0 || *value == 4.0 / 3.0));
        assert_eq!(out, dropped(1, 9));
        assert_ne!(out, dropped(2, 9));
        assert_ne!(out, dropped(1, 10));
    }
}
