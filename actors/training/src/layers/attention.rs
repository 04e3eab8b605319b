//! Causal attention, `softmax(q · kᵀ / √d) · v`, a block of queries at a time. The scores of a block are computed, used and
//! forgotten, and computed again in the backward pass from the logarithm of their normaliser, after Dao, Fu, Ermon, Rudra and Ré,
//! "FlashAttention" (2022); so memory is linear in the context.

use super::{Sequences, buffer_pool::BufferPool};
use crate::numbers::{Matrix, MatrixMut, Real, dot, largest, multiply, run_all, sum_wide, vectorised};

/// Queries of a block: products large enough to be fast, and little beyond the diagonal that is computed in vain.
const QUERIES: usize = 64;

/// The heads of a row `[q of all heads, k of all key heads, v of all key heads]`. Successive query heads share a key head.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Heads {
    pub(crate) heads: usize,
    pub(crate) key_heads: usize,
    pub(crate) dimension: usize,
    /// A token attends to so many tokens, itself the last; 0 for all.
    pub(crate) window: usize,
}

impl Heads {
    /// Elements of a row of queries, keys and values.
    pub(crate) fn row(&self) -> usize {
        (self.heads + 2 * self.key_heads) * self.dimension
    }

    /// Elements of a row of outputs.
    pub(crate) fn output(&self) -> usize {
        self.heads * self.dimension
    }

    /// Where the queries, keys and values of a head begin in a row.
    fn places(&self, head: usize) -> [usize; 3] {
        let key_head = head / (self.heads / self.key_heads);
        [head, self.heads + key_head, self.heads + self.key_heads + key_head].map(|at| at * self.dimension)
    }

    fn scale<T: Real>(&self) -> T {
        T::of(1.0 / (self.dimension as f64).sqrt())
    }
}

/// One sequence: rows of queries, keys and values, and from which row on there are queries.
struct Sequence<'a, T> {
    heads: Heads,
    rows: &'a [T],
    first_query: usize,
    sample: usize,
    sequences: Sequences<'a>,
    alone: bool,
}

/// Some queries and the keys that any of them sees.
struct Block {
    queries: std::ops::Range<usize>,
    keys: std::ops::Range<usize>,
}

