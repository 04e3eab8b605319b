//! A model as a list of segments: an embedding, a block, a head.
//!
//! A segment goes forward from a detached input and backward from the gradient of its output. So gradients are final segment by
//! segment while the backward pass goes on, and a segment can be computed again from its input alone, which bounds memory
//! and changes no bit.

mod builder;
mod gpt2;
mod lenet;
mod llama;
mod mlp;
mod sequential;
#[cfg(test)]
mod tests;

use std::{ops::Range, sync::Arc};

pub(crate) use self::builder::Builder;
use crate::{
    batch::{Batch, TokenBatch},
    counter_rng::CounterRng,
    data_facts::DataFacts,
    layers::{
        Activation, Buffer, BufferPool, Head, KeyValueCache, Layer, Pass, RowScore, Sequences, Weights,
    },
    numbers::Real,
    parameter_layout::ParameterLayout,
    spec::ModelSpec,
    threads,
};

/// Some layers that go forward and backward together.
pub(crate) struct Segment<T> {
    layers: Vec<Box<dyn Layer<T>>>,
    /// Where its parameters lie: final once it has gone backward.
    parameters: Vec<Range<usize>>,
}

/// A model's layers, in f32 or f64.
pub(crate) struct Network<T: Real> {
    segments: Vec<Segment<T>>,
    head: Head,
    head_parameters: Vec<Range<usize>>,
    pool: BufferPool<T>,
    /// Whether a segment's activations are forgotten after its forward pass and computed again in its backward pass.
    recomputes: bool,
}

/// What a pass is made with beside batch and parameters.
pub(crate) struct Gradients<'a, T> {
    /// The flat gradient; every element is written.
    pub(crate) out: &'a mut [T],
    /// What dropout draws from.
    pub(crate) randomness: CounterRng,
    /// What the gradient is multiplied with.
    pub(crate) scale: f64,
    /// Called with the places in `out` that have become final, segment after segment, from the last to the first.
    pub(crate) finished: &'a mut (dyn FnMut(&[Range<usize>]) + Send),
}

impl<T: Real> Segment<T> {
    fn forward(&self, pass: &mut Pass<'_, T>, mut values: Activation<T>) -> Activation<T> {
        for layer in &self.layers {
            values = layer.forward(pass, values);
        }
        values
    }

    /// The gradient of its input, from that of its output; nothing for the first segment.
    fn backward(&self, pass: &mut Pass<'_, T>, mut gradient: Buffer<T>, is_first: bool) -> Buffer<T> {
        for (index, layer) in self.layers.iter().enumerate().rev() {
            pass.wants_input_gradient = !(is_first && index == 0);
            gradient = layer.backward(pass, &gradient);
        }
        gradient
    }
}

impl<T: Real> Network<T> {
    /// The layers of a model whose parameters lie as `layout` says.
    pub(crate) fn new(
        spec: &ModelSpec,
        data: &DataFacts,
        layout: &ParameterLayout,
        recomputes: bool,
    ) -> Self {
        let mut builder = Builder::new(layout);
        match spec {
            ModelSpec::Lenet => lenet::build(&mut builder, data.classes),
            ModelSpec::Mlp { hidden } => mlp::build(&mut builder, data.pixels(), hidden, data.classes),
            ModelSpec::Llama(spec) => llama::build(&mut builder, spec),
            ModelSpec::Gpt2(spec) => gpt2::build(&mut builder, spec),
            ModelSpec::Sequential(spec) => sequential::build(&mut builder, spec, data),
        }
        builder.finish(recomputes)
    }

    /// Memory of activations and gradients between layers.
    pub(crate) fn pool(&self) -> &BufferPool<T> {
        &self.pool
    }

    /// The scores of all rows of a batch, and in `gradients.out` the scale times the SUM over samples of d loss / d parameters.
    pub(crate) fn gradient(
        &self,
        weights: Weights<'_, T>,
        batch: &Batch,
        gradients: Gradients<'_, T>,
    ) -> Vec<RowScore> {
        threads::within_pool(|| self.gradient_here(weights, batch, gradients))
    }

