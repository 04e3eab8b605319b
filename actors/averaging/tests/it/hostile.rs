//! Bytes of a peer that means harm, or of a wire that failed: refused, never a panic, never a wrapped sum.

use traind_averaging::{
    Accumulator, CodecError, Grid, PartLayout, SAMPLES_MAX, Totals, check_contribution, check_result,
    decode_result,
};

use crate::seeded::{MicroBatch, Seeded};

const ELEMENTS: usize = 2 * 256 + 9;

/// Five words: samples, loss, held-out correct, total, loss.
const HEADER: usize = 40;

/// A layout of one part, and a contribution whose middle block is wide.
fn honest() -> (PartLayout, Vec<u8>) {
    let layout = PartLayout::new(ELEMENTS).unwrap();
    let mut gradient = vec![1e-3; ELEMENTS];
    gradient[300] = 1.0;
    let bytes = Grid::new(&layout).quantise(0, &gradient, &Totals::of(5, 2.5)).unwrap();
    assert_eq!(bytes[HEADER..HEADER + 3], [0, 1, 0]);
    (layout, bytes)
}

fn refused(layout: &PartLayout, bytes: &[u8]) -> CodecError {
    let mut sum = Accumulator::new(ELEMENTS);
    let before = sum.clone();
    let by_sum = sum.add(bytes).unwrap_err();
    assert_eq!(sum, before, "a refused contribution leaves no trace");
    let by_check = check_contribution(layout, 0, bytes).unwrap_err();
    assert_eq!(by_sum, by_check);
    by_check
}

#[test]
fn every_truncation_and_extension_is_refused() {
    let (layout, mut bytes) = honest();
    for length in 0..bytes.len() {
        assert!(
            matches!(refused(&layout, &bytes[..length]), CodecError::Length { found, .. } if found == length)
        );
    }
    bytes.push(0);
    assert!(matches!(refused(&layout, &bytes), CodecError::Length { .. }));
}

#[test]
fn every_flipped_flag_is_refused() {
    let (layout, bytes) = honest();
    for block in 0..3 {
        for bit in 0..8 {
            let mut flipped = bytes.clone();
            flipped[HEADER + block] ^= 1 << bit;
            let error = refused(&layout, &flipped);
            assert!(matches!(error, CodecError::Flag { .. } | CodecError::Length { .. }), "{error}");
        }
    }
    // Two flags exchanged keep the length. Two narrow values read as a wide one leave the exact range, unless the upper
    // one is tiny: flags are no checksum, the transport has that.
    let mut exchanged = bytes.clone();
    exchanged.swap(HEADER, HEADER + 1);
    assert_eq!(refused(&layout, &exchanged), CodecError::OutOfRange { block: 0 });
}

#[test]
fn a_wide_block_of_small_values_is_refused() {
    let (layout, mut bytes) = honest();
    bytes[HEADER + 3 + 4 * 256..][..8 * 256].fill(0);
    assert_eq!(refused(&layout, &bytes), CodecError::NotCanonical { block: 1 });
}

#[test]
fn no_sum_wraps() {
    let (layout, bytes) = honest();
    for value in [i64::MAX, i64::MIN, 1 << 53, -(1 << 53) - 1] {
        let mut hostile = bytes.clone();
        hostile[HEADER + 3 + 4 * 256..][..8].copy_from_slice(&value.to_le_bytes());
        assert_eq!(refused(&layout, &hostile), CodecError::OutOfRange { block: 1 }, "{value}");
    }
    // Each alone is in range, their sum is not.
    for value in [(1i64 << 53) - 1, -(1 << 53)] {
        let mut hostile = bytes.clone();
        hostile[HEADER + 3 + 4 * 256 + 8 * 7..][..8].copy_from_slice(&value.to_le_bytes());
        check_contribution(&layout, 0, &hostile).unwrap();
        let mut sum = Accumulator::new(ELEMENTS);
        sum.add(&hostile).unwrap();
        let before = sum.clone();
        assert_eq!(sum.add(&hostile), Err(CodecError::OutOfRange { block: 1 }));
        assert_eq!(sum, before, "blocks added before the refusal are taken back");
        // The encoding of the largest sum is itself a contribution.
        check_contribution(&layout, 0, &sum.encode()).unwrap();
    }
}

