//! AdamW: Loshchilov and Hutter, "Decoupled weight decay regularization" (2019), in PyTorch's order of operations:
//! `p = p · (1 - rate · decay)`, `m = m + (1 - β₁) · (g - m)`, `v = β₂ · v + (1 - β₂) · g²`,
//! `p = p - (rate / (1 - β₁^t)) · m / (√v / √(1 - β₂^t) + ε)`, with t = 1 in the first update.

use super::{MODERATE_MAX, rule::Rule};
use crate::numbers::Real;

/// The constants of one update, computed in f64 and rounded to f32 once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Adamw<T> {
    /// 1 - rate · decay.
    keep: T,
    /// 1 - β₁.
    mean_weight: T,
    beta2: T,
    /// 1 - β₂.
    square_weight: T,
    /// rate / (1 - β₁^t).
    step_size: T,
    /// √(1 - β₂^t).
    square_correction: T,
    epsilon: T,
}

impl<T: Real> Adamw<T> {
    /// For the update with number `count`, from 1.
    pub(super) fn new(
        learning_rate: f64,
        (beta1, beta2): (f64, f64),
        epsilon: f64,
        weight_decay: f64,
        count: u64,
    ) -> Self {
        Self {
            keep: T::of(1.0 - learning_rate * weight_decay),
            mean_weight: T::of(1.0 - beta1),
            beta2: T::of(beta2),
            square_weight: T::of(1.0 - beta2),
            step_size: T::of(learning_rate / (1.0 - power(beta1, count))),
            square_correction: T::of((1.0 - power(beta2, count)).sqrt()),
            epsilon: T::of(epsilon),
        }
    }
}

/// The moments are the means of gradients and of their squares.
impl<T: Real> Rule<T, 2> for Adamw<T> {
    #[inline(always)]
    fn moved(&self, parameter: T, [mean, square]: [T; 2], gradient: T) -> (T, [T; 2]) {
        let mean = mean + self.mean_weight * (gradient - mean);
        let square = self.beta2 * square + self.square_weight * gradient * gradient;
        let divisor = square.square_root() / self.square_correction + self.epsilon;
        (parameter * self.keep - self.step_size * mean / divisor, [mean, square])
    }

    /// Of numbers up to 2^60 the mean stays below 2^62, the square below 2^121, the kept part of the parameter within
    /// 2^120, and, since the divisor is at least epsilon, what is taken away below 2^122. Before its division that is at
    /// most step size times mean: 2^122, as epsilon is at most 1.
    fn is_moderate(&self) -> bool {
        let most = T::of(f64::from(MODERATE_MAX));
        self.keep <= most && self.keep >= -most && self.step_size / self.epsilon <= most
    }
}

/// `base^exponent` by squaring: from the exponent alone, so that any step can be resumed, and by multiplications alone,
/// so that it has the same bits everywhere.
fn power(mut base: f64, mut exponent: u64) -> f64 {
    let mut product = 1.0;
    while exponent > 0 {
        if exponent % 2 == 1 {
            product *= base;
        }
        base *= base;
        exponent /= 2;
    }
    product
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        optimiser::{Change, Moving, NotFinite, update},
        spec::OptimiserSpec,
    };

    const SPEC: OptimiserSpec = OptimiserSpec::Adamw {
        learning_rate: 0.25,
        beta1: 0.5,
        beta2: 0.75,
        epsilon: 0.5,
        weight_decay: 0.5,
        clip_norm: 0.0,
    };

    #[test]
    fn powers_equal_repeated_multiplication() {
        let mut product = 1.0;
        for exponent in 0..2000 {
            assert!((power(0.999, exponent) - product).abs() < 1e-13, "{exponent}");
            product *= 0.999;
        }
        assert_eq!((power(0.0, 0), power(0.0, 3), power(0.5, 10)), (1.0, 0.0, 1.0 / 1024.0));
        assert_eq!(power(0.9, u64::MAX), 0.0);
    }

    /// In the first update the corrected means are the gradient and its square: everything is exact in binary.
    #[test]
    fn the_first_update_follows_the_definition() {
        let (mut parameters, mut moments, mut moderate) = (vec![8.0f32, -4.0], vec![0.0; 4], false);
        let moving = Moving { parameters: &mut parameters, moments: &mut moments, moderate: &mut moderate };
        let norm = update(&Change::of(&SPEC, 0.25, 0), moving, &[1.5, -2.0]).unwrap();
        assert_eq!(norm, 2.5);
        // m = g/2, v = g²/4, p · 7/8 - 1/4 · g / (|g| + 1/2).
        assert_eq!(moments, [0.75, -1.0, 0.5625, 1.0]);
        assert!((parameters[0] - (7.0 - 0.25 * 0.75)).abs() < 1e-6, "{parameters:?}");
        assert!((parameters[1] - (-3.5 + 0.25 * 0.8)).abs() < 1e-6, "{parameters:?}");
        assert!(moderate);
    }

    #[test]
    fn an_update_that_overflows_changes_nothing_and_names_the_element() {
        // The square overflows; a huge gradient is never moderate.
        for mut moderate in [false, true] {
            let (mut parameters, mut moments) = (vec![1.0f32; 3], vec![0.0; 6]);
            let moving =
                Moving { parameters: &mut parameters, moments: &mut moments, moderate: &mut moderate };
            let found = update(&Change::of(&SPEC, 0.25, 0), moving, &[1.0, 2.0, 1e25]);
            assert_eq!(found, Err(NotFinite::Update { index: 2 }));
            assert_eq!((parameters, moments), (vec![1.0; 3], vec![0.0; 6]));
        }
    }

    /// A tiny epsilon and a large rate make even moderate numbers dangerous: 2^60 · 1e30 / 1e-30.
    #[test]
    fn constants_that_are_not_moderate_make_it_look_first() {
        let spec = OptimiserSpec::Adamw {
            learning_rate: 1e30,
            beta1: 0.5,
            beta2: 0.0,
            epsilon: 1e-30,
            weight_decay: 0.0,
            clip_norm: 0.0,
        };
        let (mut parameters, mut moments, mut moderate) =
            (vec![1.0f32, 1.0], vec![1.0, 1e10, 0.0, 0.0], true);
        let before = (parameters.clone(), moments.clone());
        let moving = Moving { parameters: &mut parameters, moments: &mut moments, moderate: &mut moderate };
        assert_eq!(
            update(&Change::of(&spec, 1e30, 9), moving, &[1.0, 0.0]),
            Err(NotFinite::Update { index: 1 })
        );
        assert_eq!((parameters, moments), before);
    }
}
