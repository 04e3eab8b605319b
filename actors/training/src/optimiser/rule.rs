//! How a rule for one parameter becomes a pass over all of them.

use std::ops::Range;

use super::{Before, Input, MODERATE_MAX, Moving, NotFinite, both, middle};
use crate::numbers::{PastCaches, Real, vectorised};

/// Elements that are moved at once where the result goes elsewhere: few enough that it stays in the first cache on its way.
const BLOCK_ELEMENTS: usize = 512;
/// Elements of a piece whose result goes elsewhere: its first and last lines are written in parts and its end waits until all is
/// written, which is not to happen often.
const BESIDE_ELEMENTS: usize = 1 << 18;

/// What one update does to a parameter with `M` moments.
pub(super) trait Rule<T, const M: usize>: Copy + Send + Sync {
    /// The parameter and its moments afterwards.
    fn moved(&self, parameter: T, moments: [T; M], gradient: T) -> (T, [T; M]);

    /// Whether it moves everything moderate to something finite.
    fn is_moderate(&self) -> bool;
}

/// The rules of one update: for parameters that decay, and for those that do not.
#[derive(Clone, Copy)]
pub(super) struct Rules<'a, R> {
    pub(super) decaying: R,
    pub(super) lasting: R,
    /// Places that do not decay, ascending.
    pub(super) lasting_places: &'a [Range<usize>],
}

impl<R: Copy> Rules<'_, R> {
    /// Calls `visit(rule, run)` for the runs of `range` that have one rule, from the first to the last.
    fn for_each_run(&self, range: Range<usize>, mut visit: impl FnMut(R, Range<usize>)) {
        let mut start = range.start;
        let first = self.lasting_places.partition_point(|place| place.end <= start);
        for place in &self.lasting_places[first..] {
            if place.start >= range.end {
                break;
            }
            if start < place.start {
                visit(self.decaying, start..place.start);
            }
            let end = place.end.min(range.end);
            visit(self.lasting, start.max(place.start)..end);
            start = end;
        }
        if start < range.end {
            visit(self.decaying, start..range.end);
        }
    }
}

/// A piece of everything that moves, from element `first` on.
struct Piece<'a, T, const M: usize> {
    first: usize,
    before: Option<PieceBefore<'a, T, M>>,
    parameters: &'a mut [T],
    moments: [&'a mut [T]; M],
    gradient: &'a [T],
}

/// What a piece was, where that is to stay.
#[derive(Clone, Copy)]
struct PieceBefore<'a, T, const M: usize> {
    parameters: &'a [T],
    moments: [&'a [T]; M],
}

impl<'a, T: Real, const M: usize> PieceBefore<'a, T, M> {
    fn of(before: Before<'a, T>) -> Self {
        let Before { parameters, moments } = before;
        assert_eq!(moments.len(), M * parameters.len(), "vectors of one length");
        let mut parts = moments.chunks_exact(parameters.len().max(1));
        Self { parameters, moments: std::array::from_fn(|_| parts.next().unwrap_or_default()) }
    }

    fn part(&self, range: Range<usize>) -> Self {
        Self {
            parameters: &self.parameters[range.clone()],
            moments: self.moments.map(|moment| &moment[range.clone()]),
        }
    }
}

impl<T: Real, const M: usize> Piece<'_, T, M> {
    fn split(self, middle: usize) -> (Self, Self) {
        let Self { first, before, parameters, mut moments, gradient } = self;
        let elements = parameters.len();
        let before_in = |range: Range<usize>| before.map(|before| before.part(range));
        let (left, right) = parameters.split_at_mut(middle);
        let right_moments = moments.each_mut().map(|moment| {
            let (left, right) = std::mem::take(moment).split_at_mut(middle);
            *moment = left;
            right
        });
        let (left_gradient, right_gradient) = gradient.split_at(middle);
        (
            Self { first, before: before_in(0..middle), parameters: left, moments, gradient: left_gradient },
            Self {
                first: first + middle,
                before: before_in(middle..elements),
                parameters: right,
                moments: right_moments,
                gradient: right_gradient,
            },
        )
    }
}

/// Applies the rules with the gradient times the scale, which is at most 1.
///
/// Nothing may change if a number would become infinite, and a copy of everything would cost memory. So it is seen beforehand:
/// what is moderate stays finite, and every pass tells whether its results are moderate; only without that a pass over
/// everything looks first.
///
/// # Errors
/// [`NotFinite::Update`]; then nothing has changed.
pub(super) fn apply<T: Real, const M: usize, R: Rule<T, M>>(
    rules: Rules<'_, R>,
    input: Input<'_, T>,
) -> Result<(), NotFinite> {
    let Input { before, moving, gradient, scale, is_moderate: gradient_is_moderate } = input;
    let Moving { parameters, moments, moderate } = moving;
    let elements = parameters.len();
    assert_eq!((gradient.len(), moments.len()), (elements, M * elements), "vectors of one length");
    let mut parts = moments.chunks_exact_mut(elements.max(1));
    let moments: [&mut [T]; M] = std::array::from_fn(|_| parts.next().unwrap_or_default());
    let before = before.map(PieceBefore::of);
    assert!(before.is_none_or(|before| before.parameters.len() == elements), "vectors of one length");
    let are_moderate = rules.decaying.is_moderate() && rules.lasting.is_moderate();
    if !(*moderate && gradient_is_moderate && are_moderate) {
        let in_place = PieceBefore { parameters, moments: moments.each_ref().map(|moment| &**moment) };
        if let Some(index) = first_not_finite(rules, before.unwrap_or(in_place), gradient, scale) {
            return Err(NotFinite::Update { index });
        }
    }
    *moderate = pass(rules, Piece { first: 0, before, parameters, moments, gradient }, scale);
    Ok(())
}

