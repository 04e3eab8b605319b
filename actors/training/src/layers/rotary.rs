//! Rotary position embedding: Su et al., "RoFormer: enhanced transformer with rotary position embedding" (2021), in the form of the
//! Llama family: element i of a head is turned with element i + half, by `position · theta^(-2i / head dimension)`.

use std::sync::{Arc, Mutex, PoisonError};

use super::Sequences;
use crate::numbers::{Real, for_rows, vectorised};

/// Angles for heads of one dimension; tables grow with the longest sequence that was seen.
pub(crate) struct Rotary<T> {
    head_dimension: usize,
    theta: f64,
    table: Mutex<Arc<Vec<T>>>,
}

impl<T: Real> Rotary<T> {
    pub(crate) fn new(head_dimension: usize, theta: f64) -> Self {
        Self { head_dimension, theta, table: Mutex::default() }
    }

    /// For each position cosines, then sines: `head dimension` numbers.
    fn table(&self, positions: usize) -> Arc<Vec<T>> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let known = table.len() / self.head_dimension;
        if known < positions {
            let half = self.head_dimension / 2;
            let mut longer = Vec::with_capacity(positions * self.head_dimension);
            longer.extend_from_slice(&table);
            for position in known..positions {
                let angle = |pair: usize| {
                    let exponent = -2.0 * pair as f64 / self.head_dimension as f64;
                    position as f64 * libm::pow(self.theta, exponent)
                };
                longer.extend((0..half).map(|pair| T::of(libm::cos(angle(pair)))));
                longer.extend((0..half).map(|pair| T::of(libm::sin(angle(pair)))));
            }
            *table = Arc::new(longer);
        }
        table.clone()
    }

    /// Turns the first `heads` heads of each row of `values`, `[tokens, stride]`, in place; back with `is_inverse`, which is what a
    /// gradient needs.
    pub(crate) fn turn(
        &self,
        values: &mut [T],
        stride: usize,
        heads: usize,
        sequences: Sequences<'_>,
        is_inverse: bool,
    ) {
        let dimension = self.head_dimension;
        let half = dimension / 2;
        let table = self.table(sequences.first_position + sequences.context);
        for_rows(values, stride, |first, rows| {
            vectorised(
                #[inline(always)]
                || {
                    for (token, row) in (first..).zip(rows.chunks_exact_mut(stride)) {
                        let angles = &table[sequences.position(token) * dimension..][..dimension];
                        let (cosines, sines) = angles.split_at(half);
                        for head in row[..heads * dimension].chunks_exact_mut(dimension) {
                            let (low, high) = head.split_at_mut(half);
                            for ((low, high), (cosine, sine)) in
                                low.iter_mut().zip(high).zip(cosines.iter().zip(sines))
                            {
                                let sine = if is_inverse { -*sine } else { *sine };
                                let (a, b) = (*low, *high);
                                *low = a * *cosine - b * sine;
                                *high = b * *cosine + a * sine;
                            }
                        }
                    }
                },
            );
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turning_back_restores_and_positions_begin_anew_with_each_document() {
        let rotary = Rotary::<f64>::new(4, 100.0);
        let start: Vec<f64> = (0..3 * 10).map(|index| f64::from(index) * 0.1 - 1.0).collect();
        let mut values = start.clone();
        let sequences = Sequences { context: 3, starts: &[0, 0, 2], ..Sequences::default() };
        rotary.turn(&mut values, 10, 2, sequences, false);
        // Position 0 and what is no head stay.
        assert_eq!((&values[..10], &values[20..]), (&start[..10], &start[20..]));
        assert_eq!(values[18..20], start[18..20]);
        let (cosine, sine) = (1f64.cos(), 1f64.sin());
        assert!((values[10] - (start[10] * cosine - start[12] * sine)).abs() < 1e-15);
        let (cosine, sine) = (0.1f64.cos(), 0.1f64.sin());
        assert!((values[17] - (start[17] * cosine + start[15] * sine)).abs() < 1e-15);
        rotary.turn(&mut values, 10, 2, sequences, true);
        assert!(values.iter().zip(&start).all(|(a, b)| (a - b).abs() < 1e-15));
    }
}
