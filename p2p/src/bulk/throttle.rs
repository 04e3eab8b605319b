//! The upload cap: one token bucket for everything that bulk connections send. Control streams know nothing of it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::limits::{UPLOAD_BURST_MS, UPLOAD_SLICE_BYTES};

/// Nanoseconds of a second.
const SECOND_NS: u128 = 1_000_000_000;

/// A token bucket in the form of the generic cell rate algorithm (ITU-T I.371, annex A): it keeps one time, the one at
/// which everything allowed so far would have been sent at the rate. Knows no clock.
#[derive(Clone, Copy, Debug)]
struct Bucket {
    bytes_per_second: u64,
    /// Nanoseconds on the caller's clock.
    sent_by_ns: u128,
}

impl Bucket {
    fn new(bytes_per_second: u64, now_ns: u128) -> Self {
        Self { bytes_per_second, sent_by_ns: now_ns }
    }

    /// Reserves `bytes`, in the order of calls; they may be sent at the time returned, nanoseconds.
    fn reserve(&mut self, bytes: usize, now_ns: u128) -> u128 {
        let rate = u128::from(self.bytes_per_second.max(1));
        let slice_ns = UPLOAD_SLICE_BYTES as u128 * SECOND_NS / rate;
        let burst_ns = (u128::from(UPLOAD_BURST_MS) * 1_000_000).max(slice_ns);
        // What was not used longer ago than the burst is lost.
        let from_ns = self.sent_by_ns.max(now_ns.saturating_sub(burst_ns));
        self.sent_by_ns = from_ns + (bytes as u128 * SECOND_NS).div_ceil(rate);
        self.sent_by_ns.max(now_ns)
    }
}

/// The bucket of a node, shared by all its bulk connections.
#[derive(Debug)]
pub(crate) struct Throttle {
    started: Instant,
    /// Bytes per second, zero without a cap: looked at before every slice, so it costs no lock.
    bytes_per_second: AtomicU64,
    bucket: Mutex<Bucket>,
    /// Changes with the cap, so that who waits under the old one hears of it.
    changed: watch::Sender<()>,
}

impl Throttle {
    /// `None`, as zero, is no cap.
    pub(crate) fn new(bytes_per_second_max: Option<u64>) -> Self {
        let throttle = Self {
            started: Instant::now(),
            bytes_per_second: AtomicU64::new(0),
            bucket: Mutex::new(Bucket::new(0, 0)),
            changed: watch::Sender::new(()),
        };
        throttle.set(bytes_per_second_max);
        throttle
    }

    /// Another cap from now on.
    pub(crate) fn set(&self, bytes_per_second_max: Option<u64>) {
        let bytes_per_second = bytes_per_second_max.unwrap_or(0);
        *self.bucket.lock().unwrap_or_else(PoisonError::into_inner) =
            Bucket::new(bytes_per_second, self.now_ns());
        self.bytes_per_second.store(bytes_per_second, Ordering::Release);
        self.changed.send_replace(());
    }

    /// The cap.
    pub(crate) fn bytes_per_second_max(&self) -> Option<u64> {
        Some(self.bytes_per_second.load(Ordering::Acquire)).filter(|&rate| rate > 0)
    }

    /// Waits until `bytes` may be sent.
    pub(crate) async fn allow(&self, bytes: usize) {
        if self.bytes_per_second_max().is_none() {
            return;
        }
        let mut changed = self.changed.subscribe();
        while self.bytes_per_second_max().is_some() {
            let until_ns =
                self.bucket.lock().unwrap_or_else(PoisonError::into_inner).reserve(bytes, self.now_ns());
            let until = self.started + Duration::from_nanos(u64::try_from(until_ns).unwrap_or(u64::MAX >> 1));
            tokio::select! {
                () = sleep_until(until) => return,
                // What was reserved under the old cap is void.
                _ = changed.changed() => {}
            }
        }
    }

    fn now_ns(&self) -> u128 {
        self.started.elapsed().as_nanos()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS_NS: u128 = 1_000_000;

    /// Bytes that `senders`, each always with a slice to send, get through until `until_ns`, on a clock that jumps from
    /// one permission to the next; by sender.
    fn sent(bucket: &mut Bucket, senders: usize, from_ns: u128, until_ns: u128) -> Vec<usize> {
        let mut bytes = vec![0; senders];
        let mut next: Vec<u128> = (0..senders).map(|_| bucket.reserve(UPLOAD_SLICE_BYTES, from_ns)).collect();
        loop {
            let (sender, at_ns) = next.iter().copied().enumerate().min_by_key(|&(_, at)| at).unwrap();
            if at_ns > until_ns {
                return bytes;
            }
            bytes[sender] += UPLOAD_SLICE_BYTES;
            next[sender] = bucket.reserve(UPLOAD_SLICE_BYTES, at_ns);
        }
    }

    #[test]
    fn any_number_of_senders_together_get_the_rate_and_each_its_share() {
        let rate = 10_000_000u64;
        for senders in [1, 3, 8] {
            let mut bucket = Bucket::new(rate, 0);
            let bytes = sent(&mut bucket, senders, 0, 10_000 * MS_NS);
            let (total, allowed) = (bytes.iter().sum::<usize>(), 10 * rate as usize);
            assert!(
                (allowed - senders * UPLOAD_SLICE_BYTES..=allowed).contains(&total),
                "{total} of {allowed}"
            );
            let (least, most) = (bytes.iter().min().unwrap(), bytes.iter().max().unwrap());
            assert!(most - least <= UPLOAD_SLICE_BYTES, "{bytes:?}");
        }
    }

    #[test]
    fn an_hour_of_silence_allows_one_burst_and_no_more() {
        let rate = 10_000_000u64;
        let mut bucket = Bucket::new(rate, 0);
        let hour_ns = 3_600 * SECOND_NS;
        let total: usize = sent(&mut bucket, 1, hour_ns, hour_ns + SECOND_NS).iter().sum();
        let burst = rate as usize / 1_000 * UPLOAD_BURST_MS as usize;
        assert!(total <= rate as usize + burst, "{total}");
        assert!(total > rate as usize, "{total}: the burst is meant to be used");
    }

    #[test]
    fn a_rate_below_one_slice_a_burst_lets_one_slice_through_at_a_time() {
        let mut bucket = Bucket::new(1_000, 0);
        let slice_ns = UPLOAD_SLICE_BYTES as u128 * SECOND_NS / 1_000;
        let at = 10 * slice_ns;
        assert_eq!(bucket.reserve(UPLOAD_SLICE_BYTES, at), at, "the burst");
        assert_eq!(bucket.reserve(UPLOAD_SLICE_BYTES, at), at + slice_ns);
        assert_eq!(bucket.reserve(UPLOAD_SLICE_BYTES, at), at + 2 * slice_ns);
    }

    #[tokio::test]
    async fn lifting_the_cap_frees_who_waits() {
        let throttle = std::sync::Arc::new(Throttle::new(Some(1)));
        let waiting = std::sync::Arc::clone(&throttle);
        let mut waiting = tokio::spawn(async move {
            for _ in 0..3 {
                waiting.allow(1 << 30).await;
            }
        });
        tokio::select! {
            biased;
            _ = &mut waiting => panic!("a gigabyte at a byte per second"),
            () = tokio::task::yield_now() => {}
        }
        throttle.set(None);
        waiting.await.unwrap();
        assert_eq!(throttle.bytes_per_second_max(), None);
    }
}
