//! How a part of the daemon says that the process cannot go on. The process then ends with the reason and comes back
//! as a new life, which is the only safe way for a node that lost a part of its state.

use tokio::sync::mpsc;

use crate::session::chain_of;

/// One reason is enough to stop.
const FATAL_QUEUE_MAX: usize = 1;

/// Raises what ends the process.
#[derive(Clone, Debug)]
pub struct Fatal {
    reasons: mpsc::Sender<String>,
}

impl Fatal {
    /// The raising side, and the one that the daemon waits on.
    #[must_use]
    pub fn channel() -> (Self, mpsc::Receiver<String>) {
        let (reasons, raised) = mpsc::channel(FATAL_QUEUE_MAX);
        (Self { reasons }, raised)
    }

    /// Says that the process cannot go on. The first reason counts; later ones are only logged.
    pub fn raise(&self, doing: &str, error: &dyn std::error::Error) {
        let reason = format!("{doing}: {}", chain_of(error));
        tracing::error!(reason, "cannot go on");
        // A full queue means that the process is stopping already.
        let _ = self.reasons.try_send(reason);
    }
}
