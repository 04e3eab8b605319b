//! Self-attention with its projections: Vaswani et al., "Attention is all you need" (2017); key heads shared by several query heads
//! as in Ainslie et al., "GQA" (2023).

use std::sync::Arc;

use super::{
    Activation, Buffer, Layer, Pass,
    attention::{self, Heads},
    linear::{Columns, Linear},
    rotary::Rotary,
};
use crate::numbers::Real;

/// How an input becomes queries, keys and values.
pub(crate) enum Projections {
    /// One matrix for each, as in the Llama family.
    Apart([Linear; 3]),
    /// One for all three, side by side, as in GPT-2.
    Together(Linear),
}

impl Projections {
    /// Each projection and the column of a row at which its outputs begin.
    fn parts(&self) -> Vec<(&Linear, usize)> {
        let parts = match self {
            Self::Apart(parts) => parts.as_slice(),
            Self::Together(part) => std::slice::from_ref(part),
        };
        let mut first = 0;
        let place = |part: &Linear| {
            first += part.outputs;
            first - part.outputs
        };
        let places: Vec<usize> = parts.iter().map(place).collect();
        parts.iter().zip(places).collect()
    }
}

/// Attention over the sequences of a pass.
pub(crate) struct SelfAttention<T> {
    pub(crate) heads: Heads,
    pub(crate) projections: Projections,
    pub(crate) output: Linear,
    /// How queries and keys learn their positions, if by turning.
    pub(crate) rotary: Option<Arc<Rotary<T>>>,
}

impl<T: Real> SelfAttention<T> {
    fn turn(&self, pass: &Pass<'_, T>, rows: &mut [T], is_inverse: bool) {
        if let Some(rotary) = &self.rotary {
            let turned = self.heads.heads + self.heads.key_heads;
            rotary.turn(rows, self.heads.row(), turned, pass.sequences, is_inverse);
        }
    }
}

impl<T: Real> Layer<T> for SelfAttention<T> {
    fn forward(&self, pass: &mut Pass<'_, T>, input: Activation<T>) -> Activation<T> {
        let stride = self.heads.row();
        let tokens = input.len() / self.output.outputs;
        let mut rows = pass.pool.take(tokens * stride);
        for (projection, first) in self.projections.parts() {
            projection.apply(pass, &input, &mut rows, Columns { first, stride });
        }
        self.turn(pass, &mut rows, false);
        let mut mixed = pass.pool.take(tokens * self.heads.output());
        let mut normalisers = pass.pool.take(tokens * self.heads.heads);
        match &mut pass.cache {
            None => {
                attention::forward(
                    self.heads,
                    pass.sequences,
                    pass.pool,
                    &rows,
                    &mut mixed,
                    &mut normalisers,
                );
            }
            Some(cache) => {
                let first_query = cache.tokens();
                let all = cache.extend(&rows);
                attention::forward_more(self.heads, pass.pool, all, first_query, &mut mixed);
            }
        }
        let mut output = pass.pool.take(input.len());
        self.output.apply(pass, &mixed, &mut output, self.output.all());
        for saved in [input, Arc::new(rows), Arc::new(mixed), Arc::new(normalisers)] {
            pass.save_activation(&saved);
        }
        Arc::new(output)
    }

