//! Softmax cross-entropy of rows of logits.

use crate::numbers::{Real, for_row_pairs, largest, sum_wide, vectorised};

/// A target that costs nothing and teaches nothing.
pub(crate) const IGNORED: u32 = u32::MAX;

/// What a row of logits is worth.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct RowScore {
    /// `-ln softmax(logits)[target]`, in nats; 0 where the target is ignored.
    pub(crate) loss: f64,
    /// Whether the first of the largest logits is the target's.
    pub(crate) is_correct: bool,
}

/// The score of each row of `logits`, `[rows, classes]`; with `scale` the logits become their gradients, of scale times the
/// sum of losses.
pub(super) fn cross_entropy<T: Real>(
    logits: &mut [T],
    targets: &[u32],
    scores: &mut [RowScore],
    scale: Option<f64>,
) {
    let classes = logits.len() / targets.len().max(1);
    for_row_pairs((logits, classes), (scores, 1), |first, logits, scores| {
        vectorised(
            #[inline(always)]
            || {
                let rows = logits.chunks_exact_mut(classes).zip(&targets[first..]);
                for ((row, target), score) in rows.zip(scores) {
                    *score = row_cross_entropy(row, *target, scale);
                }
            },
        );
    });
}

#[inline(always)]
fn row_cross_entropy<T: Real>(row: &mut [T], target: u32, scale: Option<f64>) -> RowScore {
    if target == IGNORED {
        if scale.is_some() {
            row.fill(T::ZERO);
        }
        return RowScore::default();
    }
    let target = target as usize;
    let wanted = row[target];
    let maximum = largest(row);
    let is_correct = wanted == maximum && !row[..target].contains(&maximum);
    for value in row.iter_mut() {
        *value = (*value - maximum).exponential();
    }
    let sum = sum_wide(row);
    let loss = libm::log(sum) - (wanted.wide() - maximum.wide());
    if let Some(scale) = scale {
        let share = T::of(scale / sum);
        for value in row.iter_mut() {
            *value *= share;
        }
        row[target] = row[target] - T::of(scale);
    }
    RowScore { loss, is_correct }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_logits_cost_the_logarithm_of_the_classes_and_large_ones_do_not_overflow() {
        let mut logits = [3f32, 3.0, 3.0, 3.0, 1e30, 0.0, 0.0, 0.0, 1.0, 2.0, 2.0, 1.0];
        let mut scores = [RowScore::default(); 3];
        cross_entropy(&mut logits, &[1, 0, 1], &mut scores, Some(0.5));
        assert!((scores[0].loss - 4f64.ln()).abs() < 1e-15);
        assert_eq!(scores[1], RowScore { loss: 0.0, is_correct: true });
        assert_eq!((scores[0].is_correct, scores[2].is_correct), (false, true));
        assert_eq!(logits[..8], [0.125, -0.375, 0.125, 0.125, 0.0, 0.0, 0.0, 0.0]);
    }

    #[test]
    fn logits_that_are_not_finite_give_a_loss_that_is_not() {
        for bad in [f32::NAN, f32::INFINITY] {
            let mut scores = [RowScore::default()];
            cross_entropy(&mut [bad, 1.0], &[1], &mut scores, None);
            assert!(!scores[0].loss.is_finite());
        }
    }

    #[test]
    fn ignored_targets_cost_nothing() {
        let (mut logits, mut scores) = ([1f64, 2.0, f64::NAN, 4.0], [RowScore::default(); 2]);
        cross_entropy(&mut logits, &[0, IGNORED], &mut scores, Some(1.0));
        assert_eq!((scores[1], &logits[2..]), (RowScore::default(), &[0.0, 0.0][..]));
    }
}
