//! Heartbeats of one link, shared by its reader, its writer and the driver.

use std::sync::{Mutex, MutexGuard, PoisonError};

use traind_protocol::ids::Millis;

use crate::control::Heartbeat;
use crate::suspicion::Suspicion;

/// The state behind the heartbeats of one link.
#[derive(Debug)]
pub(crate) struct Pulse {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    suspicion: Suspicion,
    /// The reader waits for our own consumer: what the peer sends meanwhile cannot be heard.
    stalled: bool,
    /// The peer's latest heartbeat as (its time, our time of arrival), microseconds.
    latest_us: Option<(u64, u64)>,
    rtt_us: Option<u64>,
}

impl Pulse {
    pub(crate) fn new(now: Millis) -> Self {
        let suspicion = Suspicion::new(now);
        Self { state: Mutex::new(State { suspicion, stalled: false, latest_us: None, rtt_us: None }) }
    }

    /// A heartbeat arrived at `now`, which is `now_us` in microseconds.
    pub(crate) fn heartbeat(&self, heartbeat: &Heartbeat, now: Millis, now_us: u64) {
        let mut state = self.state();
        state.suspicion.heartbeat(now);
        state.latest_us = Some((heartbeat.sent_us, now_us));
        if heartbeat.echo_us != 0 {
            let sum_us = heartbeat.echo_us.saturating_add(heartbeat.held_us);
            state.rtt_us = now_us.checked_sub(sum_us);
        }
    }

    /// Some bytes of another frame arrived.
    pub(crate) fn heard(&self, now: Millis) {
        self.state().suspicion.heard(now);
    }

    /// This process did not run for a while.
    pub(crate) fn excuse(&self, now: Millis) {
        self.state().suspicion.excuse(now);
    }

    /// The reader starts or stops waiting for our own consumer.
    pub(crate) fn set_stalled(&self, stalled: bool, now: Millis) {
        let mut state = self.state();
        state.stalled = stalled;
        state.suspicion.excuse(now);
    }

    /// The heartbeat to send now.
    pub(crate) fn beat(&self, now_us: u64) -> Heartbeat {
        let latest_us = self.state().latest_us;
        let (echo_us, held_us) =
            latest_us.map_or((0, 0), |(sent_us, arrived_us)| (sent_us, now_us.saturating_sub(arrived_us)));
        Heartbeat { sent_us: now_us, echo_us, held_us }
    }

    pub(crate) fn is_silent(&self, now: Millis) -> bool {
        let state = self.state();
        let round_trip_ms = state.rtt_us.unwrap_or(0) / 1000;
        !state.stalled && state.suspicion.is_silent(now, round_trip_ms)
    }

    /// The suspicion of the failure detector.
    pub(crate) fn phi(&self, now: Millis) -> f64 {
        self.state().suspicion.phi(now)
    }

    pub(crate) fn silence_ms(&self, now: Millis) -> u64 {
        self.state().suspicion.silence_ms(now)
    }

    /// Round trip, microseconds, from the latest heartbeat that echoed one of ours.
    pub(crate) fn rtt_us(&self) -> Option<u64> {
        self.state().rtt_us
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::SILENCE_MS_MAX;

    #[test]
    fn round_trip_leaves_out_the_time_an_echo_was_held() {
        let (here, there) = (Pulse::new(Millis(0)), Pulse::new(Millis(0)));
        there.heartbeat(&here.beat(1_000), Millis(50), 50_000);
        here.heartbeat(&there.beat(90_000), Millis(41), 41_700);
        assert_eq!(here.rtt_us(), Some(700));
    }

    #[test]
    fn nobody_is_silent_while_our_own_consumer_is_slow() {
        let pulse = Pulse::new(Millis(0));
        pulse.set_stalled(true, Millis(100));
        assert!(!pulse.is_silent(Millis(100 + 2 * SILENCE_MS_MAX)));
        pulse.set_stalled(false, Millis(50_000));
        assert!(!pulse.is_silent(Millis(50_100)));
        assert!(pulse.is_silent(Millis(50_000 + SILENCE_MS_MAX)));
    }
}
