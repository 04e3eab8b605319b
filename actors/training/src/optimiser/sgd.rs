//! Stochastic gradient descent with momentum as PyTorch defines it (no dampening, no Nesterov), after Sutskever, Martens,
//! Dahl and Hinton, "On the importance of initialization and momentum in deep learning" (2013):
//! `v = momentum · v + (g + decay · p)`, then `p = p - rate · v`.

use super::{MODERATE_MAX, rule::Rule};
use crate::numbers::Real;

/// The constants of one update, rounded to f32 once.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sgd<T> {
    learning_rate: T,
    momentum: T,
    weight_decay: T,
}

impl<T: Real> Sgd<T> {
    pub(super) fn new(learning_rate: f64, momentum: f64, weight_decay: f64) -> Self {
        Self {
            learning_rate: T::of(learning_rate),
            momentum: T::of(momentum),
            weight_decay: T::of(weight_decay),
        }
    }
}

/// The moment is the velocity.
impl<T: Real> Rule<T, 1> for Sgd<T> {
    #[inline(always)]
    fn moved(&self, parameter: T, [velocity]: [T; 1], gradient: T) -> (T, [T; 1]) {
        let velocity = self.momentum * velocity + (gradient + self.weight_decay * parameter);
        (parameter - self.learning_rate * velocity, [velocity])
    }

    /// Momentum and decay are at most 1, so of numbers up to 2^60 the velocity stays below 2^62, and the parameter below
    /// 2^60 + 2^122.
    fn is_moderate(&self) -> bool {
        self.learning_rate <= T::of(f64::from(MODERATE_MAX))
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        optimiser::{Change, Moving, NotFinite, update},
        spec::OptimiserSpec,
    };

    /// Every number is a multiple of a power of two, so that the expected values are exact: rate 1/2, momentum 1/2,
    /// decay 1/4.
    #[test]
    fn two_updates_follow_the_definition() {
        let spec =
            OptimiserSpec::Sgd { learning_rate: 0.5, momentum: 0.5, weight_decay: 0.25, clip_norm: 0.0 };
        let (mut parameters, mut velocities, mut moderate) = (vec![1.0f32, -2.0], vec![0.0, 0.0], false);
        let mut step = |index, gradient: &[f32]| {
            let moving =
                Moving { parameters: &mut parameters, moments: &mut velocities, moderate: &mut moderate };
            update(&Change::of(&spec, 0.5, index), moving, gradient).unwrap();
            (parameters.clone(), velocities.clone())
        };
        // v = g + p/4 = 1.25, 0; p = 1 - 0.625, -2.
        assert_eq!(step(0, &[1.0, 0.5]), (vec![0.375, -2.0], vec![1.25, 0.0]));
        // v = 0.625 + 0.09375, 0 + 1 - 0.5; p = 0.375 - v/2, -2 - v/2.
        assert_eq!(step(1, &[0.0, 1.0]), (vec![0.015625, -2.25], vec![0.71875, 0.5]));
    }

    #[test]
    fn an_update_that_overflows_changes_nothing_and_names_the_element() {
        let spec =
            OptimiserSpec::Sgd { learning_rate: 1.0, momentum: 0.5, weight_decay: 0.0, clip_norm: 0.0 };
        // Whatever was claimed of the state, a large gradient makes the update look before it writes.
        for mut moderate in [false, true] {
            let (mut parameters, mut velocities) = (vec![1.0, f32::MAX], vec![0.0, 0.0]);
            let moving =
                Moving { parameters: &mut parameters, moments: &mut velocities, moderate: &mut moderate };
            let found = update(&Change::of(&spec, 1.0, 0), moving, &[1.0, -f32::MAX]);
            assert_eq!(found, Err(NotFinite::Update { index: 1 }));
            assert_eq!((parameters, velocities), (vec![1.0, f32::MAX], vec![0.0, 0.0]));
        }
    }
}
