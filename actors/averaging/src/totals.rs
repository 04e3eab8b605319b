//! What travels with a micro-batch's gradient beside its sums: counts and losses, exact like them.

use crate::CodecError;
use crate::contribution::{SAMPLES_MAX, SUM_BITS_MAX, magnitude_bits};
use crate::grid::NotFinite;

/// Bytes of [`ContributionHeader`] and of a result's header: five words of eight.
pub(crate) const HEADER_BYTES: usize = 40;

/// Losses are summed in units of 2^-24.
pub(crate) const LOSS_SCALE: f64 = (1u32 << 24) as f64;

/// Held-out losses are summed in units of 2^-16: a micro-batch tests many samples at once.
pub(crate) const HELD_OUT_LOSS_SCALE: f64 = (1u32 << 16) as f64;

/// Held-out losses of one micro-batch at most, in nats; larger ones and those that are not finite count as this. A model
/// that is that wrong has failed its test, which is no reason to lose a step. 1,024 micro-batches of this stay in range.
const HELD_OUT_LOSS_MAX: f64 = (1u32 << 26) as f64;

/// Counts and losses of one micro-batch.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Samples (or tokens) whose gradients were summed.
    pub samples: u32,
    /// Sum of their losses, in nats.
    pub loss_sum: f64,
    /// The slice of the held-out samples that was tested with it.
    pub held_out: HeldOut,
}

/// The test of some held-out samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HeldOut {
    /// Right answers.
    pub correct: u32,
    /// Samples tested.
    pub total: u32,
    /// Sum of their losses, in nats.
    pub loss_sum: f64,
}

impl Totals {
    /// Totals of a micro-batch without a test.
    #[must_use]
    pub fn of(samples: u32, loss_sum: f64) -> Self {
        Self { samples, loss_sum, held_out: HeldOut::default() }
    }
}

/// What a contribution says about the micro-batches in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ContributionHeader {
    /// Samples (or tokens) whose gradients were summed.
    pub samples: u64,
    /// Sum of their losses in units of 2^-24.
    pub loss: i64,
    /// Right answers on held-out samples.
    pub held_out_correct: u64,
    /// Held-out samples tested.
    pub held_out_total: u64,
    /// Sum of their losses in units of 2^-16.
    pub held_out_loss: i64,
}

impl ContributionHeader {
    /// Rounds the totals of one micro-batch to the units of sums.
    ///
    /// # Errors
    /// When the loss is not finite or out of range.
    pub(crate) fn quantise(totals: &Totals) -> Result<Self, NotFinite> {
        let held_out = &totals.held_out;
        // The comparison is false for NaN, which therefore counts as the largest.
        let held_out_loss = if held_out.loss_sum < HELD_OUT_LOSS_MAX {
            held_out.loss_sum.max(0.0)
        } else {
            HELD_OUT_LOSS_MAX
        };
        Ok(Self {
            samples: u64::from(totals.samples),
            loss: quantise_loss(totals.loss_sum)?,
            held_out_correct: u64::from(held_out.correct.min(held_out.total)),
            held_out_total: u64::from(held_out.total),
            held_out_loss: (held_out_loss * HELD_OUT_LOSS_SCALE).round_ties_even() as i64,
        })
    }

    /// The sum of two, each in range.
    ///
    /// # Errors
    /// When the sum is not.
    pub(crate) fn plus(&self, other: &Self) -> Result<Self, CodecError> {
        // All are within 2^53 in magnitude, so that no addition can overflow.
        let sum = Self {
            samples: self.samples + other.samples,
            loss: self.loss + other.loss,
            held_out_correct: self.held_out_correct + other.held_out_correct,
            held_out_total: self.held_out_total + other.held_out_total,
            held_out_loss: self.held_out_loss + other.held_out_loss,
        };
        sum.check()?;
        Ok(sum)
    }

    /// That everything is in the ranges of exact arithmetic.
    pub(crate) fn check(&self) -> Result<(), CodecError> {
        if self.samples > SAMPLES_MAX {
            return Err(CodecError::Samples);
        }
        if magnitude_bits(self.loss) >> SUM_BITS_MAX != 0 {
            return Err(CodecError::Loss);
        }
        let is_loss = self.held_out_loss >> SUM_BITS_MAX == 0;
        if self.held_out_total > SAMPLES_MAX || self.held_out_correct > self.held_out_total || !is_loss {
            return Err(CodecError::HeldOut);
        }
        Ok(())
    }

    /// Little endian, in the order of the fields.
    pub(crate) fn to_bytes(self) -> [u8; HEADER_BYTES] {
        let words = [
            self.samples.to_le_bytes(),
            self.loss.to_le_bytes(),
            self.held_out_correct.to_le_bytes(),
            self.held_out_total.to_le_bytes(),
            self.held_out_loss.to_le_bytes(),
        ];
        let mut bytes = [0; HEADER_BYTES];
        for (room, word) in bytes.as_chunks_mut::<8>().0.iter_mut().zip(words) {
            *room = word;
        }
        bytes
    }

    /// What [`Self::to_bytes`] wrote. Not checked.
    pub(crate) fn from_bytes(bytes: &[u8; HEADER_BYTES]) -> Self {
        let (words, _) = bytes.as_chunks::<8>();
        Self {
            samples: u64::from_le_bytes(words[0]),
            loss: i64::from_le_bytes(words[1]),
            held_out_correct: u64::from_le_bytes(words[2]),
            held_out_total: u64::from_le_bytes(words[3]),
            held_out_loss: i64::from_le_bytes(words[4]),
        }
    }
}

fn quantise_loss(loss_sum: f64) -> Result<i64, NotFinite> {
    let scaled = (loss_sum * LOSS_SCALE).round_ties_even();
    // The negation also catches NaN.
    let in_range = scaled.abs() < (1u64 << SUM_BITS_MAX) as f64;
    if in_range { Ok(scaled as i64) } else { Err(NotFinite::Loss { loss_sum }) }
}
