//! The state of a session as it was at one step.

use std::sync::{Arc, Weak};

use crate::{
    shared_vectors::Vectors,
    state::{HEADER_BYTES, State},
};

/// Holds the state of one step, whatever the session does afterwards, at the cost of a pointer: the session's next update is
/// written beside it. Its bytes are those of [`Session::state`](crate::Session::state).
#[derive(Clone)]
pub struct StateSnapshot {
    header: [u8; HEADER_BYTES],
    vectors: Arc<Vectors>,
}

impl StateSnapshot {
    pub(crate) fn of(state: &State) -> Self {
        Self { header: state.header(), vectors: state.vectors.share() }
    }

    /// The bytes, where they lie: header, parameters, moments.
    #[must_use]
    pub fn pieces(&self) -> [&[u8]; 3] {
        let Vectors { parameters, moments } = &*self.vectors;
        [&self.header, bytemuck::cast_slice(parameters), bytemuck::cast_slice(moments)]
    }
}

/// A state that can be held for as long as the session has not changed it, by other threads too. It holds nothing itself.
#[derive(Clone)]
pub struct FadingSnapshot {
    header: [u8; HEADER_BYTES],
    vectors: Weak<Vectors>,
}

impl FadingSnapshot {
    pub(crate) fn of(state: &State) -> Self {
        Self { header: state.header(), vectors: Arc::downgrade(&state.vectors.share()) }
    }

    /// Holds the state, if it is still there. While one of these exists the session's next update is written beside the state even if
    /// nobody holds it: drop it before.
    #[must_use]
    pub fn hold(&self) -> Option<StateSnapshot> {
        Some(StateSnapshot { header: self.header, vectors: self.vectors.upgrade()? })
    }
}

impl std::fmt::Debug for FadingSnapshot {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("FadingSnapshot").finish_non_exhaustive()
    }
}

impl std::fmt::Debug for StateSnapshot {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes: usize = self.pieces().iter().map(|piece| piece.len()).sum();
        formatter.debug_struct("StateSnapshot").field("bytes", &bytes).finish_non_exhaustive()
    }
}
