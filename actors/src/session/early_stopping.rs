//! The end of a job whose model does not get better: a function of the results that all members apply, so that all find
//! the same end at the same step, whoever was there.

use traind_averaging::ResultHeader;
use traind_training::EvaluationSpec;

/// Encoded length: the best loss and the tests since.
pub(super) const EARLY_STOPPING_BYTES: usize = 12;

/// What the tests of a job gave so far. A part of the state, in the digest too, but the same whatever the tests say in a job
/// that does not stop early.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct EarlyStopping {
    /// Tests without a better loss after which the job ends; 0: it does not.
    patience: u32,
    /// How much lower a loss has to be to be better, in nats.
    improvement_min: f64,
    /// The lowest loss, in nats; infinite before the first test.
    best: f64,
    /// Tests since.
    tests_since: u32,
}

impl EarlyStopping {
    /// Before any test.
    pub(super) fn new(spec: &EvaluationSpec) -> Self {
        let (patience, improvement_min) = (spec.patience, spec.improvement_min);
        Self { patience, improvement_min, best: f64::INFINITY, tests_since: 0 }
    }

    /// Back to before any test.
    pub(super) fn reset(&mut self) {
        (self.best, self.tests_since) = (f64::INFINITY, 0);
    }

    /// Takes note of the result of a step's first part, which tells the test that rode along with it.
    pub(super) fn advance(&mut self, head: &ResultHeader) {
        if self.patience == 0 || head.held_out_total == 0 {
            return;
        }
        if head.held_out_loss_mean < self.best - self.improvement_min {
            (self.best, self.tests_since) = (head.held_out_loss_mean, 0);
        } else {
            self.tests_since = self.tests_since.saturating_add(1);
        }
    }

    /// Whether the job ends with the present state.
    pub(super) fn has_ended(&self) -> bool {
        self.patience > 0 && self.tests_since >= self.patience
    }

    /// What was heard so far.
    pub(super) fn to_bytes(self) -> [u8; EARLY_STOPPING_BYTES] {
        let mut bytes = [0; EARLY_STOPPING_BYTES];
        let (best, tests) = bytes.split_at_mut(size_of::<f64>());
        best.copy_from_slice(&self.best.to_le_bytes());
        tests.copy_from_slice(&self.tests_since.to_le_bytes());
        bytes
    }

    /// Goes on from what [`Self::to_bytes`] gave. `false` if it is malformed; then nothing has changed.
    pub(super) fn restore(&mut self, bytes: [u8; EARLY_STOPPING_BYTES]) -> bool {
        let (best, tests) = bytes.split_at(size_of::<f64>());
        let (Ok(best), Ok(tests)) = (best.try_into(), tests.try_into()) else { return false };
        let best = f64::from_le_bytes(best);
        if best.is_nan() {
            return false;
        }
        (self.best, self.tests_since) = (best, u32::from_le_bytes(tests));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stopping(patience: u32, improvement_min: f64) -> EarlyStopping {
        EarlyStopping::new(&EvaluationSpec { every_steps: 1, patience, improvement_min })
    }

    fn head(loss: f64) -> ResultHeader {
        ResultHeader { held_out_total: 3, held_out_loss_mean: loss, ..ResultHeader::default() }
    }

    #[test]
    fn it_ends_after_so_many_tests_without_a_better_loss() {
        let mut stopping = stopping(2, 0.1);
        for (loss, ends) in
            [(3.0, false), (2.0, false), (1.95, false), (1.5, false), (1.45, false), (1.41, true)]
        {
            stopping.advance(&ResultHeader::default());
            stopping.advance(&head(loss));
            assert_eq!(stopping.has_ended(), ends, "{loss}");
        }
        let mut restored = self::stopping(2, 0.1);
        assert!(restored.restore(stopping.to_bytes()) && restored == stopping && restored.has_ended());
        assert!(!restored.restore([0xff; EARLY_STOPPING_BYTES]) && restored == stopping);
        restored.reset();
        assert_eq!(restored, self::stopping(2, 0.1));
    }

    #[test]
    fn without_patience_tests_leave_no_trace() {
        let mut stopping = stopping(0, 0.0);
        (0..9).for_each(|_| stopping.advance(&head(1.0)));
        assert_eq!(stopping, self::stopping(0, 0.0));
        assert!(!stopping.has_ended());
    }
}
