//! Functions of one number.

use std::sync::Arc;

use super::{Activation, Buffer, Layer, Pass};
use crate::numbers::{Real, for_rows, vectorised};

/// √(2 / π) and the cubic's factor of the approximation in Hendrycks and Gimpel, "Gaussian error linear units" (2016).
const TANH_SCALE: f64 = 0.797_884_560_802_865_4;
const TANH_CUBIC: f64 = 0.044_715;

/// Which function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Elementwise {
    /// `max(x, 0)`; NaN passes, the derivative at zero is zero.
    Relu,
    /// `x · Φ(x)` by the error function.
    Gelu,
    /// The same by a hyperbolic tangent: GPT-2's.
    GeluTanh,
    /// `x / (1 + exp(-x))`.
    Silu,
    /// The hyperbolic tangent.
    Tanh,
}

/// A function applied to every element.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Activations(pub(crate) Elementwise);

impl Elementwise {
    #[inline(always)]
    fn value<T: Real>(self, x: T) -> T {
        match self {
            Self::Relu => {
                if x < T::ZERO {
                    T::ZERO
                } else {
                    x
                }
            }
            Self::Gelu => x * normal_distribution(x),
            Self::GeluTanh => x * T::of(0.5) * (T::ONE + tanh(inner(x))),
            Self::Silu => x / (T::ONE + (-x).exponential()),
            Self::Tanh => tanh(x),
        }
    }

    #[inline(always)]
    fn derivative<T: Real>(self, x: T) -> T {
        match self {
            Self::Relu => {
                if x <= T::ZERO {
                    T::ZERO
                } else {
                    T::ONE
                }
            }
            Self::Gelu => {
                let density = (-(x * x) * T::of(0.5)).exponential() * T::of(0.398_942_280_401_432_7);
                normal_distribution(x) + x * density
            }
            Self::GeluTanh => {
                let t = tanh(inner(x));
                let slope = T::of(TANH_SCALE) * (T::ONE + T::of(3.0 * TANH_CUBIC) * x * x);
                T::of(0.5) * (T::ONE + t) + T::of(0.5) * x * (T::ONE - t * t) * slope
            }
            Self::Silu => {
                let share = T::ONE / (T::ONE + (-x).exponential());
                share * (T::ONE + x * (T::ONE - share))
            }
            Self::Tanh => {
                let t = tanh(x);
                T::ONE - t * t
            }
        }
    }
}

#[inline(always)]
fn inner<T: Real>(x: T) -> T {
    T::of(TANH_SCALE) * (x + T::of(TANH_CUBIC) * x * x * x)
}

#[inline(always)]
fn tanh<T: Real>(x: T) -> T {
    let twice = (x + x).exponential();
    T::ONE - (T::ONE + T::ONE) / (twice + T::ONE)
}

#[inline(always)]
fn normal_distribution<T: Real>(x: T) -> T {
    T::of(0.5) * (T::ONE + (x * T::of(std::f64::consts::FRAC_1_SQRT_2)).error_function())
}

impl<T: Real> Layer<T> for Activations {
    fn forward(&self, pass: &mut Pass<'_, T>, input: Activation<T>) -> Activation<T> {
        let mut output = pass.pool.take(input.len());
        map(self.0, &input, &mut output);
        pass.save_activation(&input);
        Arc::new(output)
    }

    fn backward(&self, pass: &mut Pass<'_, T>, gradient: &Buffer<T>) -> Buffer<T> {
        let input = pass.saved_activation();
        let mut out = pass.pool.take(input.len());
        let function = self.0;
        for_rows(&mut out, 1, |first, out| {
            vectorised(
                #[inline(always)]
                || {
                    let pairs = input[first..].iter().zip(&gradient[first..]);
                    for (out, (input, gradient)) in out.iter_mut().zip(pairs) {
                        // No product with a zero derivative: a gradient that is not finite would become NaN here, unseen elsewhere.
                        *out = *gradient * function.derivative(*input);
                    }
                },
            );
        });
        out
    }
}

fn map<T: Real>(function: Elementwise, input: &[T], out: &mut [T]) {
    for_rows(out, 1, |first, out| {
        vectorised(
            #[inline(always)]
            || {
                for (out, input) in out.iter_mut().zip(&input[first..]) {
                    *out = function.value(*input);
                }
            },
        );
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::gradient_check::{assert_gradients, numbers, run};

    const ALL: [Elementwise; 5] =
        [Elementwise::Relu, Elementwise::Gelu, Elementwise::GeluTanh, Elementwise::Silu, Elementwise::Tanh];

    #[test]
    fn gradients_equal_central_differences() {
        for function in ALL {
            assert_gradients(&Activations(function), &[], &numbers(40, 2), &Default::default());
        }
    }

    /// What PyTorch 2.15 gives in float64 at 1 and -0.5.
    #[test]
    fn values_are_those_of_the_definitions() {
        let values = |function| run(&Activations(function), &[], &[1.0, -0.5], &Default::default());
        let near = |found: Vec<f64>, wanted: [f64; 2]| {
            assert!(found.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-15), "{found:?} {wanted:?}");
        };
        near(values(Elementwise::Relu), [1.0, 0.0]);
        near(values(Elementwise::Gelu), [0.841_344_746_068_543, -0.154_268_769_362_993_44]);
        near(values(Elementwise::GeluTanh), [0.841_191_990_608_276_8, -0.154_285_990_174_856_08]);
        near(values(Elementwise::Silu), [0.731_058_578_630_004_9, -0.188_770_334_399_072_7]);
        near(values(Elementwise::Tanh), [0.761_594_155_955_764_9, -0.462_117_157_260_009_74]);
    }

    #[test]
    fn nan_passes() {
        for function in ALL {
            assert!(run(&Activations(function), &[], &[f64::NAN], &Default::default())[0].is_nan());
        }
    }
}
