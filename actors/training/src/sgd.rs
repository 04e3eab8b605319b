//! Stochastic gradient descent with momentum as PyTorch defines it (no dampening, no Nesterov), after Sutskever, Martens,
//! Dahl and Hinton, "On the importance of initialization and momentum in deep learning" (2013):
//! `v = momentum · v + (g + decay · p)`, then `p = p - rate · v`.

use crate::spec::OptimiserSpec;

/// The constants, rounded to f32 once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sgd {
    learning_rate: f32,
    momentum: f32,
    weight_decay: f32,
}

impl Sgd {
    pub(crate) fn new(spec: &OptimiserSpec) -> Self {
        let OptimiserSpec::Sgd { learning_rate, momentum, weight_decay } = *spec;
        Self {
            learning_rate: learning_rate as f32,
            momentum: momentum as f32,
            weight_decay: weight_decay as f32,
        }
    }

    /// One update in place. Additions and multiplications in a fixed order, each rounded by itself (Rust never
    /// contracts them), so every processor gets the same bits.
    ///
    /// # Errors
    /// The index of the first element that would not be finite afterwards; then nothing has changed.
    pub(crate) fn update(
        &self,
        parameters: &mut [f32],
        velocities: &mut [f32],
        gradient: &[f32],
    ) -> Result<(), usize> {
        let elements = parameters.iter().zip(velocities.iter()).zip(gradient);
        for (index, ((parameter, velocity), gradient)) in elements.enumerate() {
            let (parameter, velocity) = self.moved(*parameter, *velocity, *gradient);
            if !parameter.is_finite() || !velocity.is_finite() {
                return Err(index);
            }
        }
        for ((parameter, velocity), gradient) in parameters.iter_mut().zip(velocities).zip(gradient) {
            (*parameter, *velocity) = self.moved(*parameter, *velocity, *gradient);
        }
        Ok(())
    }

    fn moved(&self, parameter: f32, velocity: f32, gradient: f32) -> (f32, f32) {
        let velocity = self.momentum * velocity + (gradient + self.weight_decay * parameter);
        (parameter - self.learning_rate * velocity, velocity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every number is a multiple of a power of two, so that the expected values are exact: rate 1/2, momentum 1/2,
    /// decay 1/4.
    #[test]
    fn two_updates_follow_the_definition() {
        let spec = OptimiserSpec::Sgd { learning_rate: 0.5, momentum: 0.5, weight_decay: 0.25 };
        let (mut parameters, mut velocities) = (vec![1.0, -2.0], vec![0.0, 0.0]);
        Sgd::new(&spec).update(&mut parameters, &mut velocities, &[1.0, 0.5]).unwrap();
        // v = g + p/4 = 1.25, 0; p = 1 - 0.625, -2.
        assert_eq!((velocities.as_slice(), parameters.as_slice()), (&[1.25, 0.0][..], &[0.375, -2.0][..]));
        Sgd::new(&spec).update(&mut parameters, &mut velocities, &[0.0, 1.0]).unwrap();
        // v = 0.625 + 0.09375, 0 + 1 - 0.5; p = 0.375 - v/2, -2 - v/2.
        assert_eq!(velocities, [0.71875, 0.5]);
        assert_eq!(parameters, [0.015625, -2.25]);
    }

    #[test]
    fn an_update_that_overflows_changes_nothing_and_names_the_element() {
        let spec = OptimiserSpec::Sgd { learning_rate: 1.0, momentum: 0.5, weight_decay: 0.0 };
        let (mut parameters, mut velocities) = (vec![1.0, f32::MAX], vec![0.0, 0.0]);
        assert_eq!(Sgd::new(&spec).update(&mut parameters, &mut velocities, &[1.0, -f32::MAX]), Err(1));
        assert_eq!((parameters, velocities), (vec![1.0, f32::MAX], vec![0.0, 0.0]));
    }
}
