//! An exponential moving average of the parameters beside any rule: Polyak and Juditsky, "Acceleration of stochastic approximation
//! by averaging" (1992), with exponential weights: `a = a + (1 - decay) · (p - a)` after each update. It is one more moment.

use super::rule::Rule;
use crate::numbers::Real;

/// A rule, and the average of what it gives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Averaged<T, R> {
    rule: R,
    /// 1 - decay.
    weight: T,
}

impl<T: Real, R> Averaged<T, R> {
    pub(super) fn new(rule: R, decay: f64) -> Self {
        Self { rule, weight: T::of(1.0 - decay) }
    }

    #[inline(always)]
    fn average(&self, average: T, parameter: T) -> T {
        average + self.weight * (parameter - average)
    }
}

/// Of a rule with one moment; an average of moderate numbers is moderate.
impl<T: Real, R: Rule<T, 1>> Rule<T, 2> for Averaged<T, R> {
    #[inline(always)]
    fn moved(&self, parameter: T, [moment, average]: [T; 2], gradient: T) -> (T, [T; 2]) {
        let (parameter, [moment]) = self.rule.moved(parameter, [moment], gradient);
        (parameter, [moment, self.average(average, parameter)])
    }

    fn is_moderate(&self) -> bool {
        self.rule.is_moderate()
    }
}

/// Of a rule with two moments.
impl<T: Real, R: Rule<T, 2>> Rule<T, 3> for Averaged<T, R> {
    #[inline(always)]
    fn moved(&self, parameter: T, [first, second, average]: [T; 3], gradient: T) -> (T, [T; 3]) {
        let (parameter, [first, second]) = self.rule.moved(parameter, [first, second], gradient);
        (parameter, [first, second, self.average(average, parameter)])
    }

    fn is_moderate(&self) -> bool {
        self.rule.is_moderate()
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        optimiser::{Change, Moving, update},
        spec::OptimiserSpec,
    };

    #[test]
    fn the_average_follows_the_parameters_and_changes_none() {
        for spec in [
            OptimiserSpec::Sgd { learning_rate: 0.5, momentum: 0.5, weight_decay: 0.0, clip_norm: 0.0 },
            OptimiserSpec::Lion {
                learning_rate: 0.5,
                beta1: 0.5,
                beta2: 0.75,
                weight_decay: 0.25,
                clip_norm: 0.0,
            },
            OptimiserSpec::Adamw {
                learning_rate: 0.25,
                beta1: 0.5,
                beta2: 0.75,
                epsilon: 0.5,
                weight_decay: 0.5,
                clip_norm: 0.0,
            },
        ] {
            let count = spec.moments();
            let (mut plain, mut plain_moments) = (vec![1.0f32, -2.0], vec![0.0; 2 * count]);
            let (mut parameters, mut moments) = (plain.clone(), vec![0.0; 2 * count]);
            moments.extend(&parameters);
            let mut average = parameters.clone();
            for step in 0..3 {
                let change = Change::of(&spec, 0.5, step);
                let gradient = [1.0, -0.5];
                let moving =
                    Moving { parameters: &mut plain, moments: &mut plain_moments, moderate: &mut false };
                update(&change, moving, &gradient).unwrap();
                let moving =
                    Moving { parameters: &mut parameters, moments: &mut moments, moderate: &mut false };
                update(&Change { average_decay: Some(0.75), ..change }, moving, &gradient).unwrap();
                average.iter_mut().zip(&plain).for_each(|(a, p)| *a += 0.25 * (*p - *a));
            }
            assert_eq!(parameters, plain);
            assert_eq!(moments[..2 * count], plain_moments);
            assert_eq!(moments[2 * count..], average);
        }
    }
}
