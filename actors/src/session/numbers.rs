//! The arithmetic of a step over the averaging crate, as the sync machine asks for it.

use std::cell::RefCell;

use bytes::Bytes;
use traind_averaging::{Accumulator, Grid, PartLayout, check_contribution, check_result};
use traind_protocol::numbers::Numbers;
use traind_training::EvaluationSpec;

use super::early_stopping::EarlyStopping;
use super::state;

/// Exact sums in block fixed point.
pub(super) struct ExactNumbers {
    layout: PartLayout,
    grid: Grid,
    stopping: EarlyStopping,
    /// What made the sums of this session worthless, if anything did.
    broken: RefCell<Option<String>>,
}

impl ExactNumbers {
    /// The arithmetic of a job whose gradient `layout` describes and whose tests `evaluation`, at step 0.
    #[must_use]
    pub(super) fn new(layout: PartLayout, evaluation: &EvaluationSpec) -> Self {
        let (grid, stopping) = (Grid::new(&layout), EarlyStopping::new(evaluation));
        Self { layout, grid, stopping, broken: RefCell::new(None) }
    }

    /// Back to the grid of step 0.
    pub(super) fn reset(&mut self) {
        self.grid = Grid::new(&self.layout);
        self.stopping.reset();
    }

    /// Why this session must not go on: contributions, each well formed, whose sum leaves the exact range. Gradients
    /// that large come from a lying or a broken member.
    #[must_use]
    pub(super) fn broken(&self) -> Option<String> {
        self.broken.borrow().clone()
    }

    fn accumulate(&self, part: u32, contributions: &[Bytes]) -> Accumulator {
        let mut accumulator = Accumulator::new(self.layout.range(part).len());
        for contribution in contributions {
            if let Err(error) = accumulator.add(contribution) {
                self.broken.replace(Some(format!("the sum of part {part} cannot be formed: {error}")));
            }
        }
        accumulator
    }
}

impl Numbers for ExactNumbers {
    fn is_contribution(&self, part: u32, bytes: &[u8]) -> bool {
        check_contribution(&self.layout, part, bytes).is_ok()
    }

    fn is_result(&self, part: u32, bytes: &[u8]) -> bool {
        check_result(&self.layout, part, bytes).is_ok()
    }

    fn sum(&self, part: u32, contributions: &[Bytes]) -> Bytes {
        match contributions {
            [only] => only.clone(),
            several => self.accumulate(part, several).encode().into(),
        }
    }

    fn fold(&self, part: u32, contributions: &[Bytes]) -> Bytes {
        self.grid.mean(part, &self.accumulate(part, contributions)).into()
    }

    fn advance(&mut self, results: &[Bytes]) {
        if let Some(head) = results.first().and_then(|first| check_result(&self.layout, 0, first).ok()) {
            self.stopping.advance(&head);
        }
        for (part, result) in (0u32..).zip(results) {
            if let Err(error) = self.grid.advance(part, result) {
                self.broken.replace(Some(format!("the result of part {part} cannot be used: {error}")));
            }
        }
    }

    fn restore(&mut self, bytes: &[u8]) -> bool {
        let Ok(parts) = state::split(bytes) else { return false };
        match Grid::from_bytes(&self.layout, parts.grid) {
            Ok(grid) if self.stopping.restore(parts.stopping) => {
                self.grid = grid;
                true
            }
            _ => false,
        }
    }

    fn has_ended(&self) -> bool {
        self.stopping.has_ended()
    }
}
