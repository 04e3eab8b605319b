//! How far the mean is from that of the same gradients in `f64`.

use traind_averaging::{Accumulator, Grid, PartLayout, Totals, decode_result};

use crate::seeded::{MicroBatch, Seeded};

const ELEMENTS: usize = 40 * 256 + 5;
const MICRO_BATCHES: usize = 8;

/// Runs a step; returns the mean by the crate, the mean in `f64`, that of `f32` accumulation, and the samples.
fn step(grid: &mut Grid, micro_batches: &[MicroBatch]) -> (Vec<f32>, Vec<f64>, Vec<f32>, f64) {
    let layout = *grid.layout();
    let samples: f64 = micro_batches.iter().map(|micro_batch| f64::from(micro_batch.samples)).sum();
    let mut in_f64 = vec![0f64; ELEMENTS];
    let mut in_f32 = vec![0f32; ELEMENTS];
    for micro_batch in micro_batches {
        for (element, value) in micro_batch.gradient.iter().enumerate() {
            in_f64[element] += f64::from(*value);
            in_f32[element] += value;
        }
    }
    in_f64.iter_mut().for_each(|value| *value /= samples);
    in_f32.iter_mut().for_each(|value| *value /= samples as f32);
    let mut mean = vec![0f32; ELEMENTS];
    for part in 0..layout.parts() {
        let mut sum = Accumulator::new(layout.range(part).len());
        for micro_batch in micro_batches {
            sum.add(&micro_batch.quantise(grid, part).unwrap()).unwrap();
        }
        let result = grid.mean(part, &sum);
        let header = decode_result(&result, &mut mean[layout.range(part)]).unwrap();
        assert_eq!(header.samples as f64, samples);
        let loss: f64 = micro_batches.iter().map(|micro_batch| micro_batch.loss_sum).sum();
        assert!((header.loss_mean - loss / samples).abs() < 2f64.powi(-24), "{} {}", header.loss_mean, loss);
        grid.advance(part, &result).unwrap();
    }
    (mean, in_f64, in_f32, samples)
}

/// The relative L2 error of each block that is not zero.
fn block_errors(mean: &[f32], truth: &[f64]) -> Vec<f64> {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    mean.chunks(256)
        .zip(truth.chunks(256))
        .filter_map(|(mean, truth)| {
            let size = norm(&mut truth.iter().copied());
            let error = norm(&mut mean.iter().zip(truth).map(|(mean, truth)| f64::from(*mean) - truth));
            (size > 0.0).then(|| error / size)
        })
        .collect()
}

#[test]
fn every_block_is_within_a_millionth_of_the_mean_in_f64() {
    let mut seeded = Seeded::new("every_block_is_within_a_millionth_of_the_mean_in_f64", 3);
    let layout = PartLayout::new(ELEMENTS).unwrap();
    let mut grid = Grid::new(&layout);
    let (mut errors, mut errors_f32) = (Vec::new(), Vec::new());
    for step_index in 0..10 {
        let micro_batches: Vec<_> =
            (0..MICRO_BATCHES).map(|_| MicroBatch::random(&mut seeded, ELEMENTS, 24)).collect();
        let (mean, truth, in_f32, samples) = step(&mut grid, &micro_batches);
        let blocks = block_errors(&mean, &truth);
        let worst = blocks.iter().fold(0f64, |worst, error| worst.max(*error));
        assert!(worst <= 1e-6, "step {step_index}: {worst:e}");
        errors.extend(blocks);
        errors_f32.extend(block_errors(&in_f32, &truth));
        // The bound itself: half a grid a micro-batch (the floor's), and the rounding to f32.
        if step_index == 0 {
            for (mean, truth) in mean.iter().zip(&truth) {
                let bound = MICRO_BATCHES as f64 * 2f64.powi(-41) / samples + truth.abs() * 2f64.powi(-24);
                assert!((f64::from(*mean) - truth).abs() <= bound * 1.000_001, "{mean:e} {truth:e}");
            }
        }
    }
    errors.sort_by(f64::total_cmp);
    errors_f32.sort_by(f64::total_cmp);
    println!(
        "relative L2 error of a block, magnitudes 1 to 2^-34: median {:.1e}, worst {:.1e}; f32 accumulation: {:.1e}, {:.1e}",
        errors[errors.len() / 2],
        errors[errors.len() - 1],
        errors_f32[errors_f32.len() / 2],
        errors_f32[errors_f32.len() - 1]
    );
}

#[test]
fn a_block_that_all_but_vanished_may_return_at_full_size() {
    let layout = PartLayout::new(512).unwrap();
    let mut grid = Grid::new(&layout);
    // By 2^-8 a step, so that the grid could follow far below its floor; then back at once, and once more.
    let shrinking = (0..16).map(|step| 2f32.powi(-8 * step));
    for size in shrinking.clone().chain([8000.0, 0.0, 8000.0]).chain(shrinking).chain([8000.0]) {
        let mut sum = Accumulator::new(512);
        sum.add(&grid.quantise(0, &[size; 512], &Totals::of(1, 0.0)).unwrap()).unwrap();
        let result = grid.mean(0, &sum);
        let mut mean = vec![0f32; 512];
        decode_result(&result, &mut mean).unwrap();
        let expected = if size < 2f32.powi(-40) { 0.0 } else { size };
        assert_eq!(mean, vec![expected; 512]);
        grid.advance(0, &result).unwrap();
    }
}
