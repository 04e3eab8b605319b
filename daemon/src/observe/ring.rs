//! The latest records of something, and those that come: for readers that may be slow or absent.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

/// Records that a reader may be behind before it misses some: some seconds of a busy log.
pub const FOLLOW_RECORDS_MAX: usize = 1024;

/// What a [`Ring`] can hold.
pub trait RingRecord: Send + Sync + 'static {
    /// Records kept, the newest ones.
    const KEPT_MAX: usize;
}

/// The newest records. Clones are the same ring.
#[derive(Debug)]
pub struct Ring<T> {
    kept: Arc<Mutex<VecDeque<Arc<T>>>>,
    told: broadcast::Sender<Arc<T>>,
}

/// Hears of records as they come. Dropping it ends that.
#[derive(Debug)]
pub struct RingReader<T> {
    receiver: broadcast::Receiver<Arc<T>>,
}

/// What a reader hears.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RingItem<T> {
    /// A record.
    Record(Arc<T>),
    /// The reader was too slow: so many records went by unseen.
    Missed(u64),
}

impl<T> Clone for Ring<T> {
    fn clone(&self) -> Self {
        Self { kept: Arc::clone(&self.kept), told: self.told.clone() }
    }
}

impl<T: RingRecord> Default for Ring<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: RingRecord> Ring<T> {
    /// An empty ring.
    #[must_use]
    pub fn new() -> Self {
        let (told, _) = broadcast::channel(FOLLOW_RECORDS_MAX);
        Self { kept: Arc::new(Mutex::new(VecDeque::new())), told }
    }

    /// Adds a record; the oldest goes when there are too many.
    pub fn push(&self, record: T) {
        let record = Arc::new(record);
        let mut kept = self.lock();
        if kept.len() == T::KEPT_MAX {
            kept.pop_front();
        }
        kept.push_back(Arc::clone(&record));
        // Told under the lock, so that `follow` sees each record once. An error means that nobody listens.
        let _ = self.told.send(record);
    }

    /// The newest `count` records, oldest first.
    #[must_use]
    pub fn tail(&self, count: usize) -> Vec<Arc<T>> {
        self.tail_if(count, |_| true)
    }

    /// The newest `count` records of those that `keep` wants, oldest first.
    #[must_use]
    pub fn tail_if(&self, count: usize, keep: impl Fn(&T) -> bool) -> Vec<Arc<T>> {
        newest(&self.lock(), count, keep)
    }

    /// Hears of all records from now on.
    #[must_use]
    pub fn subscribe(&self) -> RingReader<T> {
        RingReader { receiver: self.told.subscribe() }
    }

    /// [`Self::tail_if`] and [`Self::subscribe`] in one: no record between them is lost or seen twice.
    #[must_use]
    pub fn follow(&self, count: usize, keep: impl Fn(&T) -> bool) -> (Vec<Arc<T>>, RingReader<T>) {
        let kept = self.lock();
        (newest(&kept, count, keep), self.subscribe())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Arc<T>>> {
        // Nothing here can panic half-way through a change.
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Send + Sync + 'static> RingReader<T> {
    /// The next record, or how many went by. `None` once the ring is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<RingItem<T>> {
        match self.receiver.recv().await {
            Ok(record) => Some(RingItem::Record(record)),
            Err(RecvError::Lagged(missed)) => Some(RingItem::Missed(missed)),
            Err(RecvError::Closed) => None,
        }
    }
}

fn newest<T>(kept: &VecDeque<Arc<T>>, count: usize, keep: impl Fn(&T) -> bool) -> Vec<Arc<T>> {
    let mut tail: Vec<_> = kept.iter().rev().filter(|record| keep(record)).take(count).cloned().collect();
    tail.reverse();
    tail
}

#[cfg(test)]
mod tests {
    use super::*;

    impl RingRecord for u64 {
        const KEPT_MAX: usize = 3;
    }

    fn plain(records: &[Arc<u64>]) -> Vec<u64> {
        records.iter().map(|record| **record).collect()
    }

    #[test]
    fn the_newest_stay() {
        let ring = Ring::new();
        (0..5).for_each(|record| ring.push(record));
        assert_eq!(plain(&ring.tail(10)), [2, 3, 4]);
        assert_eq!(plain(&ring.tail(2)), [3, 4]);
        assert_eq!(plain(&ring.tail_if(2, |record| record % 2 == 0)), [2, 4]);
    }

    #[tokio::test]
    async fn a_follower_sees_each_record_once_and_is_told_what_it_missed() {
        let ring = Ring::new();
        ring.push(1);
        let (tail, mut reader) = ring.follow(10, |_| true);
        ring.push(2);
        assert_eq!(plain(&tail), [1]);
        assert_eq!(reader.next().await, Some(RingItem::Record(Arc::new(2))));
        let behind = FOLLOW_RECORDS_MAX as u64 + 5;
        (0..behind).for_each(|record| ring.push(record));
        assert_eq!(reader.next().await, Some(RingItem::Missed(5)));
        assert_eq!(reader.next().await, Some(RingItem::Record(Arc::new(5))));
        drop(ring);
        for record in 6..behind {
            assert_eq!(reader.next().await, Some(RingItem::Record(Arc::new(record))));
        }
        assert_eq!(reader.next().await, None);
    }
}