    fn gradient_here(
        &self,
        weights: Weights<'_, T>,
        batch: &Batch,
        gradients: Gradients<'_, T>,
    ) -> Vec<RowScore> {
        let Gradients { out, randomness, finished, scale } = gradients;
        let mut pass = Pass::new(weights, out, &self.pool, sequences(batch));
        pass.randomness = Some(randomness);
        pass.is_recording = !self.recomputes;
        let mut inputs = Vec::new();
        let mut values = self.input(batch);
        for segment in &self.segments {
            if self.recomputes {
                inputs.push(values.clone());
            }
            values = segment.forward(&mut pass, values);
        }
        pass.wants_input_gradient = !self.segments.is_empty();
        let scale = scale / batch.rows_per_sample() as f64;
        let (scores, mut gradient) = self.head.loss_and_gradient(&mut pass, &values, batch.targets(), scale);
        drop(values);
        finished(&self.head_parameters);
        for (index, segment) in self.segments.iter().enumerate().rev() {
            if let Some(input) = inputs.pop() {
                pass.is_recording = true;
                drop(segment.forward(&mut pass, input));
            }
            gradient = segment.backward(&mut pass, gradient, index == 0);
            finished(&segment.parameters);
        }
        debug_assert!(pass.tape_is_empty());
        scores
    }

    /// The scores of all rows of a batch, without dropout.
    pub(crate) fn scores(&self, weights: Weights<'_, T>, batch: &Batch) -> Vec<RowScore> {
        threads::within_pool(|| {
            let mut pass = Pass::new(weights, &mut [], &self.pool, sequences(batch));
            let hidden = self.hidden(&mut pass, self.input(batch));
            self.head.scores(&pass, &hidden, batch.targets())
        })
    }

    /// The logits of all rows of a batch, without dropout.
    pub(crate) fn logits(&self, weights: Weights<'_, T>, batch: &Batch) -> Vec<T> {
        threads::within_pool(|| {
            let mut pass = Pass::new(weights, &mut [], &self.pool, sequences(batch));
            let hidden = self.hidden(&mut pass, self.input(batch));
            self.head.logits(&pass, &hidden).to_vec()
        })
    }

    /// The logits after the last of `tokens`, which follow those that `cache` has seen.
    pub(crate) fn next_logits(
        &self,
        weights: Weights<'_, T>,
        cache: &mut KeyValueCache<T>,
        tokens: &[u32],
    ) -> Vec<T> {
        let first_position = cache.tokens();
        let sequences = Sequences { tokens, context: tokens.len(), starts: &[], first_position };
        let mut pass = Pass::new(weights, &mut [], &self.pool, sequences);
        pass.cache = Some(cache);
        let hidden = self.hidden(&mut pass, Arc::new(self.pool.take(0)));
        let last = hidden.len() - self.head.projection.inputs;
        let logits = self.head.logits(&pass, &hidden[last..]).to_vec();
        cache.advance(tokens.len());
        logits
    }

    fn hidden(&self, pass: &mut Pass<'_, T>, input: Activation<T>) -> Activation<T> {
        self.segments.iter().fold(input, |values, segment| segment.forward(pass, values))
    }

    fn input(&self, batch: &Batch) -> Activation<T> {
        match batch {
            Batch::Tokens(_) => Arc::new(self.pool.take(0)),
            Batch::Images(images) => {
                let mut input = self.pool.take(images.pixels.len());
                input.iter_mut().zip(&images.pixels).for_each(|(to, from)| *to = T::of(f64::from(*from)));
                Arc::new(input)
            }
        }
    }
}

fn sequences(batch: &Batch) -> Sequences<'_> {
    match batch {
        Batch::Images(_) => Sequences::default(),
        Batch::Tokens(TokenBatch { context, tokens, starts, .. }) => {
            Sequences { tokens, context: *context, starts, first_position: 0 }
        }
    }
}
