//! What attention has to remember of the tokens before, when tokens come one after another.

use crate::numbers::Real;

/// Rows of queries, keys and values of each attention layer, in the order in which the layers ask.
pub(crate) struct KeyValueCache<T> {
    layers: Vec<Vec<T>>,
    next: usize,
    tokens: usize,
}

impl<T: Real> KeyValueCache<T> {
    pub(crate) fn new() -> Self {
        Self { layers: Vec::new(), next: 0, tokens: 0 }
    }

    /// How many tokens were seen.
    pub(crate) fn tokens(&self) -> usize {
        self.tokens
    }

    /// Adds rows to the next layer's; all of them.
    pub(super) fn extend(&mut self, rows: &[T]) -> &[T] {
        if self.next == self.layers.len() {
            self.layers.push(Vec::new());
        }
        let layer = &mut self.layers[self.next];
        layer.extend_from_slice(rows);
        self.next += 1;
        layer
    }

    /// Ends a pass over so many tokens: the next one begins with the first layer again.
    pub(crate) fn advance(&mut self, tokens: usize) {
        self.next = 0;
        self.tokens += tokens;
    }
}
