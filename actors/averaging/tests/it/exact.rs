//! The sum has the same bytes whatever the order and grouping of its micro-batches.

use traind_averaging::{
    Accumulator, Grid, HeldOut, NotFinite, PartLayout, Totals, check_contribution, check_result,
};

use crate::seeded::{MicroBatch, Seeded};

/// Two parts, the last ragged within a block.
const ELEMENTS: usize = 16_384 + 3 * 256 + 17;

/// Sums `contributions` in a random order and grouping, groups of groups included.
fn sum_somehow(seeded: &mut Seeded, elements: usize, mut contributions: Vec<Vec<u8>>) -> Accumulator {
    while contributions.len() > 1 && seeded.below(3) > 0 {
        seeded.shuffle(&mut contributions);
        let mut group = Accumulator::new(elements);
        let taken = 1 + seeded.below(contributions.len());
        for contribution in contributions.drain(..taken) {
            group.add(&contribution).unwrap();
        }
        contributions.push(group.encode());
    }
    seeded.shuffle(&mut contributions);
    let mut sum = Accumulator::new(elements);
    for contribution in &contributions {
        sum.add(contribution).unwrap();
    }
    sum
}

fn wide_blocks(contribution: &[u8], elements: usize) -> usize {
    contribution[40..40 + elements.div_ceil(256)].iter().filter(|flag| **flag == 1).count()
}

#[test]
fn any_partition_and_order_gives_the_same_bytes() {
    let mut seeded = Seeded::new("any_partition_and_order_gives_the_same_bytes", 20_261);
    let layout = PartLayout::new(ELEMENTS).unwrap();
    let mut grid = Grid::new(&layout);
    let (mut narrow, mut wide) = (0, 0);
    for step in 0..6 {
        let micro_batches: Vec<_> =
            (0..1 + seeded.below(12)).map(|_| MicroBatch::random(&mut seeded, ELEMENTS, 12)).collect();
        let before = grid.clone();
        for part in 0..layout.parts() {
            let elements = layout.range(part).len();
            let contributions: Vec<_> = micro_batches
                .iter()
                .map(|micro_batch| micro_batch.quantise(&before, part).unwrap())
                .collect();
            for contribution in &contributions {
                let header = check_contribution(&layout, part, contribution).unwrap();
                assert!((1..=64).contains(&header.samples));
                wide += wide_blocks(contribution, elements);
                narrow += elements.div_ceil(256) - wide_blocks(contribution, elements);
            }
            let first = sum_somehow(&mut seeded, elements, contributions.clone());
            for _ in 0..8 {
                let other = sum_somehow(&mut seeded, elements, contributions.clone());
                assert_eq!(other.encode(), first.encode(), "step {step} part {part}");
                assert_eq!(before.mean(part, &other), before.mean(part, &first), "step {step} part {part}");
            }
            let result = before.mean(part, &first);
            check_result(&layout, part, &result).unwrap();
            grid.advance(part, &result).unwrap();
        }
        assert_eq!(Grid::from_bytes(&layout, &grid.to_bytes()).unwrap(), grid);
    }
    println!("blocks of contributions: {narrow} narrow, {wide} wide");
    assert!(narrow > 100 && wide > 100, "both widths take part");
}

#[test]
fn a_sum_of_mixed_widths_is_that_of_integers() {
    let mut seeded = Seeded::new("a_sum_of_mixed_widths_is_that_of_integers", 7);
    let layout = PartLayout::new(700).unwrap();
    let grid = Grid::new(&layout);
    // In units of the first grid, 2^-40. Around 2^31 a block changes its width.
    let unit = 2f64.powi(-40);
    let mut expected = vec![0i64; 700];
    let mut sum = Accumulator::new(700);
    for round in 0..200 {
        let bits = [4, 20, 30, 31, 32, 40][seeded.below(6)];
        let gradient: Vec<f32> = (0..700).map(|_| (seeded.unit() * 2f64.powi(bits) * unit) as f32).collect();
        for (total, value) in expected.iter_mut().zip(&gradient) {
            *total += (f64::from(*value) / unit).round_ties_even() as i64;
        }
        let contribution = grid.quantise(0, &gradient, &Totals::of(1, 0.5)).unwrap();
        let blocks_beyond = gradient
            .chunks(256)
            .filter(|block| block.iter().any(|value| (f64::from(*value) / unit).abs() >= 2f64.powi(31)));
        assert_eq!(wide_blocks(&contribution, 700), blocks_beyond.count(), "round {round}");
        sum.add(&contribution).unwrap();
    }
    assert_eq!(sum.samples(), 200);
    let mut direct = vec![0f32; 700];
    let header = traind_averaging::decode_result(&grid.mean(0, &sum), &mut direct).unwrap();
    assert_eq!((header.samples, header.loss_mean), (200, 0.5));
    for (value, total) in direct.iter().zip(&expected) {
        assert_eq!(*value, (*total as f64 * unit / 200.0) as f32);
    }
}

