//! The order of training samples: a pure function of (seed, position).

use std::{sync::Arc, thread::JoinHandle};

use crate::counter_rng::{CounterRng, Purpose};

/// Epochs of so many samples are drawn ahead, beside training: drawing fewer takes less than a millisecond.
const AHEAD_SAMPLES_MIN: usize = 1 << 16;

/// Samples in an endless sequence. Epoch e is a permutation of all of them, drawn from (seed, e); batches are cut
/// from the sequence without regard to epochs, so their shapes never change and each epoch uses each sample once.
pub(crate) struct SampleOrder {
    seed: u64,
    samples: Arc<Vec<u32>>,
    prepared: Option<(u64, Vec<u32>)>,
    /// The epoch after it, on its way.
    ahead: Option<(u64, JoinHandle<Vec<u32>>)>,
    ahead_samples_min: usize,
}

impl SampleOrder {
    /// `samples`: the ids to train on, at least one.
    pub(crate) fn new(seed: u64, samples: Vec<u32>) -> Self {
        assert!(!samples.is_empty(), "an order needs samples");
        let (samples, ahead_samples_min) = (Arc::new(samples), AHEAD_SAMPLES_MIN);
        Self { seed, samples, prepared: None, ahead: None, ahead_samples_min }
    }

    /// How many samples an epoch has.
    pub(crate) fn epoch_samples(&self) -> usize {
        self.samples.len()
    }

    /// Keeps the permutation of the epoch that `position` lies in, so that [`Self::range`] need not draw it again, and has a large
    /// one's successor drawn meanwhile. What is kept changes no sample.
    pub(crate) fn prepare(&mut self, position: u64) {
        let epoch = position / self.samples.len() as u64;
        if self.prepared.as_ref().is_none_or(|(prepared, _)| *prepared != epoch) {
            let ahead = self.ahead.take().filter(|(ahead, _)| *ahead == epoch);
            // A thread that panicked gave nothing, as if there had been none.
            let drawn = ahead.and_then(|(_, drawing)| drawing.join().ok());
            self.prepared =
                Some((epoch, drawn.unwrap_or_else(|| permutation(self.seed, &self.samples, epoch))));
            if self.samples.len() >= self.ahead_samples_min {
                let (seed, samples) = (self.seed, Arc::clone(&self.samples));
                let draw = move || permutation(seed, &samples, epoch + 1);
                let thread = std::thread::Builder::new().name("sample-order".to_owned()).spawn(draw);
                self.ahead = thread.ok().map(|drawing| (epoch + 1, drawing));
            }
        }
    }

    /// The ids at `count` positions from `position` on.
    pub(crate) fn range(&self, position: u64, count: u32) -> Vec<u32> {
        let epoch_samples = self.samples.len() as u64;
        let mut ids = Vec::with_capacity(count as usize);
        let mut next = position;
        let end = position + u64::from(count);
        while next < end {
            let (epoch, index) = (next / epoch_samples, (next % epoch_samples) as usize);
            let take = ((end - next) as usize).min(self.samples.len() - index);
            match &self.prepared {
                Some((prepared, order)) if *prepared == epoch => {
                    ids.extend_from_slice(&order[index..index + take]);
                }
                _ => {
                    ids.extend_from_slice(&permutation(self.seed, &self.samples, epoch)[index..index + take])
                }
            }
            next += take as u64;
        }
        ids
    }
}

/// Fisher and Yates' shuffle as Durstenfeld wrote it (CACM Algorithm 235, 1964).
fn permutation(seed: u64, samples: &[u32], epoch: u64) -> Vec<u32> {
    let rng = CounterRng::new(seed, Purpose::SampleOrder, epoch);
    let mut order = samples.to_vec();
    let count = u32::try_from(order.len()).expect("sample ids are u32");
    for last in (1..count).rev() {
        order.swap(last as usize, rng.below(last, last + 1) as usize);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(seed: u64, samples: u32) -> SampleOrder {
        SampleOrder::new(seed, (0..samples).map(|index| 3 * index + 1).collect())
    }

    #[test]
    fn every_epoch_uses_every_sample_exactly_once_whatever_the_batch() {
        for (seed, samples, batch) in [(1, 10, 3), (2, 1, 4), (3, 97, 8), (4, 8, 8), (5, 7, 50)] {
            let mut order = order(seed, samples);
            let epochs = 6;
            let mut sequence = Vec::new();
            while sequence.len() < (epochs * samples) as usize {
                let position = sequence.len() as u64;
                order.prepare(position);
                sequence.extend(order.range(position, batch));
            }
            for epoch in sequence.chunks_exact(samples as usize).take(epochs as usize) {
                let mut sorted = epoch.to_vec();
                sorted.sort_unstable();
                assert_eq!(sorted, *order.samples, "seed {seed}, {samples} samples, batches of {batch}");
            }
        }
    }

    #[test]
    fn the_order_does_not_depend_on_what_was_prepared_or_how_it_is_cut() {
        let mut prepared = order(9, 50);
        prepared.prepare(120);
        let fresh = order(9, 50);
        let whole = fresh.range(30, 90);
        assert_eq!(prepared.range(30, 90), whole);
        let cut: Vec<u32> = (30..120).flat_map(|position| fresh.range(position, 1)).collect();
        assert_eq!(cut, whole);
    }

    #[test]
    fn an_epoch_that_is_drawn_ahead_is_the_same_wherever_one_goes_from_there() {
        let fresh = order(9, 50);
        let mut ahead = order(9, 50);
        ahead.ahead_samples_min = 50;
        for position in [0, 49, 50, 101, 20, 500, 551] {
            ahead.prepare(position);
            assert!(ahead.ahead.is_some());
            assert_eq!(ahead.range(position, 60), fresh.range(position, 60), "{position}");
        }
        let mut small = order(9, 50);
        small.prepare(0);
        assert!(small.ahead.is_none());
    }

    #[test]
    fn epochs_and_seeds_have_different_orders() {
        let epochs = order(9, 50);
        assert_ne!(epochs.range(0, 50), epochs.range(50, 50));
        assert_ne!(epochs.range(0, 50), order(10, 50).range(0, 50));
        assert_eq!(epochs.range(0, 50), order(9, 50).range(0, 50));
    }

    #[test]
    fn every_permutation_of_three_is_about_as_frequent() {
        let order = order(4, 3);
        let mut counts = std::collections::BTreeMap::<Vec<u32>, u32>::new();
        for epoch in 0..6_000 {
            *counts.entry(permutation(order.seed, &order.samples, epoch)).or_default() += 1;
        }
        assert_eq!(counts.len(), 6);
        // 1,000 expected, standard deviation 29.
        assert!(counts.values().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
