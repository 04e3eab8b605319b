//! The state of a job as it was at one step boundary.

use std::convert::Infallible;

use bytes::{Bytes, BytesMut};
use traind_averaging::Grid;
use traind_protocol::ids::Digest;
use traind_training::{Session, StateSnapshot};

use super::early_stopping::EarlyStopping;
use super::state::{digest_of_pieces, head};

/// Holds a state while training goes on: the trainer's next update is written beside it, so that neither taking nor cloning it
/// costs a copy. Its bytes are those of an encoded state; see [`super::state`].
#[derive(Clone, Debug)]
pub struct CapturedState {
    head: Bytes,
    training: StateSnapshot,
}

impl CapturedState {
    /// The state that these hold.
    #[must_use]
    pub(super) fn of(grid: &Grid, stopping: EarlyStopping, session: &Session) -> Self {
        Self { head: head(grid, stopping).into(), training: session.snapshot() }
    }

    /// Of what precedes the training state, and that.
    #[must_use]
    pub(super) fn new(head: Bytes, training: StateSnapshot) -> Self {
        Self { head, training }
    }

    /// Its bytes, where they lie, one piece after the other.
    #[must_use]
    pub fn pieces(&self) -> [&[u8]; 4] {
        let [header, parameters, moments] = self.training.pieces();
        [&self.head, header, parameters, moments]
    }

    /// How many bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.pieces().iter().map(|piece| piece.len()).sum()
    }

    /// A copy of them, in one piece.
    #[must_use]
    pub(super) fn to_bytes(&self) -> Bytes {
        let mut copy = BytesMut::with_capacity(self.bytes());
        self.pieces().iter().for_each(|piece| copy.extend_from_slice(piece));
        copy.freeze()
    }

    /// Its digest.
    #[must_use]
    pub fn digest(&self) -> Digest {
        let pieces = self.pieces().into_iter().map(Ok::<_, Infallible>);
        digest_of_pieces(pieces).unwrap_or_else(|never| match never {})
    }
}
