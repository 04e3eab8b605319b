//! The state of a session as it was at one step.

use std::sync::Arc;

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

impl std::fmt::Debug for StateSnapshot {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let bytes: usize = self.pieces().iter().map(|piece| piece.len()).sum();
        formatter.debug_struct("StateSnapshot").field("bytes", &bytes).finish_non_exhaustive()
    }
}
