//! One forward pass and the backward pass that belongs to it.

use std::{ops::Range, sync::Arc};

use super::{
    buffer_pool::{Buffer, BufferPool},
    key_value_cache::KeyValueCache,
    weights::Weights,
};
use crate::{counter_rng::CounterRng, numbers::Real};

/// What flows from layer to layer: shared, since a layer may keep its input until the backward pass.
pub(crate) type Activation<T> = Arc<Buffer<T>>;

/// What a layer keeps from the forward to the backward pass.
pub(crate) enum Saved<T: Real> {
    /// An input or output.
    Activation(Activation<T>),
    /// Places, e.g. of maxima.
    Places(Vec<u32>),
}

/// The token sequences of a pass, or nothing for images.
#[derive(Clone, Copy, Default)]
pub(crate) struct Sequences<'a> {
    /// The ids, sequence after sequence.
    pub(crate) tokens: &'a [u32],
    /// Tokens of a sequence.
    pub(crate) context: usize,
    /// For each token the place in its sequence at which its document begins; empty where a sequence is one document.
    /// A token attends to none before, and positions count from there.
    pub(crate) starts: &'a [u32],
    /// Position of the first token: above 0 where a cache holds those before.
    pub(crate) first_position: usize,
}

impl Sequences<'_> {
    /// Where the document of token `position` of sequence `sample` begins.
    pub(crate) fn start(&self, sample: usize, position: usize) -> usize {
        self.starts.get(sample * self.context + position).map_or(0, |start| *start as usize)
    }

    /// The position of a token in its document.
    pub(crate) fn position(&self, token: usize) -> usize {
        let (sample, position) = (token / self.context, token % self.context);
        self.first_position + position - self.start(sample, position)
    }
}

/// What the layers of one pass share.
pub(crate) struct Pass<'a, T: Real> {
    /// All parameters, flat.
    pub(crate) weights: Weights<'a, T>,
    /// Their gradients, flat: layers write their ranges in the backward pass. Empty in a pass without one.
    pub(crate) gradients: &'a mut [T],
    pub(crate) pool: &'a BufferPool<T>,
    pub(crate) sequences: Sequences<'a>,
    /// What dropout draws from; `None` outside of training.
    pub(crate) randomness: Option<CounterRng>,
    /// Keys and values of the tokens before, in decoding.
    pub(crate) cache: Option<&'a mut KeyValueCache<T>>,
    /// Whether layers save what their backward pass needs.
    pub(crate) is_recording: bool,
    /// Whether the layer that goes backward now has to give the gradient of its input: the first has not.
    pub(crate) wants_input_gradient: bool,
    tape: Vec<Saved<T>>,
}

impl<'a, T: Real> Pass<'a, T> {
    pub(crate) fn new(
        weights: Weights<'a, T>,
        gradients: &'a mut [T],
        pool: &'a BufferPool<T>,
        sequences: Sequences<'a>,
    ) -> Self {
        Self {
            weights,
            gradients,
            pool,
            sequences,
            randomness: None,
            cache: None,
            is_recording: false,
            wants_input_gradient: true,
            tape: Vec::new(),
        }
    }

    /// Keeps something for the backward pass, which asks for it in reverse order.
    pub(crate) fn save(&mut self, saved: Saved<T>) {
        if self.is_recording {
            self.tape.push(saved);
        }
    }

    pub(crate) fn save_activation(&mut self, activation: &Activation<T>) {
        if self.is_recording {
            self.tape.push(Saved::Activation(activation.clone()));
        }
    }

    /// The activation that was saved last.
    pub(crate) fn saved_activation(&mut self) -> Activation<T> {
        match self.tape.pop() {
            Some(Saved::Activation(activation)) => activation,
            _ => panic!("a backward pass asks for what its forward pass saved"),
        }
    }

    /// The places that were saved last.
    pub(crate) fn saved_places(&mut self) -> Vec<u32> {
        match self.tape.pop() {
            Some(Saved::Places(places)) => places,
            _ => panic!("a backward pass asks for what its forward pass saved"),
        }
    }

    /// Whether everything that was saved was asked for.
    pub(crate) fn tape_is_empty(&self) -> bool {
        self.tape.is_empty()
    }

    pub(crate) fn gradient_mut(&mut self, range: &Range<usize>) -> &mut [T] {
        &mut self.gradients[range.clone()]
    }
}
