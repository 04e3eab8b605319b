//! Seeded numbers: SplitMix64 (Steele, Lea, Flood 2014), and micro-batches made of them.

use traind_averaging::{Grid, NotFinite, Totals};

/// A generator whose seed is printed, so that a failure can be run again with `TRAIND_TEST_SEED`.
pub(crate) struct Seeded(u64);

impl Seeded {
    /// The seed of the environment, else `seed`.
    pub(crate) fn new(test: &str, seed: u64) -> Self {
        let seed = std::env::var("TRAIND_TEST_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(seed);
        println!("{test}: TRAIND_TEST_SEED={seed}");
        Self(seed)
    }

    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    pub(crate) fn below(&mut self, end: usize) -> usize {
        (self.bits() % end as u64) as usize
    }

    /// Uniform in -1..1.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for index in (1..items.len()).rev() {
            items.swap(index, self.below(index + 1));
        }
    }
}

/// What one micro-batch brings to a step.
#[derive(Clone)]
pub(crate) struct MicroBatch {
    pub(crate) gradient: Vec<f32>,
    pub(crate) samples: u32,
    pub(crate) loss_sum: f64,
}

impl MicroBatch {
    /// Sums over 1 to 64 samples. Every run of 256 elements has its own magnitude, from 1 down to 2^-`octaves`; every
    /// element differs from it by up to 2^-10, and one in sixteen is zero.
    pub(crate) fn random(seeded: &mut Seeded, elements: usize, octaves: u32) -> Self {
        let samples = 1 + seeded.below(64) as u32;
        let gradient = (0..elements)
            .map(|element| {
                let block = (element / 256) as u32;
                let scale =
                    2f64.powi(-((block.wrapping_mul(2_654_435_761) >> 8) as i32 % (octaves as i32 + 1)));
                let within = 2f64.powi(-(seeded.below(11) as i32));
                let zero = if seeded.below(16) == 0 { 0.0 } else { 1.0 };
                (seeded.unit() * scale * within * zero * f64::from(samples)) as f32
            })
            .collect();
        Self { gradient, samples, loss_sum: seeded.unit().abs() * 3.0 * f64::from(samples) }
    }

    pub(crate) fn quantise(&self, grid: &Grid, part: u32) -> Result<Vec<u8>, NotFinite> {
        grid.quantise(part, &self.gradient, &Totals::of(self.samples, self.loss_sum))
    }
}
