//! The wish to stop, told once and seen by everyone.

use tokio::sync::watch;

/// Tells that the daemon is to stop.
#[derive(Clone, Debug)]
pub struct StopHandle {
    sender: watch::Sender<bool>,
}

/// Learns that the daemon is to stop. Clones learn the same.
#[derive(Clone, Debug)]
pub struct StopSignal {
    receiver: watch::Receiver<bool>,
}

impl StopHandle {
    /// A handle and its signal. A signal whose handles are all gone counts as stopped.
    #[must_use]
    pub fn new() -> (Self, StopSignal) {
        let (sender, receiver) = watch::channel(false);
        (Self { sender }, StopSignal { receiver })
    }

    /// Asks everyone to stop.
    pub fn stop(&self) {
        self.sender.send_replace(true);
    }
}

impl StopSignal {
    /// Whether it was told already.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.receiver.borrow() || self.receiver.has_changed().is_err()
    }

    /// Waits until it is told. Cancel-safe; runs on any executor.
    pub async fn stopped(&mut self) {
        // An error means that no handle is left that could tell it later.
        let _ = self.receiver.wait_for(|stopped| *stopped).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_clone_learns_it_and_a_lost_handle_counts() {
        let (handle, signal) = StopHandle::new();
        let mut clone = signal.clone();
        assert!(!signal.is_stopped());
        handle.stop();
        clone.stopped().await;
        assert!(signal.is_stopped());

        let (handle, mut orphan) = StopHandle::new();
        drop(handle);
        orphan.stopped().await;
        assert!(orphan.is_stopped());
    }
}