#[test]
fn samples_and_losses_out_of_range_are_refused() {
    let (layout, bytes) = honest();
    for samples in [SAMPLES_MAX + 1, u64::MAX] {
        let mut hostile = bytes.clone();
        hostile[..8].copy_from_slice(&samples.to_le_bytes());
        assert_eq!(refused(&layout, &hostile), CodecError::Samples);
    }
    for loss in [i64::MAX, i64::MIN, 1 << 53] {
        let mut hostile = bytes.clone();
        hostile[8..16].copy_from_slice(&loss.to_le_bytes());
        assert_eq!(refused(&layout, &hostile), CodecError::Loss);
    }
    for (word, value) in [(2, 1), (3, SAMPLES_MAX + 1), (4, 1 << 53), (4, u64::MAX)] {
        let mut hostile = bytes.clone();
        hostile[8 * word..][..8].copy_from_slice(&u64::to_le_bytes(value));
        assert_eq!(refused(&layout, &hostile), CodecError::HeldOut, "word {word}: {value}");
    }
    let mut most = bytes.clone();
    most[..8].copy_from_slice(&SAMPLES_MAX.to_le_bytes());
    let mut sum = Accumulator::new(ELEMENTS);
    sum.add(&most).unwrap();
    assert_eq!(sum.add(&bytes), Err(CodecError::Samples));
    assert_eq!(sum.samples(), SAMPLES_MAX);
}

#[test]
fn random_bytes_never_panic_and_results_stay_finite() {
    let mut seeded = Seeded::new("random_bytes_never_panic_and_results_stay_finite", 99);
    let (layout, honest) = honest();
    // The coarsest grid a state can have makes the largest means.
    let coarsest: Vec<u8> = (0..3).flat_map(|_| 128i16.to_le_bytes()).collect();
    let grid = Grid::from_bytes(&layout, &coarsest).unwrap();
    let (mut accepted, mut mean) = (0, vec![0f32; ELEMENTS]);
    for _ in 0..20_000 {
        let mut bytes = honest.clone();
        for _ in 0..1 + seeded.below(4) {
            let at = seeded.below(bytes.len());
            bytes[at] = seeded.bits() as u8;
        }
        let mut sum = Accumulator::new(ELEMENTS);
        let added = sum.add(&bytes);
        assert_eq!(added.is_ok(), check_contribution(&layout, 0, &bytes).is_ok());
        if added.is_ok() {
            accepted += 1;
            assert_eq!(sum.encode(), bytes, "an accepted contribution is the one encoding of its sum");
            let result = grid.mean(0, &sum);
            check_result(&layout, 0, &result).unwrap();
            decode_result(&result, &mut mean).unwrap();
            assert!(mean.iter().all(|value| value.is_finite()));
        }
    }
    println!("{accepted} of 20000 damaged contributions are values that an honest member might have sent");
    assert!(accepted > 0 && accepted < 20_000);
}

#[test]
fn malformed_results_and_grids_are_refused() {
    let mut seeded = Seeded::new("malformed_results_and_grids_are_refused", 4);
    let (layout, _) = honest();
    let mut grid = Grid::new(&layout);
    let micro_batch = MicroBatch::random(&mut seeded, ELEMENTS, 4);
    let mut sum = Accumulator::new(ELEMENTS);
    sum.add(&micro_batch.quantise(&grid, 0).unwrap()).unwrap();
    let result = grid.mean(0, &sum);
    assert!(check_result(&layout, 0, &result).is_ok());
    assert_eq!(check_result(&layout, 1, &result), Err(CodecError::NoSuchPart { part: 1, parts: 1 }));
    let before = grid.clone();
    let mut out = vec![7f32; ELEMENTS];
    for length in 0..result.len() {
        assert!(check_result(&layout, 0, &result[..length]).is_err());
        assert!(decode_result(&result[..length], &mut out).is_err());
        assert!(grid.advance(0, &result[..length]).is_err());
    }
    for (at, bytes, error) in [
        (0, u64::MAX.to_le_bytes(), CodecError::Samples),
        (8, f64::NAN.to_le_bytes(), CodecError::Loss),
        (8, f64::INFINITY.to_le_bytes(), CodecError::Loss),
        (16, 1u64.to_le_bytes(), CodecError::HeldOut),
        (24, u64::MAX.to_le_bytes(), CodecError::HeldOut),
        (32, f64::NAN.to_le_bytes(), CodecError::HeldOut),
    ] {
        let mut hostile = result.clone();
        hostile[at..at + 8].copy_from_slice(&bytes);
        assert_eq!(check_result(&layout, 0, &hostile), Err(error));
    }
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut hostile = result.clone();
        hostile[HEADER + 4 * 300..][..4].copy_from_slice(&value.to_le_bytes());
        assert_eq!(check_result(&layout, 0, &hostile), Err(CodecError::NotFinite { element: 300 }));
        assert!(decode_result(&hostile, &mut out).is_err() && grid.advance(0, &hostile).is_err());
    }
    assert_eq!((out, &grid), (vec![7f32; ELEMENTS], &before), "a refused result changes nothing");
    grid.advance(0, &result).unwrap();
    assert_ne!(grid, before);
    let state = grid.to_bytes();
    assert!(Grid::from_bytes(&layout, &state[1..]).is_err());
    for exponent in [-17i16, 129, i16::MIN, i16::MAX] {
        let mut hostile = state.clone();
        hostile[2..4].copy_from_slice(&exponent.to_le_bytes());
        assert_eq!(Grid::from_bytes(&layout, &hostile), Err(CodecError::Exponent { block: 1, exponent }));
    }
}
