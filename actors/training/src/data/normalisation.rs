//! How the values of a file become what a model sees.

use serde::{Deserialize, Serialize};

/// What was done to every value of a sample: `(value / divide_by - mean) / deviation`. PyTorch's `ToTensor` and
/// `Normalize` do the same.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalisation {
    /// The first divisor, e.g. 255.
    pub divide_by: f64,
    /// Mean of the training samples after the first division; 0 where none is subtracted.
    pub mean: f64,
    /// Standard deviation of the training samples after the first division; 1 where nothing is divided by it.
    pub deviation: f64,
    /// How often each pixel is repeated along both sides of an image, to make it larger.
    pub repeat: u32,
}

/// Largest value of a byte, which becomes 1 before mean and deviation are taken.
const BYTE_MAX: u64 = 255;

impl Normalisation {
    /// Only a division.
    pub(super) fn division(divide_by: f64) -> Self {
        Self { divide_by, mean: 0.0, deviation: 1.0, repeat: 1 }
    }

    /// To mean 0 and deviation 1 over these bytes (the population's formula). The sums are exact integers and what
    /// follows are single operations that IEEE 754 rounds exactly, so every machine has the same bits. `None` if all
    /// bytes are equal. At most 2^32 bytes.
    pub(super) fn of_bytes(bytes: &[u8]) -> Option<Self> {
        let mut counts = [0u64; 256];
        for byte in bytes {
            counts[usize::from(*byte)] += 1;
        }
        let moment =
            |power: u32| -> u64 { (0u64..).zip(counts).map(|(value, count)| value.pow(power) * count).sum() };
        let (count, sum, squares) = (bytes.len() as u64, moment(1), moment(2));
        // Variance = numerator / (count · 255)².
        let numerator = u128::from(count) * u128::from(squares) - u128::from(sum).pow(2);
        let denominator = (count * BYTE_MAX) as f64;
        (numerator > 0).then(|| Self {
            divide_by: BYTE_MAX as f64,
            mean: sum as f64 / denominator,
            deviation: (numerator as f64).sqrt() / denominator,
            repeat: 1,
        })
    }

    /// What `value` becomes: computed in f64, rounded once.
    pub(crate) fn apply(&self, value: f64) -> f32 {
        ((value / self.divide_by - self.mean) / self.deviation) as f32
    }

    /// [`Self::apply`] of every byte.
    pub(super) fn table(&self) -> [f32; 256] {
        std::array::from_fn(|byte| self.apply(byte as f64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 0, 0, 255, 255: mean 1/2, deviation 1/2 of the white.
    #[test]
    fn mean_and_deviation_are_those_of_the_bytes() {
        let normalisation = Normalisation::of_bytes(&[0, 255, 255, 0]).unwrap();
        assert_eq!(normalisation, Normalisation { divide_by: 255.0, mean: 0.5, deviation: 0.5, repeat: 1 });
        let table = normalisation.table();
        assert_eq!((table[0], table[255]), (-1.0, 1.0));
        assert!((table[51] - -0.6).abs() < 1e-6, "{}", table[51]);
        assert_eq!(Normalisation::of_bytes(&[7, 7, 7]), None);
    }

    /// Against the definition in f64, over bytes of a simple generator.
    #[test]
    fn any_bytes_become_mean_zero_and_deviation_one() {
        let bytes: Vec<u8> = (0u32..10_000).map(|n| (n.wrapping_mul(2_654_435_761) >> 25) as u8).collect();
        let normalisation = Normalisation::of_bytes(&bytes).unwrap();
        let values: Vec<f64> = bytes.iter().map(|byte| f64::from(*byte) / 255.0).collect();
        let mean = values.iter().sum::<f64>() / 1e4;
        let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 1e4).sqrt();
        assert!(
            (normalisation.mean - mean).abs() < 1e-12 && (normalisation.deviation - deviation).abs() < 1e-12
        );
        assert_eq!(Normalisation::division(4.0).apply(3.0), 0.75);
    }
}
