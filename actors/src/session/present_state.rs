//! The trainer's state between two changes, for the session to hold at once: the trainer itself answers only between
//! micro-batches, and a joiner must not wait for those.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use traind_averaging::Grid;
use traind_training::{FadingSnapshot, Session};

use super::captured_state::CapturedState;
use super::early_stopping::EarlyStopping;
use super::state::head;

/// Where the trainer shows its state.
#[derive(Clone, Debug, Default)]
pub(super) struct PresentState(Arc<Mutex<Option<Shown>>>);

#[derive(Debug)]
struct Shown {
    restored: u64,
    step: u64,
    head: Bytes,
    training: FadingSnapshot,
}

impl PresentState {
    /// Shows the state that follows from the one that request number `restored` set, 0 for the one it began with.
    pub(super) fn show(&self, restored: u64, grid: &Grid, stopping: EarlyStopping, session: &Session) {
        let (step, training) = (session.step(), session.fading_snapshot());
        *self.shown() = Some(Shown { restored, step, head: head(grid, stopping).into(), training });
    }

    /// The state is about to change.
    pub(super) fn hide(&self) {
        *self.shown() = None;
    }

    /// Holds the state after `step` steps, if it is there now.
    pub(super) fn hold(&self, restored: u64, step: u64) -> Option<CapturedState> {
        let shown = self.shown();
        let shown = shown.as_ref().filter(|shown| (shown.restored, shown.step) == (restored, step))?;
        Some(CapturedState::new(shown.head.clone(), shown.training.hold()?))
    }

    fn shown(&self) -> MutexGuard<'_, Option<Shown>> {
        // It is replaced as a whole: a panic elsewhere leaves it whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
