//! Lion: Chen et al., "Symbolic discovery of optimization algorithms" (2023): `p = p · (1 - rate · decay) - rate · sign(β₁ · m +
//! (1 - β₁) · g)`, then `m = β₂ · m + (1 - β₂) · g`.

use super::{MODERATE_MAX, rule::Rule};
use crate::numbers::Real;

/// The constants of one update, rounded once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lion<T> {
    learning_rate: T,
    /// 1 - rate · decay.
    keep: T,
    beta1: T,
    /// 1 - β₁.
    gradient_weight: T,
    beta2: T,
    /// 1 - β₂.
    mean_weight: T,
}

impl<T: Real> Lion<T> {
    pub(super) fn new(learning_rate: f64, (beta1, beta2): (f64, f64), weight_decay: f64) -> Self {
        Self {
            learning_rate: T::of(learning_rate),
            keep: T::of(1.0 - learning_rate * weight_decay),
            beta1: T::of(beta1),
            gradient_weight: T::of(1.0 - beta1),
            beta2: T::of(beta2),
            mean_weight: T::of(1.0 - beta2),
        }
    }
}

/// The moment is the mean of gradients.
impl<T: Real> Rule<T, 1> for Lion<T> {
    #[inline(always)]
    fn moved(&self, parameter: T, [mean]: [T; 1], gradient: T) -> (T, [T; 1]) {
        let direction = self.beta1 * mean + self.gradient_weight * gradient;
        let up = if direction > T::ZERO { self.learning_rate } else { T::ZERO };
        let change = if direction < T::ZERO { -self.learning_rate } else { up };
        (parameter * self.keep - change, [self.beta2 * mean + self.mean_weight * gradient])
    }

    /// The mean stays below twice the larger of mean and gradient, the parameter below 2^120 + 2^60.
    fn is_moderate(&self) -> bool {
        let most = T::of(f64::from(MODERATE_MAX));
        self.learning_rate <= most && self.keep <= most && self.keep >= -most
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        optimiser::{Change, Moving, update},
        spec::OptimiserSpec,
    };

    /// Every number is a multiple of a power of two, so that the expected values are exact: rate 1/2, decay 1/4.
    #[test]
    fn two_updates_follow_the_definition() {
        let spec = OptimiserSpec::Lion {
            learning_rate: 0.5,
            beta1: 0.5,
            beta2: 0.75,
            weight_decay: 0.25,
            clip_norm: 0.0,
        };
        let (mut parameters, mut means, mut moderate) = (vec![1.0f32, -2.0, 4.0], vec![0.0; 3], false);
        let mut step = |index, gradient: &[f32]| {
            let moving = Moving { parameters: &mut parameters, moments: &mut means, moderate: &mut moderate };
            update(&Change::of(&spec, 0.5, index), moving, gradient).unwrap();
            (parameters.clone(), means.clone())
        };
        // 7/8 of each, less half the sign; no sign at zero.
        assert_eq!(step(0, &[4.0, -8.0, 0.0]), (vec![0.375, -1.25, 3.5], vec![1.0, -2.0, 0.0]));
        // Directions (1 - 4) / 2 and (-2 + 8) / 2.
        let parameters = vec![0.375 * 0.875 + 0.5, -1.25 * 0.875 - 0.5, 3.5 * 0.875];
        assert_eq!(step(1, &[-4.0, 8.0, 0.0]), (parameters, vec![-0.25, 0.5, 0.0]));
    }
}
