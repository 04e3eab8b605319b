//! Why a council cannot be recovered.

use protobuf::ProtobufError;
use thiserror::Error;

use crate::wire::DecodeError;

/// Why a council cannot be recovered from what its disk holds.
#[derive(Debug, Error)]
pub enum CouncilError {
    /// A stored part does not decode.
    #[error("stored {what} of the council does not decode")]
    Decode {
        /// Which part.
        what: &'static str,
        /// What the decoder said.
        #[source]
        source: ProtobufError,
    },
    /// The stored parts contradict each other.
    #[error("stored council is not consistent: {what}")]
    Inconsistent {
        /// What does not fit.
        what: &'static str,
    },
    /// The replicated state refuses its own snapshot.
    #[error("restore the replicated state from the stored snapshot")]
    Restore(#[source] DecodeError),
    /// The consensus library refuses the stored state.
    #[error("start the consensus library from the stored state")]
    Start(#[source] Box<raft::Error>),
    /// The replay ended in a defect.
    #[error("replay of the stored council failed: {reason}")]
    Replay {
        /// What broke.
        reason: String,
    },
}