impl<T: Real> Sequence<'_, T> {
    fn keys(&self) -> usize {
        self.rows.len() / self.heads.row()
    }

    /// The first key that a query sees; its last is its own.
    fn first_key(&self, query: usize) -> usize {
        let start = if self.first_query == 0 { self.sequences.start(self.sample, query) } else { 0 };
        match self.heads.window {
            0 => start,
            window => start.max((query + 1).saturating_sub(window)),
        }
    }

    fn blocks(&self) -> Vec<Block> {
        let blocks = (self.first_query..self.keys()).step_by(QUERIES).map(|first| {
            let queries = first..(first + QUERIES).min(self.keys());
            let first_key = queries.clone().map(|query| self.first_key(query)).min().unwrap_or(0);
            Block { keys: first_key..queries.end, queries }
        });
        blocks.collect()
    }

    /// Rows of one head's queries, keys or values.
    fn matrix(&self, rows: &std::ops::Range<usize>, place: usize) -> Matrix<'_, T> {
        let stride = self.heads.row();
        Matrix::strided(&self.rows[rows.start * stride + place..], rows.len(), self.heads.dimension, stride)
    }

    fn scores(&self, head: usize, block: &Block, out: &mut [T]) {
        let [queries, keys, _] = self.heads.places(head);
        let out = MatrixMut::new(out, block.queries.len(), block.keys.len());
        let (queries, keys) = (self.matrix(&block.queries, queries), self.matrix(&block.keys, keys));
        multiply(out, queries, keys.transposed(), self.heads.scale(), false, self.alone);
    }

    /// The columns of a row of scores that count.
    fn seen(&self, query: usize, block: &Block) -> std::ops::Range<usize> {
        self.first_key(query) - block.keys.start..query + 1 - block.keys.start
    }

    /// `out` `[queries, output]`, `normalisers` `[heads, queries]`.
    fn forward(&self, pool: &BufferPool<T>, out: &mut [T], normalisers: &mut [T]) {
        let queries_all = self.keys() - self.first_query;
        for head in 0..self.heads.heads {
            let normalisers = &mut normalisers[head * queries_all..][..queries_all];
            for block in self.blocks() {
                let mut scores = pool.take(block.queries.len() * block.keys.len());
                self.scores(head, &block, &mut scores);
                vectorised(
                    #[inline(always)]
                    || {
                        for (query, row) in
                            block.queries.clone().zip(scores.chunks_exact_mut(block.keys.len()))
                        {
                            let normaliser = softmax(row, self.seen(query, &block));
                            normalisers[query - self.first_query] = normaliser;
                        }
                    },
                );
                let stride = self.heads.output();
                let at = (block.queries.start - self.first_query) * stride + head * self.heads.dimension;
                let out =
                    MatrixMut::strided(&mut out[at..], block.queries.len(), self.heads.dimension, stride);
                let scores = Matrix::new(&scores, block.queries.len(), block.keys.len());
                let values = self.matrix(&block.keys, self.heads.places(head)[2]);
                multiply(out, scores, values, T::ONE, false, self.alone);
            }
        }
    }

    /// `out`, as `rows`, becomes the gradient of queries, keys and values.
    fn backward(&self, pool: &BufferPool<T>, saved: Outputs<'_, T>, out: &mut [T]) {
        out.fill(T::ZERO);
        for head in 0..self.heads.heads {
            for block in self.blocks() {
                let elements = block.queries.len() * block.keys.len();
                let (mut shares, mut changes) = (pool.take(elements), pool.take(elements));
                self.scores(head, &block, &mut shares);
                let [_, _, values] = self.heads.places(head);
                let stride = self.heads.output();
                let at = block.queries.start * stride + head * self.heads.dimension;
                let gradient =
                    Matrix::strided(&saved.gradient[at..], block.queries.len(), self.heads.dimension, stride);
                let product = MatrixMut::new(&mut changes, block.queries.len(), block.keys.len());
                let values = self.matrix(&block.keys, values).transposed();
                multiply(product, gradient, values, T::ONE, false, self.alone);
                self.score_gradients(head, &block, &saved, &mut shares, &mut changes);
                self.collect(head, &block, gradient, (&shares, &changes), out);
            }
        }
    }

    /// Turns scores into shares, and the gradients of shares, `changes`, into those of scores: `share · (change - Σ share ·
    /// change)`, where the sum is that of output times gradient.
    fn score_gradients(
        &self,
        head: usize,
        block: &Block,
        saved: &Outputs<'_, T>,
        shares: &mut [T],
        changes: &mut [T],
    ) {
        let (keys, stride, dimension) = (block.keys.len(), self.heads.output(), self.heads.dimension);
        vectorised(
            #[inline(always)]
            || {
                let rows = shares.chunks_exact_mut(keys).zip(changes.chunks_exact_mut(keys));
                for (query, (shares, changes)) in block.queries.clone().zip(rows) {
                    let at = query * stride + head * dimension..query * stride + (head + 1) * dimension;
                    let mean = dot(&saved.output[at.clone()], &saved.gradient[at]);
                    let normaliser = saved.normalisers[head * self.keys() + query];
                    let seen = self.seen(query, block);
                    for outside in [0..seen.start, seen.end..keys] {
                        shares[outside.clone()].fill(T::ZERO);
                        changes[outside].fill(T::ZERO);
                    }
                    for (share, change) in shares[seen.clone()].iter_mut().zip(&mut changes[seen]) {
                        *share = (*share - normaliser).exponential();
                        *change = *share * (*change - mean);
                    }
                }
            },
        );
    }

    /// Adds what a block gives to the gradients of its queries, keys and values.
    fn collect(
        &self,
        head: usize,
        block: &Block,
        gradient: Matrix<'_, T>,
        (shares, changes): (&[T], &[T]),
        out: &mut [T],
    ) {
        let [queries, keys, values] = self.heads.places(head);
        let (stride, dimension, alone) = (self.heads.row(), self.heads.dimension, self.alone);
        let shares = Matrix::new(shares, block.queries.len(), block.keys.len());
        let changes = Matrix::new(changes, block.queries.len(), block.keys.len());
        let mut add = |rows: &std::ops::Range<usize>, place: usize, left, right, scale| {
            let out =
                MatrixMut::strided(&mut out[rows.start * stride + place..], rows.len(), dimension, stride);
            multiply(out, left, right, scale, true, alone);
        };
        let scale = self.heads.scale();
        add(&block.queries, queries, changes, self.matrix(&block.keys, keys), scale);
        add(&block.keys, keys, changes.transposed(), self.matrix(&block.queries, queries), scale);
        add(&block.keys, values, shares.transposed(), gradient, T::ONE);
    }
}

