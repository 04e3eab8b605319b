//! Figures of several rounds, in one line.

use std::fmt;
use std::time::Duration;

/// Measured values, sorted.
#[derive(Clone, Debug)]
pub struct Spread {
    sorted: Vec<f64>,
    unit: &'static str,
}

impl Spread {
    /// Of numbers in `unit`.
    #[must_use]
    pub fn new(mut values: Vec<f64>, unit: &'static str) -> Self {
        values.sort_by(f64::total_cmp);
        Self { sorted: values, unit }
    }

    /// Of times, in milliseconds.
    #[must_use]
    pub fn of_times(times: &[Duration]) -> Self {
        Self::new(times.iter().map(|time| time.as_secs_f64() * 1e3).collect(), "ms")
    }

    /// The value below which `share` of all lie, the nearest rank; `None` without values.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<f64> {
        let rank = (share * self.sorted.len() as f64).ceil() as usize;
        self.sorted.get(rank.saturating_sub(1)).copied()
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Some(median), Some(high)) = (self.quantile(0.5), self.quantile(0.99)) else {
            return formatter.write_str("not measured");
        };
        let unit = self.unit;
        let (least, most) = (self.sorted[0], self.sorted[self.sorted.len() - 1]);
        let rounds = self.sorted.len();
        write!(
            formatter,
            "median {median:7.1} {unit}, {least:.1} to {most:.1}, p99 {high:.1}, {rounds} rounds"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_measured() {
        let spread = Spread::new((1..=200).rev().map(f64::from).collect(), "ms");
        assert_eq!((spread.quantile(0.5), spread.quantile(0.99)), (Some(100.0), Some(198.0)));
        assert_eq!(Spread::of_times(&[Duration::from_micros(1500)]).quantile(0.99), Some(1.5));
        assert_eq!(Spread::of_times(&[]).to_string(), "not measured");
        assert_eq!(spread.to_string(), "median   100.0 ms, 1.0 to 200.0, p99 198.0, 200 rounds");
    }
}
