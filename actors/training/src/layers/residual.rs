//! A shortcut around layers, `y = x + layers(x)`: He, Zhang, Ren and Sun, "Deep residual learning for image recognition" (2016).

use std::sync::Arc;

use super::{Activation, Buffer, Layer, Pass};
use crate::numbers::{Real, for_rows, vectorised};

/// Layers whose output has the shape of their input, and a way around them.
pub(crate) struct Residual<T> {
    pub(crate) layers: Vec<Box<dyn Layer<T>>>,
}

impl<T: Real> Layer<T> for Residual<T> {
    fn forward(&self, pass: &mut Pass<'_, T>, input: Activation<T>) -> Activation<T> {
        let mut output = input.clone();
        for layer in &self.layers {
            output = layer.forward(pass, output);
        }
        let pool = pass.pool;
        let mut output = Arc::try_unwrap(output).unwrap_or_else(|shared| pool.copy(&shared));
        add(&mut output, &input);
        Arc::new(output)
    }

    fn backward(&self, pass: &mut Pass<'_, T>, gradient: &Buffer<T>) -> Buffer<T> {
        let mut layers = self.layers.iter().rev();
        let Some(last) = layers.next() else { return pass.pool.copy(gradient) };
        let wants_input_gradient = std::mem::replace(&mut pass.wants_input_gradient, true);
        let mut inner = last.backward(pass, gradient);
        for layer in layers {
            inner = layer.backward(pass, &inner);
        }
        pass.wants_input_gradient = wants_input_gradient;
        add(&mut inner, gradient);
        inner
    }
}

fn add<T: Real>(sum: &mut [T], values: &[T]) {
    assert_eq!(sum.len(), values.len(), "a shortcut around layers that keep the shape");
    for_rows(sum, 1, |first, sum| {
        vectorised(
            #[inline(always)]
            || {
                for (sum, value) in sum.iter_mut().zip(&values[first..]) {
                    *sum += *value;
                }
            },
        );
    });
}
