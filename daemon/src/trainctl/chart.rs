//! A loss curve in text.

use crate::control::api::LossPoint;

/// Eighths of a character cell, from none to all.
const EIGHTHS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Something that happened at a step, shown below the axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// When.
    pub(super) step: u64,
    /// How it looks, one column wide.
    pub(super) sign: char,
}

/// The curve of `points` over `0..=steps` in `columns` × `lines` characters and an axis; empty without points.
pub(super) fn loss_chart(
    points: &[LossPoint],
    steps: u64,
    marks: &[Mark],
    columns: usize,
    lines: usize,
) -> String {
    let means = column_means(points, steps, columns);
    let losses = means.iter().flatten().copied();
    let Some(top) = losses.clone().reduce(f64::max) else { return String::new() };
    let bottom = losses.fold(top, f64::min).min(0.0);
    let span = if top > bottom { top - bottom } else { 1.0 };
    let cells = (lines * 8) as f64;
    let heights: Vec<usize> =
        means.iter().map(|mean| mean.map_or(0, |mean| eighths((mean - bottom) / span * cells))).collect();
    let mut text = String::new();
    for line in 0..lines {
        let below = (lines - 1 - line) * 8;
        let label = match line {
            0 => format!("{top:7.3}"),
            _ if line == lines - 1 => format!("{bottom:7.3}"),
            _ => " ".repeat(7),
        };
        let row: String = heights.iter().map(|height| EIGHTHS[height.saturating_sub(below).min(8)]).collect();
        text.push_str(&format!("{label} ┤{}\n", row.trim_end()));
    }
    text.push_str(&format!("{} └{}\n", " ".repeat(7), "─".repeat(columns)));
    text.push_str(&axis(steps, marks, columns));
    text
}

/// The last step at the right end, and the marks between it and zero.
fn axis(steps: u64, marks: &[Mark], columns: usize) -> String {
    let mut row = vec![' '; columns];
    if let Some(first) = row.first_mut() {
        *first = '0';
    }
    let label: Vec<char> = format!("step {steps}").chars().collect();
    let start = columns.saturating_sub(label.len());
    for (place, character) in row[start..].iter_mut().zip(label) {
        *place = character;
    }
    for mark in marks {
        row[column_of(mark.step, steps, columns)] = mark.sign;
    }
    let row: String = row.into_iter().collect();
    format!("{} {}\n", " ".repeat(8), row.trim_end())
}

/// Mean loss of the points in each column; a column without points repeats the one before it, until the last point.
fn column_means(points: &[LossPoint], steps: u64, columns: usize) -> Vec<Option<f64>> {
    let mut sums = vec![(0.0, 0u32); columns];
    let finite = || points.iter().filter(|point| point.loss.is_finite());
    for point in finite() {
        let (sum, count) = &mut sums[column_of(point.step, steps, columns)];
        *sum += point.loss;
        *count += 1;
    }
    let last = finite().map(|point| column_of(point.step, steps, columns)).max();
    let mut before = None;
    let mut means = Vec::with_capacity(columns);
    for (column, (sum, count)) in sums.into_iter().enumerate() {
        let is_past = last.is_none_or(|last| column > last);
        before = if is_past {
            None
        } else if count > 0 {
            Some(sum / f64::from(count))
        } else {
            before
        };
        means.push(before);
    }
    means
}

fn column_of(step: u64, steps: u64, columns: usize) -> usize {
    let last = columns.saturating_sub(1);
    let column = u128::from(step) * last as u128 / u128::from(steps.max(1));
    usize::try_from(column).unwrap_or(last).min(last)
}

/// At least one eighth, so that a small loss is seen.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "between 0 and the cells of a chart"
)]
fn eighths(height: f64) -> usize {
    (height.round().max(1.0)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_falling_loss_looks_like_one() {
        let points: Vec<LossPoint> =
            (0..=9).map(|step| LossPoint { step, loss: 1.8 - 0.2 * step as f64 }).collect();
        let marks = [Mark { step: 3, sign: 'x' }];
        assert_eq!(
            loss_chart(&points, 9, &marks, 10, 2),
            concat!(
                "  1.800 ┤█▆▄▃▁\n",
                "  0.000 ┤█████▇▅▄▂▁\n",
                "        └──────────\n",
                "         0  xstep 9\n",
            )
        );
    }

    #[test]
    fn columns_without_a_step_repeat_and_the_future_is_empty() {
        let points = [LossPoint { step: 0, loss: 1.0 }, LossPoint { step: 50, loss: 1.0 }];
        let means = column_means(&points, 100, 11);
        assert_eq!(means[..6], [Some(1.0); 6]);
        assert_eq!(means[6..], [None; 5]);
    }

    #[test]
    fn nothing_to_show_is_nothing_and_nonsense_is_left_out() {
        assert_eq!(loss_chart(&[], 10, &[], 10, 3), "");
        assert_eq!(loss_chart(&[LossPoint { step: 1, loss: f64::NAN }], 10, &[], 10, 3), "");
        assert!(loss_chart(&[LossPoint { step: 99, loss: 2.0 }], 0, &[], 10, 3).contains("2.000"));
    }
}
