//! The caps on what a node sends in bulk: one on everything, one on chunks alone, and who goes first under the former.

use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::Notify;
use tokio::time::timeout;

use super::Throttle;
use crate::limits::BACKGROUND_YIELD_MAX;

/// Both caps of a node. Without a cap the operating system shares the links among the connections.
#[derive(Debug)]
pub(crate) struct Caps {
    /// On everything.
    pub(crate) all: Throttle,
    /// On background frames, within the other.
    pub(crate) background: Throttle,
    /// Urgent slices that wait for the cap.
    urgent_waiting: AtomicUsize,
    urgent_done: Notify,
}

impl Caps {
    /// Caps in bytes per second; `None`, as zero, is none.
    pub(crate) fn new(all: Option<u64>, background: Option<u64>) -> Self {
        Self {
            all: Throttle::new(all),
            background: Throttle::new(background),
            urgent_waiting: AtomicUsize::new(0),
            urgent_done: Notify::new(),
        }
    }

    /// Whether frames of this kind are held back by any of them.
    pub(crate) fn holds(&self, is_background: bool) -> bool {
        self.all.bytes_per_second_max().is_some()
            || (is_background && self.background.bytes_per_second_max().is_some())
    }

    /// Waits until `bytes` may be sent. Background waits while anything urgent does, but goes on slowly under a cap that
    /// urgent frames use up.
    pub(crate) async fn allow(&self, bytes: usize, is_background: bool) {
        if is_background {
            self.background.allow(bytes).await;
            // What comes of it does not matter: it has waited long enough.
            let _ = timeout(BACKGROUND_YIELD_MAX, self.no_urgent()).await;
            self.all.allow(bytes).await;
        } else {
            let _waiting = Waiting::new(self);
            self.all.allow(bytes).await;
        }
    }

    async fn no_urgent(&self) {
        loop {
            let done = self.urgent_done.notified();
            if self.urgent_waiting.load(Ordering::Acquire) == 0 {
                return;
            }
            done.await;
        }
    }
}

/// Something urgent waits while this lives; the wait may be dropped with its connection.
struct Waiting<'a>(&'a Caps);

impl<'a> Waiting<'a> {
    fn new(caps: &'a Caps) -> Self {
        caps.urgent_waiting.fetch_add(1, Ordering::AcqRel);
        Self(caps)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.0.urgent_waiting.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.0.urgent_done.notify_waiters();
        }
    }
}
