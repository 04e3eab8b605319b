//! Which token comes next.

use crate::counter_rng::{CounterRng, Purpose};

/// How the next token is drawn from the logits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// What logits are divided by; 0 takes the likeliest token. Finite, at least 0.
    pub temperature: f64,
    /// Only so many of the likeliest tokens; 0 for all.
    pub top_k: usize,
    /// Only the likeliest tokens that together have this share; above 0, 1 for all.
    pub top_p: f64,
    /// Decides what is drawn.
    pub seed: u64,
}

impl Sampling {
    /// The token at place `index` of the text, from its logits. The same for the same logits on every machine.
    pub(super) fn draw(&self, index: u32, logits: &[f32]) -> u32 {
        let mut tokens: Vec<u32> = (0..logits.len() as u32).collect();
        let logit = |token: u32| f64::from(logits[token as usize]);
        // Equal ones in the order of their numbers; one that is no number comes last.
        let key = |token: u32| if logit(token).is_nan() { f64::NEG_INFINITY } else { logit(token) };
        tokens.sort_by(|one, other| key(*other).total_cmp(&key(*one)));
        if self.top_k > 0 {
            tokens.truncate(self.top_k);
        }
        let Some(&first) = tokens.first() else { return 0 };
        if self.temperature <= 0.0 {
            return first;
        }
        let weights: Vec<f64> =
            tokens.iter().map(|token| libm::exp((key(*token) - key(first)) / self.temperature)).collect();
        let whole: f64 = weights.iter().sum();
        let mut reached = 0.0;
        let kept = weights.iter().take_while(|weight| {
            let is_kept = reached < self.top_p * whole;
            reached += **weight;
            is_kept
        });
        let kept: Vec<f64> = kept.copied().collect();
        let [low, high, ..] = CounterRng::new(self.seed, Purpose::Sampling, 0).block(index);
        // 53 bits, as many as an f64 has.
        let uniform = ((u64::from(high) << 32 | u64::from(low)) >> 11) as f64 / (1u64 << 53) as f64;
        let mut left = uniform * kept.iter().sum::<f64>();
        for (token, weight) in tokens.iter().zip(&kept) {
            left -= weight;
            if left < 0.0 {
                return *token;
            }
        }
        tokens[kept.len().saturating_sub(1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 5] = [0.0, 3.0, 1.0, 3.0, f32::NAN];

    fn drawn(sampling: Sampling) -> [u32; 5] {
        let mut counts = [0; 5];
        (0..4_000).for_each(|index| counts[sampling.draw(index, &LOGITS) as usize] += 1);
        counts
    }

    fn all(temperature: f64) -> Sampling {
        Sampling { temperature, top_k: 0, top_p: 1.0, seed: 5 }
    }

    #[test]
    fn without_temperature_the_likeliest_is_taken_of_equal_ones_the_first() {
        assert_eq!(drawn(all(0.0)), [0, 4_000, 0, 0, 0]);
    }

    #[test]
    fn tokens_are_drawn_by_their_probabilities() {
        let counts = drawn(all(1.0));
        let whole = 1.0 + 2.0 * 3f64.exp() + 1f64.exp();
        for (count, weight) in counts.into_iter().zip([1.0, 3f64.exp(), 1f64.exp(), 3f64.exp(), 0.0]) {
            let expected: f64 = 4_000.0 * weight / whole;
            assert!((f64::from(count) - expected).abs() <= 4.0 * expected.sqrt(), "{counts:?}");
        }
        assert_ne!(counts, drawn(Sampling { seed: 6, ..all(1.0) }));
        assert_eq!(counts, drawn(all(1.0)));
    }

    #[test]
    fn only_the_likeliest_are_left() {
        let only = |top_k, top_p| drawn(Sampling { top_k, top_p, ..all(1.0) }).map(|count| count > 0);
        assert_eq!(only(2, 1.0), [false, true, false, true, false]);
        assert_eq!(only(1, 1.0), [false, true, false, false, false]);
        assert_eq!(only(0, 0.9), [false, true, false, true, false]);
        assert_eq!(only(0, 1e-9), [false, true, false, false, false]);
        assert_eq!(only(3, 1.0), [false, true, true, true, false]);
    }
}
