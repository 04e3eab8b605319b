//! Puts a network together from the places of its parameters.

use std::ops::Range;

use super::{Network, Segment};
use crate::{
    layers::{BufferPool, Dropout, Head, Layer, LayerNorm, Linear, Residual, RmsNorm},
    numbers::Real,
    parameter_layout::ParameterLayout,
};

/// A network that is not whole yet.
pub(crate) struct Builder<'a, T> {
    layout: &'a ParameterLayout,
    segments: Vec<Segment<T>>,
    layers: Vec<Box<dyn Layer<T>>>,
    head: Option<Head>,
    head_parameters: Vec<Range<usize>>,
    /// Places that the layers of the current segment asked for.
    asked: Vec<Range<usize>>,
    dropouts: u32,
}

impl<'a, T: Real> Builder<'a, T> {
    pub(super) fn new(layout: &'a ParameterLayout) -> Self {
        Self {
            layout,
            segments: Vec::new(),
            layers: Vec::new(),
            head: None,
            head_parameters: Vec::new(),
            asked: Vec::new(),
            dropouts: 0,
        }
    }

    /// The place of a parameter, which becomes the current segment's.
    pub(super) fn place(&mut self, name: &str) -> Range<usize> {
        let range = self.layout.place(name).expect("a model asks for parameters that it declares").range();
        self.asked.push(range.clone());
        range
    }

    /// A fully connected layer called `name`, weight `[outputs, inputs]`.
    pub(super) fn linear(&mut self, name: &str, inputs: usize, outputs: usize, has_bias: bool) -> Linear {
        let weight = self.place(&format!("{name}.weight"));
        let bias = has_bias.then(|| self.place(&format!("{name}.bias")));
        Linear { inputs, outputs, weight, bias, is_transposed: false }
    }

    pub(super) fn rms_norm(&mut self, name: &str, width: usize, epsilon: f64) -> RmsNorm {
        RmsNorm { width, epsilon, weight: self.place(&format!("{name}.weight")) }
    }

    pub(super) fn layer_norm(&mut self, name: &str, width: usize, epsilon: f64) -> LayerNorm {
        let weight = self.place(&format!("{name}.weight"));
        LayerNorm { width, epsilon, weight, bias: self.place(&format!("{name}.bias")) }
    }

    /// Another dropout layer, with numbers of its own, unless it would drop nothing.
    fn dropout(&mut self, probability: f64) -> Option<Dropout> {
        self.dropouts += 1;
        (probability > 0.0).then_some(Dropout { probability, number: self.dropouts })
    }

    /// Adds a layer to the current segment.
    pub(super) fn add(&mut self, layer: impl Layer<T> + 'static) {
        self.layers.push(Box::new(layer));
    }

    /// Adds layers, and dropout after them, with a way around them.
    pub(super) fn add_residual(&mut self, mut layers: Vec<Box<dyn Layer<T>>>, dropout: f64) {
        if let Some(dropout) = self.dropout(dropout) {
            layers.push(Box::new(dropout));
        }
        self.add(Residual { layers });
    }

    /// Adds dropout to the current segment.
    pub(super) fn add_dropout(&mut self, probability: f64) {
        if let Some(dropout) = self.dropout(probability) {
            self.add(dropout);
        }
    }

    /// Ends the current segment.
    pub(super) fn end_segment(&mut self) {
        if !self.layers.is_empty() {
            let layers = std::mem::take(&mut self.layers);
            let parameters = merged(std::mem::take(&mut self.asked));
            self.segments.push(Segment { layers, parameters });
        }
    }

    /// The last projection, which ends the network. Its gradient may still grow if it is tied to the embedding.
    pub(super) fn head(&mut self, projection: Linear, is_tied: bool) {
        let asked = merged(std::mem::take(&mut self.asked));
        self.head_parameters = if is_tied { Vec::new() } else { asked };
        self.head = Some(Head { projection });
    }

    pub(super) fn finish(mut self, recomputes: bool) -> Network<T> {
        self.end_segment();
        Network {
            segments: self.segments,
            head: self.head.expect("every model has a head"),
            head_parameters: self.head_parameters,
            pool: BufferPool::default(),
            recomputes,
        }
    }
}

/// Ranges in ascending order, those that touch as one.
fn merged(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| range.start);
    let mut merged: Vec<Range<usize>> = Vec::new();
    for range in ranges {
        match merged.last_mut() {
            Some(last) if last.end == range.start => last.end = range.end,
            _ => merged.push(range),
        }
    }
    merged
}
