//! The queue in front of one bulk connection, bounded in frames and bytes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, watch};
use traind_protocol::wire::data::{DATA_HEADER_BYTES_MAX, DataFrame};

use super::Path;
use crate::handle::SendError;
use crate::limits::{BACKGROUND_QUEUE_BYTES_MAX, BULK_QUEUE_BYTES_MAX, BULK_QUEUE_FRAMES_MAX};

/// What the sending task must do with its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// Keep it. The number changes whenever it must be opened anew.
    Keep(u64),
    /// End.
    Close,
}

/// Frames for one peer. Takes some only while the path is open.
#[derive(Debug)]
pub(crate) struct Queue {
    state: Mutex<State>,
    arrived: Notify,
    background_room: Arc<Notify>,
    signal: watch::Sender<Signal>,
}

#[derive(Debug, Default)]
struct State {
    frames: VecDeque<DataFrame>,
    bytes: usize,
    /// Frames that go when there are no others.
    background: VecDeque<DataFrame>,
    background_bytes: usize,
    is_open: bool,
    dropped_frames: usize,
    full_resets: usize,
}

impl Queue {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::default(),
            arrived: Notify::new(),
            background_room: Arc::default(),
            signal: watch::Sender::new(Signal::Keep(0)),
        }
    }

    /// Tells when the connection must be dropped.
    pub(crate) fn signal(&self) -> watch::Receiver<Signal> {
        self.signal.subscribe()
    }

    /// The connection stands: frames are taken from now on.
    pub(crate) fn open(&self) {
        self.state().is_open = true;
    }

    /// The connection broke: what is queued is dropped, nothing is taken. Returns (frames dropped, resets because the
    /// queue was full) since the last call.
    pub(crate) fn interrupt(&self) -> (usize, usize) {
        self.clear();
        let mut state = self.state();
        (std::mem::take(&mut state.dropped_frames), std::mem::take(&mut state.full_resets))
    }

    /// The next frame. Cancel-safe.
    pub(crate) async fn next(&self) -> DataFrame {
        loop {
            if let Some(frame) = self.pop() {
                return frame;
            }
            // Keeps a permit if a frame came in between; there is one consumer.
            self.arrived.notified().await;
        }
    }

    /// The next frame, if there is one.
    pub(crate) fn pop(&self) -> Option<DataFrame> {
        let mut state = self.state();
        if let Some(frame) = state.frames.pop_front() {
            state.bytes -= bytes_of(&frame);
            return Some(frame);
        }
        let frame = state.background.pop_front()?;
        state.background_bytes -= bytes_of(&frame);
        drop(state);
        self.background_room.notify_waiters();
        Some(frame)
    }

    fn clear(&self) {
        self.state().clear();
        self.background_room.notify_waiters();
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn clear(&mut self) {
        self.is_open = false;
        self.dropped_frames += self.frames.len() + self.background.len();
        self.frames.clear();
        self.background.clear();
        (self.bytes, self.background_bytes) = (0, 0);
    }
}

impl Path for Queue {
    fn try_send(&self, frame: DataFrame) -> Result<(), SendError> {
        let (header_bytes, payload_bytes) = (frame.header.len(), frame.payload_bytes());
        if header_bytes > DATA_HEADER_BYTES_MAX {
            return Err(SendError::TooLong { bytes: header_bytes, bytes_max: DATA_HEADER_BYTES_MAX });
        }
        let payload_bytes_max = frame.kind.payload_bytes_max();
        if payload_bytes > payload_bytes_max {
            return Err(SendError::TooLong { bytes: payload_bytes, bytes_max: payload_bytes_max });
        }
        let mut state = self.state();
        if !state.is_open {
            return Err(SendError::NotConnected);
        }
        if frame.is_background() {
            let bytes = state.background_bytes.saturating_add(bytes_of(&frame));
            if bytes > BACKGROUND_QUEUE_BYTES_MAX && !state.background.is_empty() {
                return Err(SendError::Full);
            }
            state.background.push_back(frame);
            state.background_bytes = bytes;
            drop(state);
            self.arrived.notify_one();
            return Ok(());
        }
        let bytes = state.bytes.saturating_add(bytes_of(&frame));
        let has_room = state.frames.len() < BULK_QUEUE_FRAMES_MAX && bytes <= BULK_QUEUE_BYTES_MAX;
        if has_room || state.frames.is_empty() {
            state.frames.push_back(frame);
            state.bytes = bytes;
            drop(state);
            self.arrived.notify_one();
            return Ok(());
        }
        state.full_resets += 1;
        drop(state);
        self.reset();
        Err(SendError::Full)
    }

    fn background_room(&self) -> Arc<Notify> {
        Arc::clone(&self.background_room)
    }

    fn reset(&self) {
        self.clear();
        self.signal.send_if_modified(|signal| match signal {
            Signal::Keep(number) => {
                *number += 1;
                true
            }
            Signal::Close => false,
        });
    }

    fn close(&self) {
        self.clear();
        self.signal.send_replace(Signal::Close);
    }
}

fn bytes_of(frame: &DataFrame) -> usize {
    frame.header.len() + frame.payload_bytes()
}