#[test]
fn a_tie_is_rounded_to_even_in_both_widths() {
    let layout = PartLayout::new(2).unwrap();
    let grid = Grid::new(&layout);
    let unit = 2f32.powi(-40);
    for (halves, expected) in [(1, 0), (3, 2), (5, 2), (-1, 0), (-3, -2), (-5, -2), (7, 4)] {
        for large in [0.0, 2f32.powi(-7)] {
            let mut sum = Accumulator::new(2);
            let gradient = [halves as f32 * unit / 2.0, large];
            sum.add(&grid.quantise(0, &gradient, &Totals::of(1, 0.0)).unwrap()).unwrap();
            let mut values = [0f32; 2];
            traind_averaging::decode_result(&grid.mean(0, &sum), &mut values).unwrap();
            assert_eq!(values, [expected as f32 * unit, large], "{halves} halves beside {large}");
        }
    }
}

#[test]
fn what_is_not_finite_is_named() {
    let layout = PartLayout::new(ELEMENTS).unwrap();
    let grid = Grid::new(&layout);
    for (value, element) in [(f32::NAN, 0), (f32::INFINITY, 16_383), (f32::NEG_INFINITY, ELEMENTS - 1)] {
        let mut gradient = vec![1e-3; ELEMENTS];
        gradient[element] = value;
        for part in 0..layout.parts() {
            let refused = grid.quantise(part, &gradient, &Totals::of(1, 1.0));
            if layout.range(part).contains(&element) {
                assert!(
                    matches!(refused, Err(NotFinite::Gradient { element: named, .. }) if named == element),
                    "{value} at {element}: {refused:?}"
                );
            } else {
                assert!(refused.is_ok());
            }
        }
    }
    let mut gradient = vec![0.0; ELEMENTS];
    gradient[300] = -8191.5;
    assert!(grid.quantise(0, &gradient, &Totals::of(1, 1.0)).is_ok());
    gradient[300] = -8192.0;
    let refused = grid.quantise(0, &gradient, &Totals::of(1, 1.0));
    assert_eq!(refused, Err(NotFinite::GradientOutOfRange { element: 300, value: -8192.0 }));
    for loss_sum in [f64::NAN, f64::INFINITY, -1e9, 2f64.powi(29)] {
        let refused = grid.quantise(0, &[0.0; ELEMENTS], &Totals::of(1, loss_sum));
        assert!(matches!(refused, Err(NotFinite::Loss { .. })), "{loss_sum}");
    }
}

#[test]
fn a_mean_of_no_samples_is_zero() {
    let layout = PartLayout::new(3).unwrap();
    let grid = Grid::new(&layout);
    let mut sum = Accumulator::new(3);
    sum.add(&grid.quantise(0, &[1.0, -1.0, 0.0], &Totals::of(0, 2.0)).unwrap()).unwrap();
    let result = grid.mean(0, &sum);
    let mut values = [9f32; 3];
    let header = traind_averaging::decode_result(&result, &mut values).unwrap();
    assert_eq!((header.samples, header.loss_mean, values), (0, 0.0, [0.0; 3]));
}

/// Two micro-batches test a slice each; the losses are sums of units of 2^-16, so the mean is exact.
#[test]
fn held_out_tests_add_up_exactly_in_every_order() {
    let layout = PartLayout::new(3).unwrap();
    let grid = Grid::new(&layout);
    let slices = [(3, 5, 10.25), (0, 0, 0.0), (4, 4, 0.5), (1, 7, 3.0)];
    let contributions: Vec<Vec<u8>> = slices
        .iter()
        .map(|&(correct, total, loss_sum)| {
            let held_out = HeldOut { correct, total, loss_sum };
            grid.quantise(0, &[0.5; 3], &Totals { held_out, ..Totals::of(1, 1.0) }).unwrap()
        })
        .collect();
    for order in [[0, 1, 2, 3], [3, 1, 0, 2]] {
        let mut sum = Accumulator::new(3);
        order.iter().for_each(|&index: &usize| sum.add(&contributions[index]).unwrap());
        let header = check_result(&layout, 0, &grid.mean(0, &sum)).unwrap();
        assert_eq!((header.held_out_correct, header.held_out_total), (8, 16));
        assert_eq!(header.held_out_loss_mean, 13.75 / 16.0);
    }
}

/// A model that fails its test badly does not stop the step: the loss counts as the largest one.
#[test]
fn a_held_out_loss_that_is_not_finite_counts_as_the_largest() {
    let layout = PartLayout::new(1).unwrap();
    let grid = Grid::new(&layout);
    for loss_sum in [f64::NAN, f64::INFINITY, 1e300] {
        let held_out = HeldOut { correct: 0, total: 1, loss_sum };
        let mut sum = Accumulator::new(1);
        for _ in 0..1024 {
            let totals = Totals { held_out, ..Totals::of(1, 1.0) };
            sum.add(&grid.quantise(0, &[0.5], &totals).unwrap()).unwrap();
        }
        let header = check_result(&layout, 0, &grid.mean(0, &sum)).unwrap();
        assert_eq!(header.held_out_loss_mean, 2f64.powi(26));
    }
}
