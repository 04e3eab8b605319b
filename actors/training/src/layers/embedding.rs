//! Rows of a table, by token id.

use std::{ops::Range, sync::Arc};

use super::{Activation, Buffer, Layer, Pass};
use crate::numbers::{Real, for_rows, for_rows_indexed};

/// Columns of the table whose gradient one thread adds up.
const COLUMNS: usize = 64;

/// The first layer of a language model: its input is the pass's tokens.
#[derive(Clone, Debug)]
pub(crate) struct Embedding {
    pub(crate) width: usize,
    pub(crate) weight: Range<usize>,
    /// A second table, by position, as GPT-2 has.
    pub(crate) positions: Option<Range<usize>>,
    /// Whether the last projection has the same weight, whose gradient is there already when this layer's turn comes.
    pub(crate) is_tied: bool,
}

impl<T: Real> Layer<T> for Embedding {
    fn forward(&self, pass: &mut Pass<'_, T>, _input: Activation<T>) -> Activation<T> {
        let (sequences, width) = (pass.sequences, self.width);
        let weight = pass.weights.get(&self.weight, pass.pool);
        let positions = self.positions.as_ref().map(|range| pass.weights.get(range, pass.pool));
        let mut output = pass.pool.take(sequences.tokens.len() * width);
        for_rows(&mut output, width, |first, out| {
            for (token, out) in (first..).zip(out.chunks_exact_mut(width)) {
                out.copy_from_slice(&weight[sequences.tokens[token] as usize * width..][..width]);
                if let Some(positions) = &positions {
                    let row = &positions[sequences.position(token) * width..][..width];
                    out.iter_mut().zip(row).for_each(|(out, value)| *out += *value);
                }
            }
        });
        Arc::new(output)
    }

    fn backward(&self, pass: &mut Pass<'_, T>, gradient: &Buffer<T>) -> Buffer<T> {
        let (sequences, width, pool) = (pass.sequences, self.width, pass.pool);
        let rows: Vec<usize> = sequences.tokens.iter().map(|token| *token as usize).collect();
        scatter(pass.gradient_mut(&self.weight), width, &rows, gradient, !self.is_tied);
        if let Some(positions) = &self.positions {
            let rows: Vec<usize> = (0..rows.len()).map(|token| sequences.position(token)).collect();
            scatter(pass.gradient_mut(positions), width, &rows, gradient, true);
        }
        pool.take(0)
    }
}

/// Adds row i of `gradient` to row `rows[i]` of `out`, from the first to the last.
fn scatter<T: Real>(out: &mut [T], width: usize, rows: &[usize], gradient: &[T], is_new: bool) {
    if is_new {
        for_rows_indexed(out, width * COLUMNS, |_, out| out.fill(T::ZERO));
    }
    for (row, gradient) in rows.iter().zip(gradient.chunks_exact(width)) {
        let out = &mut out[row * width..][..width];
        out.iter_mut().zip(gradient).for_each(|(out, value)| *out += *value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{
        Sequences,
        gradient_check::{assert_gradients, numbers},
    };

    #[test]
    fn gradients_equal_central_differences() {
        let layer = Embedding { width: 3, weight: 0..15, positions: Some(15..27), is_tied: false };
        let sequences = Sequences { tokens: &[1, 4, 1, 0, 2, 1], context: 3, ..Sequences::default() };
        assert_gradients(&layer, &numbers(27, 1), &[], &sequences);
    }
}
