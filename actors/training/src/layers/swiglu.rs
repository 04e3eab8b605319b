//! The gated feed-forward layer of the Llama family, `down(silu(gate(x)) · up(x))`: Shazeer, "GLU variants improve
//! transformer" (2020).

use std::sync::Arc;

use super::{
    Activation, Buffer, Layer, Pass,
    linear::{Columns, Linear},
};
use crate::numbers::{Real, for_row_pairs, for_rows, vectorised};

/// Its three projections.
#[derive(Clone, Debug)]
pub(crate) struct SwiGlu {
    pub(crate) gate: Linear,
    pub(crate) up: Linear,
    pub(crate) down: Linear,
}

impl SwiGlu {
    /// Where gate and up lie side by side.
    fn columns(&self) -> [Columns; 2] {
        let width = self.gate.outputs;
        [0, width].map(|first| Columns { first, stride: 2 * width })
    }
}

impl<T: Real> Layer<T> for SwiGlu {
    fn forward(&self, pass: &mut Pass<'_, T>, input: Activation<T>) -> Activation<T> {
        let (width, rows) = (self.gate.outputs, input.len() / self.gate.inputs);
        let [gate_columns, up_columns] = self.columns();
        let mut both = pass.pool.take(rows * 2 * width);
        self.gate.apply(pass, &input, &mut both, gate_columns);
        self.up.apply(pass, &input, &mut both, up_columns);
        let mut hidden = pass.pool.take(rows * width);
        for_rows(&mut hidden, width, |first, out| {
            vectorised(
                #[inline(always)]
                || {
                    let both = both[first * 2 * width..].chunks_exact(2 * width);
                    for (out, both) in out.chunks_exact_mut(width).zip(both) {
                        let (gate, up) = both.split_at(width);
                        for ((out, gate), up) in out.iter_mut().zip(gate).zip(up) {
                            *out = *gate * sigmoid(*gate) * *up;
                        }
                    }
                },
            );
        });
        let mut output = pass.pool.take(input.len());
        self.down.apply(pass, &hidden, &mut output, self.down.all());
        // What was hidden is computed again rather than kept: it is cheap, and half as large as both together.
        pass.save_activation(&input);
        pass.save_activation(&Arc::new(both));
        Arc::new(output)
    }

    fn backward(&self, pass: &mut Pass<'_, T>, gradient: &Buffer<T>) -> Buffer<T> {
        let (both, input) = (pass.saved_activation(), pass.saved_activation());
        let pool = pass.pool;
        let mut both = Arc::try_unwrap(both).unwrap_or_else(|shared| pool.copy(&shared));
        let width = self.gate.outputs;
        let mut hidden = pool.take(both.len() / 2);
        self.down.input_gradient(pass, gradient, self.down.all(), &mut hidden, false);
        // In place: the gradient of what was hidden becomes what was hidden, gate and up become their gradients.
        for_row_pairs((&mut hidden, width), (&mut both, 2 * width), |_, hidden, both| {
            vectorised(
                #[inline(always)]
                || {
                    for (hidden, both) in hidden.chunks_exact_mut(width).zip(both.chunks_exact_mut(2 * width))
                    {
                        let (gate, up) = both.split_at_mut(width);
                        row_gradient(hidden, gate, up);
                    }
                },
            );
        });
        self.down.weight_gradient(pass, &hidden, gradient, self.down.all(), false);
        drop(hidden);
        let [gate_columns, up_columns] = self.columns();
        self.gate.weight_gradient(pass, &input, &both, gate_columns, false);
        self.up.weight_gradient(pass, &input, &both, up_columns, false);
        let mut out = pool.take(input.len());
        self.gate.input_gradient(pass, &both, gate_columns, &mut out, false);
        self.up.input_gradient(pass, &both, up_columns, &mut out, true);
        out
    }
}

/// Slices of one length, so that no index is checked and the loop becomes vector instructions.
#[inline(always)]
fn row_gradient<T: Real>(hidden: &mut [T], gate: &mut [T], up: &mut [T]) {
    let width = hidden.len();
    let (gate, up) = (&mut gate[..width], &mut up[..width]);
    for index in 0..width {
        let (change, g, u) = (hidden[index], gate[index], up[index]);
        let share = sigmoid(g);
        let silu = g * share;
        hidden[index] = silu * u;
        gate[index] = change * u * (share * (T::ONE + g * (T::ONE - share)));
        up[index] = change * silu;
    }
}

#[inline(always)]
fn sigmoid<T: Real>(x: T) -> T {
    T::ONE / (T::ONE + (-x).exponential())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::gradient_check::{assert_gradients, numbers};

    #[test]
    fn gradients_equal_central_differences() {
        let linear = |inputs, outputs, from: usize| Linear {
            inputs,
            outputs,
            weight: from..from + 15,
            bias: None,
            is_transposed: false,
        };
        let layer = SwiGlu { gate: linear(3, 5, 0), up: linear(3, 5, 15), down: linear(5, 3, 30) };
        assert_gradients(&layer, &numbers(45, 1), &numbers(12, 2), &Default::default());
    }
}
