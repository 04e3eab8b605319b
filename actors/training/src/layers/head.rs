//! The last projection and the loss in one: logits exist for a few rows at a time.

use super::{
    Buffer, Pass,
    cross_entropy::{RowScore, cross_entropy},
    linear::Linear,
};
use crate::numbers::Real;

/// Logits that exist at once: 8 MiB of f32 stay in the last cache, and rows are enough for what products copy of the weight to
/// count little.
const LOGITS: usize = 1 << 21;

/// From the last hidden values to the loss.
#[derive(Clone, Debug)]
pub(crate) struct Head {
    pub(crate) projection: Linear,
}

impl Head {
    fn rows_at_once(&self) -> usize {
        (LOGITS / self.projection.outputs).max(16)
    }

    /// The scores of all rows; the gradient of `scale` times the sum of their losses with respect to `hidden`, and to the
    /// projection in the pass.
    pub(crate) fn loss_and_gradient<T: Real>(
        &self,
        pass: &mut Pass<'_, T>,
        hidden: &[T],
        targets: &[u32],
        scale: f64,
    ) -> (Vec<RowScore>, Buffer<T>) {
        let width = self.projection.inputs;
        let mut scores = vec![RowScore::default(); targets.len()];
        let wanted = if pass.wants_input_gradient { hidden.len() } else { 0 };
        let mut gradient = pass.pool.take(wanted);
        for (chunk, targets) in targets.chunks(self.rows_at_once()).enumerate() {
            let first = chunk * self.rows_at_once();
            let rows = first..first + targets.len();
            let hidden = &hidden[rows.start * width..rows.end * width];
            let mut logits = pass.pool.take(targets.len() * self.projection.outputs);
            self.projection.apply(pass, hidden, &mut logits, self.projection.all());
            cross_entropy(&mut logits, targets, &mut scores[rows.clone()], Some(scale));
            let all = self.projection.all();
            self.projection.weight_gradient(pass, hidden, &logits, all, chunk > 0);
            if pass.wants_input_gradient {
                let out = &mut gradient[rows.start * width..rows.end * width];
                self.projection.input_gradient(pass, &logits, all, out, false);
            }
        }
        (scores, gradient)
    }

    /// The scores of all rows.
    pub(crate) fn scores<T: Real>(&self, pass: &Pass<'_, T>, hidden: &[T], targets: &[u32]) -> Vec<RowScore> {
        let mut scores = vec![RowScore::default(); targets.len()];
        let rows = self.rows_at_once();
        let hidden = hidden.chunks(rows * self.projection.inputs);
        for ((hidden, targets), scores) in hidden.zip(targets.chunks(rows)).zip(scores.chunks_mut(rows)) {
            let mut logits = self.logits(pass, hidden);
            cross_entropy(&mut logits, targets, scores, None);
        }
        scores
    }

    /// `[rows, classes]`.
    pub(crate) fn logits<T: Real>(&self, pass: &Pass<'_, T>, hidden: &[T]) -> Buffer<T> {
        let rows = hidden.len() / self.projection.inputs;
        let mut logits = pass.pool.take(rows * self.projection.outputs);
        self.projection.apply(pass, hidden, &mut logits, self.projection.all());
        logits
    }
}