    fn backward(&self, pass: &mut Pass<'_, T>, gradient: &Buffer<T>) -> Buffer<T> {
        let [normalisers, mixed, rows, input] = std::array::from_fn(|_| pass.saved_activation());
        let stride = self.heads.row();
        self.output.weight_gradient(pass, &mixed, gradient, self.output.all(), false);
        let mut to_mixed = pass.pool.take(mixed.len());
        self.output.input_gradient(pass, gradient, self.output.all(), &mut to_mixed, false);
        let mut to_rows = pass.pool.take(rows.len());
        let outputs = (&mixed[..], &normalisers[..], &to_mixed[..]);
        attention::backward(self.heads, pass.sequences, pass.pool, &rows, outputs, &mut to_rows);
        drop((to_mixed, mixed, rows));
        self.turn(pass, &mut to_rows, true);
        let mut out = pass.pool.take(input.len());
        for (index, (projection, first)) in self.projections.parts().into_iter().enumerate() {
            let at = Columns { first, stride };
            projection.weight_gradient(pass, &input, &to_rows, at, false);
            projection.input_gradient(pass, &to_rows, at, &mut out, index > 0);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layers::{
        Sequences,
        gradient_check::{assert_gradients, numbers, run},
    };

    const WIDTH: usize = 6;

    fn linear(inputs: usize, outputs: usize, at: &mut usize, has_bias: bool, is_transposed: bool) -> Linear {
        let weight = *at..*at + inputs * outputs;
        *at = weight.end;
        let bias = has_bias.then(|| *at..*at + outputs);
        *at = bias.as_ref().map_or(*at, |bias| bias.end);
        Linear { inputs, outputs, weight, bias, is_transposed }
    }

    /// Two query heads share a key head, heads are turned; or GPT-2's form.
    fn layer(is_llama: bool, window: usize) -> (SelfAttention<f64>, usize) {
        let mut at = 0;
        if is_llama {
            let heads = Heads { heads: 4, key_heads: 2, dimension: 4, window };
            let mut part = |outputs| linear(WIDTH, outputs, &mut at, true, false);
            let projections = Projections::Apart([part(16), part(8), part(8)]);
            let output = linear(16, WIDTH, &mut at, false, false);
            let rotary = Some(Arc::new(Rotary::new(4, 100.0)));
            return (SelfAttention { heads, projections, output, rotary }, at);
        }
        let heads = Heads { heads: 2, key_heads: 2, dimension: 3, window };
        let projections = Projections::Together(linear(WIDTH, 18, &mut at, true, true));
        let output = linear(6, WIDTH, &mut at, true, true);
        (SelfAttention { heads, projections, output, rotary: None }, at)
    }

    #[test]
    fn gradients_equal_central_differences() {
        let starts = [0, 0, 0, 3, 3, 0, 1, 1, 1, 1];
        for (is_llama, window, starts) in [(true, 0, &starts[..]), (true, 2, &[]), (false, 0, &[])] {
            let (layer, parameters) = layer(is_llama, window);
            let sequences = Sequences { context: 5, starts, ..Sequences::default() };
            assert_gradients(&layer, &numbers(parameters, 1), &numbers(2 * 5 * WIDTH, 2), &sequences);
        }
    }

    /// From the definition, for one head: blocks, strides and masks are right when sequences are longer than a block.
    #[test]
    fn blocks_change_nothing_and_what_a_token_does_not_see_does_not_matter() {
        let (layer, parameters) = layer(true, 0);
        let parameters = numbers(parameters, 1);
        let sequences = Sequences { context: 150, ..Sequences::default() };
        let input = numbers(150 * WIDTH, 2);
        let whole = run(&layer, &parameters, &input, &sequences);
        let shorter = Sequences { context: 70, ..Sequences::default() };
        let part = run(&layer, &parameters, &input[..70 * WIDTH], &shorter);
        assert!(part.iter().zip(&whole).all(|(a, b)| (a - b).abs() < 1e-13));
        // A document that begins at 70 is what it would be alone.
        let starts: Vec<u32> = (0..150).map(|token| if token < 70 { 0 } else { 70 }).collect();
        let documents = Sequences { context: 150, starts: &starts, ..Sequences::default() };
        let both = run(&layer, &parameters, &input, &documents);
        let alone = Sequences { context: 80, ..Sequences::default() };
        let alone = run(&layer, &parameters, &input[70 * WIDTH..], &alone);
        let expected = part.iter().chain(&alone);
        assert!(expected.zip(&both).all(|(a, b)| (a - b).abs() < 1e-13));
        // A window sees what a sequence without what lies before it sees.
        let (windowed, _) = self::layer(true, 3);
        let last = run(&windowed, &parameters, &input, &sequences);
        let tail = Sequences { context: 3, ..Sequences::default() };
        let tail = run(&layer, &parameters, &input[147 * WIDTH..], &tail);
        assert!(tail[2 * WIDTH..].iter().zip(&last[149 * WIDTH..]).all(|(a, b)| (a - b).abs() < 1e-13));
    }
}
