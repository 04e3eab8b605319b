//! The fully connected layer, `y = x · weightᵀ + bias`.

use std::{ops::Range, sync::Arc};

use super::{Activation, Buffer, Layer, Pass};
use crate::numbers::{Matrix, MatrixMut, Real, column_sums, for_rows, multiply, vectorised};

/// A weight and perhaps a bias, as places in the flat vector.
#[derive(Clone, Debug)]
pub(crate) struct Linear {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    pub(crate) weight: Range<usize>,
    pub(crate) bias: Option<Range<usize>>,
    /// Whether the weight lies as `[inputs, outputs]`, as GPT-2's does, instead of `[outputs, inputs]`.
    pub(crate) is_transposed: bool,
}

/// Columns of a wider buffer: where they begin and how far rows are apart.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Columns {
    pub(crate) first: usize,
    pub(crate) stride: usize,
}

impl Linear {
    /// Writes the outputs for `input`, `[rows, inputs]`, to columns of `out`.
    pub(crate) fn apply<T: Real>(&self, pass: &Pass<'_, T>, input: &[T], out: &mut [T], at: Columns) {
        let rows = input.len() / self.inputs;
        let weight = pass.weights.get(&self.weight, pass.pool);
        let product = MatrixMut::strided(&mut out[at.first..], rows, self.outputs, at.stride);
        multiply(
            product,
            Matrix::new(input, rows, self.inputs),
            self.forwards(&weight),
            T::ONE,
            false,
            false,
        );
        if let Some(bias) = &self.bias {
            let bias = pass.weights.get(bias, pass.pool);
            for_rows(out, at.stride, |_, rows| {
                vectorised(
                    #[inline(always)]
                    || {
                        for row in rows.chunks_exact_mut(at.stride) {
                            for (value, bias) in row[at.first..].iter_mut().zip(&*bias) {
                                *value += *bias;
                            }
                        }
                    },
                );
            });
        }
    }

    /// Writes the gradients of weight and bias from the input and the gradient of the output, in columns of `gradient`.
    pub(crate) fn weight_gradient<T: Real>(
        &self,
        pass: &mut Pass<'_, T>,
        input: &[T],
        gradient: &[T],
        at: Columns,
        add: bool,
    ) {
        let rows = input.len() / self.inputs;
        let input = Matrix::new(input, rows, self.inputs);
        let output = Matrix::strided(&gradient[at.first..], rows, self.outputs, at.stride);
        let out = pass.gradient_mut(&self.weight);
        if self.is_transposed {
            let out = MatrixMut::new(out, self.inputs, self.outputs);
            multiply(out, input.transposed(), output, T::ONE, add, false);
        } else {
            let out = MatrixMut::new(out, self.outputs, self.inputs);
            multiply(out, output.transposed(), input, T::ONE, add, false);
        }
        if let Some(bias) = &self.bias {
            column_sums(pass.gradient_mut(bias), rows, add, |row, column, out| {
                out.copy_from_slice(&gradient[row * at.stride + at.first + column..][..out.len()]);
            });
        }
    }

    /// Writes or adds the gradient of the input, `[rows, inputs]`.
    pub(crate) fn input_gradient<T: Real>(
        &self,
        pass: &Pass<'_, T>,
        gradient: &[T],
        at: Columns,
        out: &mut [T],
        add: bool,
    ) {
        let rows = out.len() / self.inputs;
        let weight = pass.weights.get(&self.weight, pass.pool);
        let gradient = Matrix::strided(&gradient[at.first..], rows, self.outputs, at.stride);
        let out = MatrixMut::new(out, rows, self.inputs);
        multiply(out, gradient, self.forwards(&weight).transposed(), T::ONE, add, false);
    }

    /// The weight as `[inputs, outputs]`.
    fn forwards<'a, T>(&self, weight: &'a [T]) -> Matrix<'a, T> {
        if self.is_transposed {
            Matrix::new(weight, self.inputs, self.outputs)
        } else {
            Matrix::new(weight, self.outputs, self.inputs).transposed()
        }
    }

    /// All columns of a buffer that holds nothing else.
    pub(crate) fn all(&self) -> Columns {
        Columns { first: 0, stride: self.outputs }
    }
}

impl<T: Real> Layer<T> for Linear {
    fn forward(&self, pass: &mut Pass<'_, T>, input: Activation<T>) -> Activation<T> {
        let mut output = pass.pool.take(input.len() / self.inputs * self.outputs);
        self.apply(pass, &input, &mut output, self.all());
        pass.save_activation(&input);
        Arc::new(output)
    }

    fn backward(&self, pass: &mut Pass<'_, T>, gradient: &Buffer<T>) -> Buffer<T> {
        let input = pass.saved_activation();
        self.weight_gradient(pass, &input, gradient, self.all(), false);
        if !pass.wants_input_gradient {
            return pass.pool.take(0);
        }
        let mut out = pass.pool.take(input.len());
        self.input_gradient(pass, gradient, self.all(), &mut out, false);
        out
    }
}
