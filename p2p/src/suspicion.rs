//! The phi accrual failure detector: how unlikely is the present silence, given the heartbeats before it?
//!
//! Hayashibara, Défago, Yared, Katayama: The φ Accrual Failure Detector, SRDS 2004. The normal distribution's tail is
//! the usual logistic approximation. A floor and a ceiling bound the verdict, see `limits.rs`.

use std::collections::VecDeque;

use traind_protocol::ids::Millis;

use crate::limits::{
    HEARTBEAT_MS, INTERVALS_KNOWN_MIN, INTERVALS_MAX, SILENCE_MS_MAX, SILENCE_MS_MIN, SILENCE_MS_MIN_UNKNOWN,
    SILENCE_ROUND_TRIPS,
};

/// Suspicion above which silence is a verdict: one wrong call in 10^8 heartbeats if intervals were normal.
const PHI_MAX: f64 = 8.0;
/// Smallest standard deviation assumed, milliseconds: timers and scheduling are never better.
const DEVIATION_MS_MIN: f64 = 50.0;

/// The heartbeat history of one peer. Knows no clock.
#[derive(Clone, Debug)]
pub(crate) struct Suspicion {
    intervals_ms: VecDeque<u64>,
    /// The latest heartbeat, if the time since then is an interval worth keeping.
    beat: Option<Millis>,
    /// The latest sign of life.
    last: Millis,
}

impl Suspicion {
    pub(crate) fn new(now: Millis) -> Self {
        Self { intervals_ms: VecDeque::with_capacity(INTERVALS_MAX), beat: None, last: now }
    }

    /// A heartbeat arrived.
    pub(crate) fn heartbeat(&mut self, now: Millis) {
        if self.intervals_ms.len() == INTERVALS_MAX {
            self.intervals_ms.pop_front();
        }
        if let Some(beat) = self.beat.replace(now) {
            self.intervals_ms.push_back(now.since(beat));
        }
        self.last = now;
    }

    /// Something else arrived: the silence starts again.
    pub(crate) fn heard(&mut self, now: Millis) {
        self.last = self.last.max(now);
    }

    /// This process was not able to hear the peer: the silence starts again, and tells nothing about intervals.
    pub(crate) fn excuse(&mut self, now: Millis) {
        self.heard(now);
        self.beat = None;
    }

    /// Milliseconds of silence.
    pub(crate) fn silence_ms(&self, now: Millis) -> u64 {
        now.since(self.last)
    }

    /// −log10 of the probability that a heartbeat comes even later than `now`.
    pub(crate) fn phi(&self, now: Millis) -> f64 {
        let count = self.intervals_ms.len().max(1) as f64;
        let sum: f64 = self.intervals_ms.iter().map(|&ms| ms as f64).sum();
        let mean = (sum / count).max(HEARTBEAT_MS as f64);
        let squares: f64 = self.intervals_ms.iter().map(|&ms| (ms as f64 - mean).powi(2)).sum();
        let deviation = (squares / count).sqrt().max(DEVIATION_MS_MIN);
        let y = (self.silence_ms(now) as f64 - mean) / deviation;
        let e = (-y * (1.5976 + 0.070566 * y * y)).exp();
        if y > 0.0 { -(e / (1.0 + e)).log10() } else { -(1.0 - 1.0 / (1.0 + e)).log10() }
    }

