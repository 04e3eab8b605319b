//! What a fetch knows of one source.

use std::collections::BTreeMap;

use super::limits::{IN_FLIGHT_CHUNKS_MAX, IN_FLIGHT_CHUNKS_MIN, IN_FLIGHT_MS, RATE_PERIOD_MS, STUCK_MS};
use crate::ids::Millis;
use crate::index_set::IndexSet;

/// A chunk that was asked of a source.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    /// Number of the request: a source answers in this order.
    pub(super) order: u64,
    /// Length of the chunk, bytes.
    pub(super) bytes: u32,
    /// Of these, what has come.
    pub(super) received: u32,
}

/// One source.
#[derive(Clone, Debug, Default)]
pub(super) struct Source {
    pub(super) is_connected: bool,
    /// It sent bytes that are not what their name says.
    pub(super) is_distrusted: bool,
    /// Where it was named for single chunks only: those.
    pub(super) holds: Option<IndexSet>,
    /// Chunks that it is not asked for before a time.
    pub(super) deferred: BTreeMap<u32, Millis>,
    /// It is asked for nothing before this.
    pub(super) busy_until: Millis,
    pub(super) in_flight: BTreeMap<u32, Asked>,
    pub(super) chunks: u32,
    /// Bytes per second; zero while unknown.
    pub(super) rate: u64,
    /// It was stuck: one chunk shows whether it still is.
    on_probation: bool,
    last_word: Millis,
    period: (Millis, u64),
}

impl Source {
    /// A connected node that was named for single chunks.
    pub(super) fn named() -> Self {
        Self { is_connected: true, holds: Some(IndexSet::new()), ..Self::default() }
    }

    pub(super) fn is_usable(&self) -> bool {
        self.is_connected && !self.is_distrusted
    }

    /// Whether it may be asked for `chunk` now.
    pub(super) fn may_give(&self, now: Millis, chunk: u32) -> bool {
        self.is_usable()
            && now >= self.busy_until
            && !self.in_flight.contains_key(&chunk)
            && self.holds.as_ref().is_none_or(|holds| holds.contains(chunk))
            && self.deferred.get(&chunk).is_none_or(|until| now >= *until)
    }

    /// Whether it can be expected to have `chunk` at some time.
    pub(super) fn may_have(&self, chunk: u32) -> bool {
        self.is_usable() && self.holds.as_ref().is_none_or(|holds| holds.contains(chunk))
    }

    /// Whether it has room for another request.
    pub(super) fn has_room(&self, now: Millis) -> bool {
        if !self.is_usable() || now < self.busy_until {
            return false;
        }
        let (least, most) =
            if self.on_probation { (1, 1) } else { (IN_FLIGHT_CHUNKS_MIN, IN_FLIGHT_CHUNKS_MAX) };
        let count = self.in_flight.len();
        count < least || (count < most && self.bytes_to_come() < self.rate * IN_FLIGHT_MS / 1000)
    }

    pub(super) fn ask(&mut self, now: Millis, chunk: u32, order: u64, bytes: u32) {
        if self.in_flight.is_empty() {
            (self.last_word, self.period) = (now, (now, 0));
        }
        self.deferred.remove(&chunk);
        self.in_flight.insert(chunk, Asked { order, bytes, received: 0 });
    }

    /// Bytes of `chunk` came.
    pub(super) fn progressed(&mut self, now: Millis, chunk: u32, bytes: u32) {
        let Some(asked) = self.in_flight.get_mut(&chunk) else { return };
        asked.received = asked.received.saturating_add(bytes).min(asked.bytes);
        self.last_word = now;
        self.on_probation = false;
        self.period.1 += u64::from(bytes);
        let elapsed_ms = now.since(self.period.0);
        if elapsed_ms >= RATE_PERIOD_MS {
            let measured = self.period.1 * 1000 / elapsed_ms;
            // The mean of the last few periods, the latest counting most.
            self.rate = if self.rate == 0 { measured } else { (self.rate + measured) / 2 };
            self.period = (now, 0);
        }
    }

    /// Whether it was asked and has not sent anything for so long. What has come whole is ours to check.
    pub(super) fn is_stuck(&self, now: Millis, after_ms: u64) -> bool {
        self.in_flight.values().any(|asked| asked.received < asked.bytes)
            && now.since(self.last_word) >= after_ms
    }

    /// Nothing is expected of it any more; says what was. It is tried again with a single chunk.
    pub(super) fn give_up(&mut self, now: Millis) -> Vec<u32> {
        self.busy_until = now.plus(STUCK_MS);
        self.on_probation = true;
        std::mem::take(&mut self.in_flight).into_keys().collect()
    }

    /// Bytes asked for and not here.
    pub(super) fn bytes_to_come(&self) -> u64 {
        self.in_flight.values().map(|asked| u64::from(asked.bytes - asked.received)).sum()
    }

    /// How long `chunk`, which was asked, will still take, milliseconds.
    pub(super) fn wait_ms(&self, now: Millis, chunk: u32) -> u64 {
        let Some(asked) = self.in_flight.get(&chunk) else { return u64::MAX };
        if asked.received == asked.bytes {
            return 0;
        }
        let before = self.in_flight.values().filter(|other| other.order <= asked.order);
        let bytes: u64 = before.map(|other| u64::from(other.bytes - other.received)).sum();
        self.time_ms(bytes).saturating_add(now.since(self.last_word))
    }

    /// How long `bytes` more would take, milliseconds.
    pub(super) fn wait_ms_if_asked(&self, bytes: u32) -> u64 {
        self.time_ms(self.bytes_to_come() + u64::from(bytes))
    }

    fn time_ms(&self, bytes: u64) -> u64 {
        // Unknown: as if it had just begun.
        bytes.saturating_mul(1000).checked_div(self.rate).unwrap_or(0)
    }
}
