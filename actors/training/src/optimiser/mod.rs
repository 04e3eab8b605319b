//! Optimisers over flat vectors: in place, in one pass, resumable. An update is a pure function of the parameters, the
//! moments, the gradient, the learning rate and the number of updates before it. It consists of additions,
//! multiplications, divisions and square roots that IEEE 754 rounds exactly, in a fixed order (Rust never contracts
//! them), so it has the same bits on every processor, whatever the number of threads.

mod adamw;
mod gradient_norm;
mod rule;
mod sgd;
#[cfg(test)]
mod tests;

use self::{adamw::Adamw, gradient_norm::square_sum, rule::apply, sgd::Sgd};
use crate::spec::OptimiserSpec;

/// Elements that are handled at once. Vectors are halved at multiples of it until no piece is longer.
const CHUNK_ELEMENTS: usize = 1 << 14;
/// Shorter vectors are not worth waking another thread.
const PARALLEL_ELEMENTS_MIN: usize = 1 << 17;
/// Parameters, moments and gradients up to this are moderate: no update of them by moderate constants can overflow. See
/// the rules for why.
const MODERATE_MAX: f32 = (1u64 << 60) as f32;

/// What is updated.
pub(crate) struct Moving<'a> {
    pub(crate) parameters: &'a mut [f32],
    /// [`OptimiserSpec::moments`] vectors as long as the parameters, one after the other.
    pub(crate) moments: &'a mut [f32],
    /// Whether all of these are known to be at most [`MODERATE_MAX`]. `false` is always right, and slower once.
    pub(crate) moderate: &'a mut bool,
}

/// Why an update was not made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotFinite {
    /// This element of the gradient is infinite or NaN.
    Gradient { index: usize },
    /// This parameter or one of its moments would be.
    Update { index: usize },
}

/// One update in place, the one after `step` others; the norm of the gradient before clipping.
///
/// # Errors
/// The first number that is not finite, or would not be afterwards; then nothing has changed.
pub(crate) fn update(
    spec: &OptimiserSpec,
    learning_rate: f64,
    step: u64,
    moving: Moving<'_>,
    gradient: &[f32],
) -> Result<f64, NotFinite> {
    // Squares of f32 are far from overflowing in f64: their sum is finite exactly if all of them are.
    let norm = square_sum(gradient).sqrt();
    if !norm.is_finite() {
        let index = gradient.iter().position(|value| !value.is_finite()).unwrap_or(0);
        return Err(NotFinite::Gradient { index });
    }
    let scale = match spec.clip_norm() {
        clip_norm if clip_norm > 0.0 && norm > clip_norm => (clip_norm / norm) as f32,
        _ => 1.0,
    };
    let is_moderate = norm <= f64::from(MODERATE_MAX);
    match *spec {
        OptimiserSpec::Sgd { momentum, weight_decay, .. } => {
            let rule = Sgd::new(learning_rate, momentum, weight_decay);
            apply(rule, moving, gradient, scale, is_moderate)?;
        }
        OptimiserSpec::Adamw { beta1, beta2, epsilon, weight_decay, .. } => {
            let rule = Adamw::new(learning_rate, (beta1, beta2), epsilon, weight_decay, step + 1);
            apply(rule, moving, gradient, scale, is_moderate)?;
        }
    }
    Ok(norm)
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