fn first_not_finite<T: Real, const M: usize, R: Rule<T, M>>(
    rules: Rules<'_, R>,
    before: PieceBefore<'_, T, M>,
    gradient: &[T],
    scale: T,
) -> Option<usize> {
    let PieceBefore { parameters, moments } = before;
    let mut first = None;
    rules.for_each_run(0..parameters.len(), |rule, run| {
        let is_bad = |index: &usize| {
            let moments = moments.map(|moment| moment[*index]);
            let (parameter, moments) = rule.moved(parameters[*index], moments, gradient[*index] * scale);
            !parameter.wide().is_finite() || moments.iter().any(|moment| !moment.wide().is_finite())
        };
        if first.is_none() {
            first = run.clone().find(is_bad);
        }
    });
    first
}

/// Moves everything; whether it is moderate afterwards.
fn pass<T: Real, const M: usize, R: Rule<T, M>>(
    rules: Rules<'_, R>,
    piece: Piece<'_, T, M>,
    scale: T,
) -> bool {
    let elements = piece.parameters.len();
    let is_small = piece.before.is_some() && elements <= BESIDE_ELEMENTS;
    let Some(middle) = middle(elements).filter(|_| !is_small) else { return chunk_pass(rules, piece, scale) };
    let (left, right) = piece.split(middle);
    let (left, right) = both(elements, || pass(rules, left, scale), || pass(rules, right, scale));
    left && right
}

fn chunk_pass<T: Real, const M: usize, R: Rule<T, M>>(
    rules: Rules<'_, R>,
    piece: Piece<'_, T, M>,
    scale: T,
) -> bool {
    let Piece { first, before, parameters, mut moments, gradient } = piece;
    let mut is_moderate = true;
    rules.for_each_run(first..first + parameters.len(), |rule, run| {
        let run = run.start - first..run.end - first;
        let moments = moments.each_mut().map(|moment| &mut moment[run.clone()]);
        let (parameters, gradient) = (&mut parameters[run.clone()], &gradient[run.clone()]);
        is_moderate &= match before.map(|before| before.part(run)) {
            None => vectorised(
                #[inline(always)]
                || run_pass(rule, parameters, moments, gradient, scale),
            ),
            Some(before) => vectorised(
                #[inline(always)]
                || run_pass_beside(rule, before, (parameters, moments), gradient, scale),
            ),
        };
    });
    is_moderate
}

#[inline(always)]
fn run_pass<T: Real, const M: usize>(
    rule: impl Rule<T, M>,
    parameters: &mut [T],
    moments: [&mut [T]; M],
    gradient: &[T],
    scale: T,
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

/// As [`run_pass`], but what was stays. The results go past the caches, so that writing them elsewhere does not read what was
/// there.
#[inline(always)]
fn run_pass_beside<T: Real, const M: usize>(
    rule: impl Rule<T, M>,
    before: PieceBefore<'_, T, M>,
    (parameters, moments): (&mut [T], [&mut [T]; M]),
    gradient: &[T],
    scale: T,
) -> bool {
    let mut place = PastCaches::begin(parameters);
    let mut moment_places = moments.map(PastCaches::begin);
    let mut block = [T::ZERO; BLOCK_ELEMENTS];
    let mut moment_blocks = [[T::ZERO; BLOCK_ELEMENTS]; M];
    let mut excess = 0;
    for start in (0..gradient.len()).step_by(BLOCK_ELEMENTS) {
        let range = start..gradient.len().min(start + BLOCK_ELEMENTS);
        let elements = range.len();
        // Slices of one known length, as in `run_pass`.
        let PieceBefore { parameters: before_parameters, moments: before_moments } =
            before.part(range.clone());
        let before_parameters = &before_parameters[..elements];
        let before_moments = before_moments.map(|moment| &moment[..elements]);
        let gradient = &gradient[range.clone()][..elements];
        let moved = &mut block[..elements];
        let moved_moments = moment_blocks.each_mut().map(|block| &mut block[..elements]);
        for index in 0..elements {
            let moments = std::array::from_fn(|which| before_moments[which][index]);
            let (parameter, after) = rule.moved(before_parameters[index], moments, gradient[index] * scale);
            moved[index] = parameter;
            excess |= u32::from(is_excessive(parameter));
            for which in 0..M {
                moved_moments[which][index] = after[which];
                excess |= u32::from(is_excessive(after[which]));
            }
        }
        place.write(moved);
        for (place, moved) in moment_places.iter_mut().zip(moved_moments) {
            place.write(moved);
        }
    }
    excess == 0
}

/// Above [`MODERATE_MAX`]; NaN is, too.
#[inline(always)]
fn is_excessive<T: Real>(value: T) -> bool {
    let most = T::of(f64::from(MODERATE_MAX));
    !(value <= most && value >= -most)
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

    #[test]
    fn runs_cover_everything_in_order_whatever_lasts() {
        let rules = Rules { decaying: 'd', lasting: 'l', lasting_places: &[2..4, 4..5, 8..20] };
        let runs = |range| {
            let mut runs = Vec::new();
            rules.for_each_run(range, |rule, run| runs.push((rule, run)));
            runs
        };
        assert_eq!(runs(0..10), [('d', 0..2), ('l', 2..4), ('l', 4..5), ('d', 5..8), ('l', 8..10)]);
        assert_eq!(runs(3..8), [('l', 3..4), ('l', 4..5), ('d', 5..8)]);
        assert_eq!(runs(9..12), [('l', 9..12)]);
        assert_eq!(runs(20..25), [('d', 20..25)]);
    }
}
