//! The wish to stop, told once and seen by everyone: first with time to hand over work, then at once.

use tokio::sync::watch;

/// How urgent it is to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Urgency {
    None,
    Asked,
    AtOnce,
}

/// Tells that the daemon is to stop.
#[derive(Clone, Debug)]
pub struct StopHandle {
    sender: watch::Sender<Urgency>,
}

/// Learns that the daemon is to stop. Clones learn the same.
#[derive(Clone, Debug)]
pub struct StopSignal {
    receiver: watch::Receiver<Urgency>,
}

impl StopHandle {
    /// A handle and its signal. A signal whose handles are all gone counts as stopped, at once.
    #[must_use]
    pub fn new() -> (Self, StopSignal) {
        let (sender, receiver) = watch::channel(Urgency::None);
        (Self { sender }, StopSignal { receiver })
    }

    /// Asks everyone to stop, with time to hand over work. Takes nothing back that was more urgent.
    pub fn stop(&self) {
        self.raise(Urgency::Asked);
    }

    /// Asks everyone to stop in good order, but without handing anything over.
    pub fn stop_at_once(&self) {
        self.raise(Urgency::AtOnce);
    }

    fn raise(&self, urgency: Urgency) {
        self.sender.send_if_modified(|told| {
            let is_more = urgency > *told;
            *told = urgency.max(*told);
            is_more
        });
    }
}

impl StopSignal {
    /// Whether it was told to stop already, at once or not.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        self.urgency() >= Urgency::Asked
    }

    /// Whether it was told to stop at once already.
    #[must_use]
    pub fn is_at_once(&self) -> bool {
        self.urgency() == Urgency::AtOnce
    }

    /// Waits until it is told to stop, at once or not. Cancel-safe; runs on any executor.
    pub async fn stopped(&mut self) {
        self.reached(Urgency::Asked).await;
    }

    /// Waits until it is told to stop at once: whatever is being handed over is then dropped. Cancel-safe; runs on any
    /// executor.
    pub async fn at_once(&mut self) {
        self.reached(Urgency::AtOnce).await;
    }

    fn urgency(&self) -> Urgency {
        if self.receiver.has_changed().is_err() { Urgency::AtOnce } else { *self.receiver.borrow() }
    }

    async fn reached(&mut self, urgency: Urgency) {
        // An error means that no handle is left that could tell it later.
        let _ = self.receiver.wait_for(|told| *told >= urgency).await;
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

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
        orphan.at_once().await;
        assert!(orphan.is_stopped() && orphan.is_at_once());
    }

    #[tokio::test]
    async fn at_once_is_more_than_asked_and_is_never_taken_back() {
        let (handle, mut signal) = StopHandle::new();
        handle.stop();
        assert!(!signal.is_at_once());
        assert_eq!(signal.at_once().now_or_never(), None, "it was only asked");
        handle.stop_at_once();
        signal.at_once().await;
        handle.stop();
        assert!(signal.is_stopped() && signal.is_at_once());
        assert_eq!(signal.stopped().now_or_never(), Some(()));

        let (handle, mut signal) = StopHandle::new();
        handle.stop_at_once();
        signal.stopped().await;
        assert!(signal.is_at_once(), "at once includes asked");
    }
}
