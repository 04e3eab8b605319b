//! The only clock of this crate: milliseconds since the daemon started, for machines that are told the time.

use std::time::{Duration, Instant};

use traind_protocol::ids::Millis;

/// A monotonic clock that starts at zero.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock that starts now.
    #[must_use]
    pub fn start() -> Self {
        Self { started: Instant::now() }
    }

    /// Milliseconds since the start.
    #[must_use]
    pub fn now(&self) -> Millis {
        Millis(u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    /// How long to wait for `deadline`, zero if it has passed.
    #[must_use]
    pub fn until(&self, deadline: Millis) -> Duration {
        Duration::from_millis(deadline.since(self.now()))
    }
}
