//! Optimisers over flat vectors: in place, in one pass, resumable. An update is a pure function of the parameters, the
//! moments, the gradient, the learning rate and the number of updates before it. It consists of additions,
//! multiplications, divisions and square roots that IEEE 754 rounds exactly, in a fixed order (Rust never contracts
//! them), so it has the same bits on every processor, whatever the number of threads.

mod adamw;
mod average;
mod gradient_norm;
mod lion;
mod rule;
mod sgd;
#[cfg(test)]
mod tests;

use std::ops::Range;

use self::{
    adamw::Adamw,
    average::Averaged,
    gradient_norm::square_sum,
    lion::Lion,
    rule::{Rule, Rules, apply},
    sgd::Sgd,
};
use crate::{numbers::Real, spec::OptimiserSpec};

/// Elements that are handled at once. Vectors are halved at multiples of it until no piece is longer.
const CHUNK_ELEMENTS: usize = 1 << 14;
/// Shorter vectors are not worth waking another thread.
const PARALLEL_ELEMENTS_MIN: usize = 1 << 17;
/// Parameters, moments and gradients up to this are moderate: no update of them by moderate constants can overflow. See
/// the rules for why.
const MODERATE_MAX: f32 = (1u64 << 60) as f32;

/// What is updated.
pub(crate) struct Moving<'a, T> {
    pub(crate) parameters: &'a mut [T],
    /// [`OptimiserSpec::moments`] vectors as long as the parameters, one after the other; the average after them.
    pub(crate) moments: &'a mut [T],
    /// Whether all of these are known to be at most [`MODERATE_MAX`]. `false` is always right, and slower once.
    pub(crate) moderate: &'a mut bool,
}

/// What it was, where the update is not to be written over it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Before<'a, T> {
    pub(crate) parameters: &'a [T],
    /// As many as are [`Moving`].
    pub(crate) moments: &'a [T],
}

/// How it is updated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change<'a> {
    pub(crate) optimiser: &'a OptimiserSpec,
    /// What the schedule makes of the optimiser's.
    pub(crate) learning_rate: f64,
    /// Updates before this one.
    pub(crate) step: u64,
    /// Of the average of the parameters, where there is one.
    pub(crate) average_decay: Option<f64>,
    /// Places of parameters that do not decay, ascending.
    pub(crate) lasting_places: &'a [Range<usize>],
}

impl<'a> Change<'a> {
    /// Without an average, with one decay for all.
    #[cfg(test)]
    pub(crate) fn of(optimiser: &'a OptimiserSpec, learning_rate: f64, step: u64) -> Self {
        Self { optimiser, learning_rate, step, average_decay: None, lasting_places: &[] }
    }
}

/// Why an update was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotFinite {
    /// This element of the gradient is infinite or NaN.
    Gradient { index: usize },
    /// This parameter or one of its moments would be.
    Update { index: usize },
}

/// One update in place; the norm of the gradient before clipping.
///
/// # Errors
/// The first number that is not finite, or would not be afterwards; then nothing has changed.
pub(crate) fn update<T: Real>(
    change: &Change<'_>,
    moving: Moving<'_, T>,
    gradient: &[T],
) -> Result<f64, NotFinite> {
    update_from(change, None, moving, gradient)
}

/// One update of what was `before`, which stays as it is: what moves is written anew, whatever it holds. In place without that.
///
/// # Errors
/// As [`update`].
pub(crate) fn update_from<T: Real>(
    change: &Change<'_>,
    before: Option<Before<'_, T>>,
    moving: Moving<'_, T>,
    gradient: &[T],
) -> Result<f64, NotFinite> {
    // Squares of f32 are far from overflowing in f64: their sum is finite exactly if all of them are.
    let norm = square_sum(gradient).sqrt();
    if !norm.is_finite() {
        let index = gradient.iter().position(|value| !value.wide().is_finite()).unwrap_or(0);
        return Err(NotFinite::Gradient { index });
    }
    let scale = match change.optimiser.clip_norm() {
        clip_norm if clip_norm > 0.0 && norm > clip_norm => T::of(clip_norm / norm),
        _ => T::ONE,
    };
    let is_moderate = norm <= f64::from(MODERATE_MAX);
    let input = Input { before, moving, gradient, scale, is_moderate };
    let rate = change.learning_rate;
    match *change.optimiser {
        OptimiserSpec::Sgd { momentum, weight_decay, .. } => {
            let [decaying, lasting] = [weight_decay, 0.0].map(|decay| Sgd::new(rate, momentum, decay));
            apply_one(change, decaying, lasting, input)?;
        }
        OptimiserSpec::Lion { beta1, beta2, weight_decay, .. } => {
            let [decaying, lasting] = [weight_decay, 0.0].map(|decay| Lion::new(rate, (beta1, beta2), decay));
            apply_one(change, decaying, lasting, input)?;
        }
        OptimiserSpec::Adamw { beta1, beta2, epsilon, weight_decay, .. } => {
            let rule = |decay| Adamw::new(rate, (beta1, beta2), epsilon, decay, change.step + 1);
            let [decaying, lasting] = [weight_decay, 0.0].map(rule);
            apply_two(change, decaying, lasting, input)?;
        }
    }
    Ok(norm)
}

/// What rules are applied to.
struct Input<'a, T> {
    before: Option<Before<'a, T>>,
    moving: Moving<'a, T>,
    gradient: &'a [T],
    scale: T,
    is_moderate: bool,
}

impl<T: Real> Input<'_, T> {
    fn apply<const M: usize, R: Rule<T, M>>(self, rules: Rules<'_, R>) -> Result<(), NotFinite> {
        apply(rules, self)
    }
}

/// Rules with one moment, averaged or not.
fn apply_one<T: Real, R: Rule<T, 1>>(
    change: &Change<'_>,
    decaying: R,
    lasting: R,
    input: Input<'_, T>,
) -> Result<(), NotFinite> {
    let lasting_places = change.lasting_places;
    match change.average_decay {
        None => input.apply::<1, R>(Rules { decaying, lasting, lasting_places }),
        Some(decay) => {
            let [decaying, lasting] = [decaying, lasting].map(|rule| Averaged::new(rule, decay));
            input.apply::<2, Averaged<T, R>>(Rules { decaying, lasting, lasting_places })
        }
    }
}

/// Rules with two moments, averaged or not.
fn apply_two<T: Real, R: Rule<T, 2>>(
    change: &Change<'_>,
    decaying: R,
    lasting: R,
    input: Input<'_, T>,
) -> Result<(), NotFinite> {
    let lasting_places = change.lasting_places;
    match change.average_decay {
        None => input.apply::<2, R>(Rules { decaying, lasting, lasting_places }),
        Some(decay) => {
            let [decaying, lasting] = [decaying, lasting].map(|rule| Averaged::new(rule, decay));
            input.apply::<3, Averaged<T, R>>(Rules { decaying, lasting, lasting_places })
        }
    }
}

/// Where a vector of so many elements is cut in two: a pure function, so that trees of halves are the same everywhere.
/// `None` for one chunk or less.
fn middle(elements: usize) -> Option<usize> {
    (elements > CHUNK_ELEMENTS).then(|| (elements / 2).next_multiple_of(CHUNK_ELEMENTS))
}

/// Runs both, at the same time where that is worth it for so many elements.
fn both<A: Send, B: Send>(
    elements: usize,
    first: impl FnOnce() -> A + Send,
    second: impl FnOnce() -> B + Send,
) -> (A, B) {
    if elements >= PARALLEL_ELEMENTS_MIN && crate::threads::count() > 1 {
        rayon::join(first, second)
    } else {
        (first(), second())
    }
}
