//! How a rule for one parameter becomes a pass over all of them.

use super::{MODERATE_MAX, Moving, NotFinite, both, middle};

/// What one update does to a parameter with `M` moments.
pub(super) trait Rule<const M: usize>: Copy + Send + Sync {
    /// The parameter and its moments afterwards.
    fn moved(&self, parameter: f32, moments: [f32; M], gradient: f32) -> (f32, [f32; M]);

    /// Whether it moves everything moderate to something finite.
    fn is_moderate(&self) -> bool;
}

/// Applies `rule` with the gradient times `scale`, which is at most 1.
///
/// Nothing may change if a number would become infinite, and a copy of everything would cost memory. So it is seen beforehand:
/// what is moderate stays finite, and every pass tells whether its results are moderate; only without that a pass over
/// everything looks first.
///
/// # Errors
/// [`NotFinite::Update`]; then nothing has changed.
pub(super) fn apply<const M: usize>(
    rule: impl Rule<M>,
    moving: Moving<'_>,
    gradient: &[f32],
    scale: f32,
    gradient_is_moderate: bool,
) -> Result<(), NotFinite> {
    let Moving { parameters, moments, moderate } = moving;
    let elements = parameters.len();
    assert_eq!((gradient.len(), moments.len()), (elements, M * elements), "vectors of one length");
    let mut parts = moments.chunks_exact_mut(elements.max(1));
    let moments: [&mut [f32]; M] = std::array::from_fn(|_| parts.next().unwrap_or_default());
    if !(*moderate && gradient_is_moderate && rule.is_moderate()) {
        let shared = moments.each_ref().map(|moment| &**moment);
        if let Some(index) = first_not_finite(rule, parameters, shared, gradient, scale) {
            return Err(NotFinite::Update { index });
        }
    }
    *moderate = pass(rule, parameters, moments, gradient, scale);
    Ok(())
}

fn first_not_finite<const M: usize>(
    rule: impl Rule<M>,
    parameters: &[f32],
    moments: [&[f32]; M],
    gradient: &[f32],
    scale: f32,
) -> Option<usize> {
    (0..parameters.len()).find(|index| {
        let moments = moments.map(|moment| moment[*index]);
        let (parameter, moments) = rule.moved(parameters[*index], moments, gradient[*index] * scale);
        !parameter.is_finite() || moments.iter().any(|moment| !moment.is_finite())
    })
}

/// Moves everything; whether it is moderate afterwards.
fn pass<const M: usize, R: Rule<M>>(
    rule: R,
    parameters: &mut [f32],
    mut moments: [&mut [f32]; M],
    gradient: &[f32],
    scale: f32,
) -> bool {
    let elements = parameters.len();
    let Some(middle) = middle(elements) else {
        return chunk_pass(rule, parameters, moments, gradient, scale);
    };
    let (left, right) = parameters.split_at_mut(middle);
    let right_moments = moments.each_mut().map(|moment| {
        let (left, right) = std::mem::take(moment).split_at_mut(middle);
        *moment = left;
        right
    });
    let (left_gradient, right_gradient) = gradient.split_at(middle);
    let (left, right) = both(
        elements,
        || pass(rule, left, moments, left_gradient, scale),
        || pass(rule, right, right_moments, right_gradient, scale),
    );
    left && right
}

fn chunk_pass<const M: usize>(
    rule: impl Rule<M>,
    parameters: &mut [f32],
    moments: [&mut [f32]; M],
    gradient: &[f32],
    scale: f32,
) -> bool {
    // Slices of one known length: no index is checked in the loop, which becomes vector instructions.
    let elements = parameters.len();
    let moments = moments.map(|moment| &mut moment[..elements]);
    let gradient = &gradient[..elements];
    let mut excess = 0;
    for index in 0..elements {
        let before = std::array::from_fn(|which| moments[which][index]);
        let (parameter, after) = rule.moved(parameters[index], before, gradient[index] * scale);
        parameters[index] = parameter;
        excess |= u32::from(is_excessive(parameter));
        for which in 0..M {
            moments[which][index] = after[which];
            excess |= u32::from(is_excessive(after[which]));
        }
    }
    excess == 0
}

/// Above [`MODERATE_MAX`]; NaN is, too. Numbers without a sign are ordered like their bits.
fn is_excessive(value: f32) -> bool {
    value.to_bits() & (u32::MAX >> 1) > MODERATE_MAX.to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn excess_is_magnitude_or_no_number() {
        for value in [0.0, -1.0, f32::MIN_POSITIVE / 2.0, MODERATE_MAX, -MODERATE_MAX] {
            assert!(!is_excessive(value), "{value}");
        }
        for value in [MODERATE_MAX.next_up(), -MODERATE_MAX.next_up(), f32::MAX, f32::NEG_INFINITY, f32::NAN]
        {
            assert!(is_excessive(value), "{value}");
        }
    }
}