/// What the backward pass of one sequence needs beside queries, keys and values.
struct Outputs<'a, T> {
    output: &'a [T],
    normalisers: &'a [T],
    gradient: &'a [T],
}

/// Turns a row of scores into shares: zero outside of `seen`. The logarithm of the normaliser.
#[inline(always)]
fn softmax<T: Real>(row: &mut [T], seen: std::ops::Range<usize>) -> T {
    let (start, end) = (seen.start, seen.end);
    row[..start].fill(T::ZERO);
    row[end..].fill(T::ZERO);
    let row = &mut row[start..end];
    let maximum = largest(row);
    for value in row.iter_mut() {
        *value = (*value - maximum).exponential();
    }
    let sum = sum_wide(row);
    let share = T::of(1.0 / sum);
    for value in row.iter_mut() {
        *value *= share;
    }
    T::of(maximum.wide() + libm::log(sum))
}

/// Attention in each sequence of `rows`, `[tokens, row]`: `out` is `[tokens, output]`, and `normalisers`, as many as tokens
/// times heads, is what the backward pass needs.
pub(super) fn forward<T: Real>(
    heads: Heads,
    sequences: Sequences<'_>,
    pool: &BufferPool<T>,
    rows: &[T],
    out: &mut [T],
    normalisers: &mut [T],
) {
    let context = sequences.context;
    let samples = rows.len() / heads.row() / context;
    let out = out.chunks_exact_mut(context * heads.output());
    let parts = out.zip(normalisers.chunks_exact_mut(context * heads.heads)).enumerate();
    run_all(parts.collect(), |(sample, (out, normalisers))| {
        let rows = &rows[sample * context * heads.row()..][..context * heads.row()];
        let alone = samples > 1;
        let sequence = Sequence { heads, rows, first_query: 0, sample, sequences, alone };
        sequence.forward(pool, out, normalisers);
    });
}

/// As [`forward`] for one sequence whose rows before `first_query` were seen before.
pub(super) fn forward_more<T: Real>(
    heads: Heads,
    pool: &BufferPool<T>,
    rows: &[T],
    first_query: usize,
    out: &mut [T],
) {
    let sequences = Sequences::default();
    let sequence = Sequence { heads, rows, first_query, sample: 0, sequences, alone: false };
    let mut normalisers = pool.take((sequence.keys() - first_query) * heads.heads);
    sequence.forward(pool, out, &mut normalisers);
}

/// From the gradient of the output to that of `rows`.
pub(super) fn backward<T: Real>(
    heads: Heads,
    sequences: Sequences<'_>,
    pool: &BufferPool<T>,
    rows: &[T],
    (output, normalisers, gradient): (&[T], &[T], &[T]),
    out: &mut [T],
) {
    let context = sequences.context;
    let samples = rows.len() / heads.row() / context;
    let parts = out.chunks_exact_mut(context * heads.row()).enumerate();
    run_all(parts.collect(), |(sample, out)| {
        fn of<T>(values: &[T], sample: usize, elements: usize) -> &[T] {
            &values[sample * elements..][..elements]
        }
        let rows = of(rows, sample, context * heads.row());
        let alone = samples > 1;
        let sequence = Sequence { heads, rows, first_query: 0, sample, sequences, alone };
        let outputs = Outputs {
            output: of(output, sample, context * heads.output()),
            normalisers: of(normalisers, sample, context * heads.heads),
            gradient: of(gradient, sample, context * heads.output()),
        };
        sequence.backward(pool, outputs, out);
    });
}
