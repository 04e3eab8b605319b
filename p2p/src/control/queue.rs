//! The queue in front of a control stream, bounded in frames and in bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use tokio::sync::mpsc;

use crate::limits::{CONTROL_QUEUE_BYTES_MAX, CONTROL_QUEUE_FRAMES_MAX};

/// What a writer is told.
#[derive(Debug)]
pub(crate) enum Outgoing {
    /// Write an encoded frame.
    Frame(Bytes),
    /// The peer was accepted: send heartbeats from now on.
    Beat,
}

/// Why a frame was not queued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueError {
    /// The queue is full.
    Full,
    /// The stream is gone.
    Closed,
}

/// The sending end.
#[derive(Clone, Debug)]
pub(crate) struct ControlSender {
    outgoing: mpsc::Sender<Outgoing>,
    queued_bytes: Arc<AtomicUsize>,
}

/// The writer's end.
#[derive(Debug)]
pub(crate) struct ControlReceiver {
    outgoing: mpsc::Receiver<Outgoing>,
    queued_bytes: Arc<AtomicUsize>,
}

/// A new queue.
pub(crate) fn queue() -> (ControlSender, ControlReceiver) {
    let (sender, receiver) = mpsc::channel(CONTROL_QUEUE_FRAMES_MAX);
    let queued_bytes = Arc::new(AtomicUsize::new(0));
    let sending = ControlSender { outgoing: sender, queued_bytes: Arc::clone(&queued_bytes) };
    (sending, ControlReceiver { outgoing: receiver, queued_bytes })
}

impl ControlSender {
    /// Queues an encoded frame.
    pub(crate) fn try_send(&self, frame: Bytes) -> Result<(), QueueError> {
        let length = frame.len();
        let before = self.queued_bytes.fetch_add(length, Ordering::Relaxed);
        let queued = if before.saturating_add(length) > CONTROL_QUEUE_BYTES_MAX {
            Err(QueueError::Full)
        } else {
            self.push(Outgoing::Frame(frame))
        };
        if queued.is_err() {
            self.queued_bytes.fetch_sub(length, Ordering::Relaxed);
        }
        queued
    }

    /// Starts the heartbeats.
    pub(crate) fn beat(&self) -> Result<(), QueueError> {
        self.push(Outgoing::Beat)
    }

    fn push(&self, outgoing: Outgoing) -> Result<(), QueueError> {
        self.outgoing.try_send(outgoing).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => QueueError::Full,
            mpsc::error::TrySendError::Closed(_) => QueueError::Closed,
        })
    }
}

impl ControlReceiver {
    /// The next thing to do; `None` when all senders are gone. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Outgoing> {
        let outgoing = self.outgoing.recv().await;
        if let Some(Outgoing::Frame(frame)) = &outgoing {
            self.queued_bytes.fetch_sub(frame.len(), Ordering::Relaxed);
        }
        outgoing
    }

    /// Whether nothing waits, so that it is time to flush.
    pub(crate) fn is_empty(&self) -> bool {
        self.outgoing.is_empty()
    }
}
