//! Prints how fast gradients are quantised, added and averaged, in GB/s of `f32` gradient on one thread.

use std::hint::black_box;
use std::time::Instant;

use traind_averaging::{Accumulator, Grid, PartLayout, Totals, decode_result};

const ELEMENTS: usize = 4 << 20;
const ROUNDS: usize = 10;

fn gigabytes_per_second(mut work: impl FnMut()) -> f64 {
    let best = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            work();
            start.elapsed().as_secs_f64()
        })
        .fold(f64::INFINITY, f64::min);
    4.0 * ELEMENTS as f64 / best / 1e9
}

fn main() {
    let layout = PartLayout::new(ELEMENTS).expect("a size within the limits");
    let gradient: Vec<f32> = (0..ELEMENTS as u32)
        .map(|element| (element.wrapping_mul(2_654_435_761) as i32) as f32 * 1e-13)
        .collect();
    let mut grid = Grid::new(&layout);
    let quantise = |grid: &Grid| -> Vec<Vec<u8>> {
        (0..layout.parts())
            .map(|part| grid.quantise(part, &gradient, &Totals::of(8, 1.0)).expect("a finite gradient"))
            .collect()
    };
    let mut sums: Vec<_> =
        (0..layout.parts()).map(|part| Accumulator::new(layout.range(part).len())).collect();
    for step in ["step 0, wide blocks", "step 1, narrow blocks"] {
        let contributions = quantise(&grid);
        let quantised = gigabytes_per_second(|| drop(black_box(quantise(&grid))));
        let added = gigabytes_per_second(|| {
            for (sum, contribution) in sums.iter_mut().zip(&contributions) {
                sum.add(contribution).expect("within the exact range");
            }
        });
        let encoded = gigabytes_per_second(|| {
            sums.iter().for_each(|sum| drop(black_box(sum.encode())));
        });
        let mean = || -> Vec<Vec<u8>> {
            (0..layout.parts()).zip(&sums).map(|(part, sum)| grid.mean(part, sum)).collect()
        };
        let averaged = gigabytes_per_second(|| drop(black_box(mean())));
        let results = mean();
        let mut out = vec![0f32; ELEMENTS];
        let decoded = gigabytes_per_second(|| {
            for (part, result) in (0..).zip(&results) {
                decode_result(result, &mut out[layout.range(part)]).expect("our own result");
            }
        });
        let mut next = grid.clone();
        let advanced = gigabytes_per_second(|| {
            for (part, result) in (0..).zip(&results) {
                next.advance(part, result).expect("our own result");
            }
        });
        println!(
            "{step}: quantise {quantised:.2}, add {added:.2}, encode {encoded:.2}, mean {averaged:.2}, \
             decode {decoded:.2}, advance {advanced:.2} GB/s"
        );
        grid = next;
    }
}
