//! Random numbers without a state: Philox4x32-10 of Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy
//! as 1, 2, 3" (SC 2011). Each number is a function of (seed, purpose, stream, index), so any of them can be
//! computed anywhere, in any order, with integer operations alone.

const ROUNDS: usize = 10;
const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// Weyl increments of the key (the golden ratio and the square root of three, less one), from the paper.
const WEYL: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
/// Mantissa bits of an f32, with the hidden one: a uniform number is a multiple of 2^-24.
const F32_BITS: u32 = 24;

/// What numbers are drawn for. Two purposes never share a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum Purpose {
    /// Initial parameters; the stream is a hash of the parameter's name.
    Initialisation = 1,
    /// The order of samples; the stream is the epoch of the data.
    SampleOrder = 2,
    /// What dropout drops; the stream is the step, the micro-batch and the layer.
    Dropout = 3,
    /// Which token is drawn; blocks count the tokens of a text.
    Sampling = 4,
}

/// A sequence of numbers that is a function of (seed, purpose, stream).
#[derive(Clone, Copy, Debug)]
pub(crate) struct CounterRng {
    seed: u64,
    purpose: Purpose,
    stream: u64,
}

impl CounterRng {
    pub(crate) fn new(seed: u64, purpose: Purpose, stream: u64) -> Self {
        Self { seed, purpose, stream }
    }

    /// Another sequence for part `number` of whatever this one is for.
    pub(crate) fn branch(&self, number: u32) -> Self {
        // Streams with branches count steps and micro-batches: below 2^40.
        Self { stream: self.stream ^ u64::from(number) << 44, ..*self }
    }

    /// Block `index`: 128 random bits.
    pub(crate) fn block(&self, index: u32) -> [u32; 4] {
        let counter = [index, low(self.stream), high(self.stream), self.purpose as u32];
        philox(counter, [low(self.seed), high(self.seed)])
    }

    /// Uniform in `0..bound`, from block `index`: the high half of a 64 × 64 bit product. Its bias is below
    /// `bound / 2^64`, which no training run can notice.
    pub(crate) fn below(&self, index: u32, bound: u32) -> u32 {
        let [first, second, ..] = self.block(index);
        let bits = u64::from(first) | u64::from(second) << 32;
        let product = u128::from(bits) * u128::from(bound);
        u32::try_from(product >> 64).expect("the high half of a product is below its second factor")
    }

    /// Fills `out` with normal numbers of this standard deviation: Box and Muller, "A note on the generation of random normal
    /// deviates" (1958), two from the halves of each block, by functions of software that have the same bits everywhere.
    pub(crate) fn fill_normal(&self, deviation: f32, out: &mut [f32]) {
        // Half an odd multiple of 2^-32: never zero, whose logarithm is infinite.
        let uniform = |bits: u32| (f64::from(bits) + 0.5) / 4_294_967_296.0;
        for (index, four) in (0u32..).zip(out.chunks_mut(4)) {
            let bits = self.block(index);
            let pair = |first: u32, second: u32| {
                let radius = (-2.0 * libm::log(uniform(first))).sqrt();
                let angle = std::f64::consts::TAU * uniform(second);
                [radius * libm::cos(angle), radius * libm::sin(angle)]
            };
            let normal = [pair(bits[0], bits[1]), pair(bits[2], bits[3])];
            for (value, normal) in four.iter_mut().zip(normal.as_flattened()) {
                *value = (normal * f64::from(deviation)) as f32;
            }
        }
    }

    /// Fills `out` with numbers uniform in `[-bound, bound)`: four from each block, in order. Only a conversion,
    /// multiplications by powers of two, one subtraction and one multiplication: exact IEEE operations.
    pub(crate) fn fill_uniform(&self, bound: f32, out: &mut [f32]) {
        for (index, four) in (0u32..).zip(out.chunks_mut(4)) {
            for (value, bits) in four.iter_mut().zip(self.block(index)) {
                let unit = (bits >> (u32::BITS - F32_BITS)) as f32 / (1u32 << F32_BITS) as f32;
                *value = (2.0 * unit - 1.0) * bound;
            }
        }
    }
}

fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for round in 0..ROUNDS {
        if round > 0 {
            key = [key[0].wrapping_add(WEYL[0]), key[1].wrapping_add(WEYL[1])];
        }
        let first = u64::from(MULTIPLIERS[0]) * u64::from(counter[0]);
        let second = u64::from(MULTIPLIERS[1]) * u64::from(counter[2]);
        counter =
            [high(second) ^ counter[1] ^ key[0], low(second), high(first) ^ counter[3] ^ key[1], low(first)];
    }
    counter
}

fn low(value: u64) -> u32 {
    (value & u64::from(u32::MAX)) as u32
}

fn high(value: u64) -> u32 {
    (value >> 32) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The known answers that the authors publish with Random123 (`kat_vectors`, philox4x32 with 10 rounds).
    #[test]
    fn philox_gives_the_published_known_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        let ones = u32::MAX;
        assert_eq!(philox([ones; 4], [ones; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        assert_eq!(
            philox([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn uniform_numbers_fill_the_interval_evenly() {
        let mut values = vec![0f32; 40_000];
        CounterRng::new(7, Purpose::Initialisation, 3).fill_uniform(0.5, &mut values);
        assert!(values.iter().all(|value| (-0.5..0.5).contains(value)));
        let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / 40_000.0;
        let square = values.iter().map(|value| f64::from(*value).powi(2)).sum::<f64>() / 40_000.0;
        // Standard errors: 0.289 / 200 for the mean, 0.0745 / 200 for the mean square; five of each.
        assert!(mean.abs() < 5.0 * 0.289 / 200.0, "mean {mean}");
        assert!((square - 1.0 / 12.0).abs() < 5.0 * 0.0745 / 200.0, "mean square {square}");
    }

    #[test]
    fn normal_numbers_have_mean_variance_and_tails_of_the_normal_distribution() {
        let mut values = vec![0f32; 40_002];
        CounterRng::new(7, Purpose::Initialisation, 3).fill_normal(0.5, &mut values);
        let share = |bound: f32| {
            values.iter().filter(|value| value.abs() < bound).count() as f64 / values.len() as f64
        };
        let mean = values.iter().map(|value| f64::from(*value)).sum::<f64>() / values.len() as f64;
        // Five standard errors: 0.0025 of the mean, 0.0023 of the share within one deviation.
        assert!(mean.abs() < 5.0 * 0.0025, "mean {mean}");
        assert!((share(0.5) - 0.682_689).abs() < 5.0 * 0.0023, "{}", share(0.5));
        assert!((share(1.0) - 0.954_500).abs() < 5.0 * 0.001, "{}", share(1.0));
    }

    #[test]
    fn seeds_purposes_streams_and_indices_give_different_blocks() {
        let base = CounterRng::new(1, Purpose::Initialisation, 1).block(1);
        let others = [
            CounterRng::new(2, Purpose::Initialisation, 1).block(1),
            CounterRng::new(1 | 1 << 32, Purpose::Initialisation, 1).block(1),
            CounterRng::new(1, Purpose::SampleOrder, 1).block(1),
            CounterRng::new(1, Purpose::Initialisation, 1 << 32).block(1),
            CounterRng::new(1, Purpose::Initialisation, 1).block(2),
        ];
        assert!(others.iter().all(|block| *block != base));
    }

    #[test]
    fn below_stays_below_and_reaches_every_value() {
        let rng = CounterRng::new(3, Purpose::SampleOrder, 0);
        let mut counts = [0u32; 10];
        for index in 0..10_000 {
            counts[rng.below(index, 10) as usize] += 1;
        }
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
    }
}