    /// Whether the silence is a verdict on a peer with that round trip, milliseconds.
    pub(crate) fn is_silent(&self, now: Millis, round_trip_ms: u64) -> bool {
        let silence_ms = self.silence_ms(now);
        let is_known = self.intervals_ms.len() >= INTERVALS_KNOWN_MIN;
        let floor_ms = if is_known { SILENCE_MS_MIN } else { SILENCE_MS_MIN_UNKNOWN };
        let floor_ms = floor_ms.saturating_add(round_trip_ms.saturating_mul(SILENCE_ROUND_TRIPS));
        silence_ms >= SILENCE_MS_MAX || (silence_ms >= floor_ms && self.phi(now) >= PHI_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(intervals_ms: impl Iterator<Item = u64>) -> (Suspicion, Millis) {
        let mut now = Millis(1_000);
        let mut suspicion = Suspicion::new(now);
        for interval in intervals_ms {
            now = now.plus(interval);
            suspicion.heartbeat(now);
        }
        (suspicion, now)
    }

    /// On a quick network.
    fn is_silent(suspicion: &Suspicion, now: Millis) -> bool {
        suspicion.is_silent(now, 0)
    }

    #[test]
    fn nobody_is_silent_before_the_floor() {
        let (suspicion, now) = after((0..200).map(|_| 100));
        assert!(suspicion.phi(now.plus(SILENCE_MS_MIN - 1)) > PHI_MAX);
        assert!(!is_silent(&suspicion, now.plus(SILENCE_MS_MIN - 1)));
        assert!(is_silent(&suspicion, now.plus(SILENCE_MS_MIN)));
    }

    #[test]
    fn a_far_peer_gets_time_for_a_lost_segment() {
        let (suspicion, now) = after((0..200).map(|_| 100));
        let floor_ms = SILENCE_MS_MIN + SILENCE_ROUND_TRIPS * 80;
        assert!(!suspicion.is_silent(now.plus(floor_ms - 1), 80));
        assert!(suspicion.is_silent(now.plus(floor_ms), 80));
        assert!(suspicion.is_silent(now.plus(SILENCE_MS_MAX), u64::MAX), "the ceiling holds for everybody");
    }

    #[test]
    fn a_peer_with_irregular_heartbeats_gets_more_time_up_to_the_ceiling() {
        let (suspicion, now) = after((0..200).map(|index| if index % 4 == 0 { 1_000 } else { 100 }));
        assert!(!is_silent(&suspicion, now.plus(SILENCE_MS_MIN + 1_000)));
        assert!(is_silent(&suspicion, now.plus(3_500)));
        let (suspicion, now) = after((0..200).map(|index| if index % 4 == 0 { 9_000 } else { 100 }));
        assert!(!is_silent(&suspicion, now.plus(SILENCE_MS_MAX - 1)));
        assert!(is_silent(&suspicion, now.plus(SILENCE_MS_MAX)));
    }

    #[test]
    fn suspicion_grows_with_silence_and_a_heartbeat_ends_it() {
        let (mut suspicion, now) = after((0..50).map(|index| 90 + 20 * (index % 2)));
        let phis: Vec<f64> = (0..10).map(|step| suspicion.phi(now.plus(60 * step))).collect();
        assert!(phis.windows(2).all(|pair| pair[0] < pair[1]), "{phis:?}");
        suspicion.heartbeat(now.plus(5_000));
        assert!(!is_silent(&suspicion, now.plus(5_100)));
    }

    #[test]
    fn an_excused_peer_starts_again() {
        let (mut suspicion, now) = after((0..50).map(|_| 100));
        let before = suspicion.phi(now.plus(150));
        suspicion.excuse(now.plus(60_000));
        suspicion.heartbeat(now.plus(60_000));
        assert_eq!(suspicion.phi(now.plus(60_150)), before, "the pause is no interval");
        assert!(!is_silent(&suspicion, now.plus(60_000 + SILENCE_MS_MIN - 1)));
        assert!(is_silent(&suspicion, now.plus(60_000 + SILENCE_MS_MIN)));
    }

    #[test]
    fn other_frames_are_signs_of_life_too() {
        let (mut suspicion, now) = after((0..50).map(|_| 100));
        for step in 1..100 {
            suspicion.heard(now.plus(300 * step));
            assert!(!is_silent(&suspicion, now.plus(300 * step + 290)));
        }
    }

    #[test]
    fn a_peer_that_was_met_just_now_gets_time_to_start() {
        let suspicion = Suspicion::new(Millis(5));
        assert!(!is_silent(&suspicion, Millis(5 + SILENCE_MS_MIN_UNKNOWN - 1)));
        assert!(is_silent(&suspicion, Millis(5 + SILENCE_MS_MIN_UNKNOWN)));
        let (suspicion, now) = after((0..INTERVALS_KNOWN_MIN as u64).map(|_| 100));
        assert!(!is_silent(&suspicion, now.plus(SILENCE_MS_MIN)), "one interval is missing");
    }
}
