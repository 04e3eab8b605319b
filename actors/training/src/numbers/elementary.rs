//! The exponential function by additions, multiplications and shifts alone, so that loops over it become vector
//! instructions and give the same bits on every processor: `exp(x) = 2^n · exp(r)` with `n = round(x / ln 2)` and
//! `|r| ≤ ln 2 / 2`, where the Taylor series of `exp(r)` is short. `ln 2` is split in two parts so that `n · ln 2` is subtracted
//! exactly (Cody and Waite, "Software manual for the elementary functions", 1980).

/// 1.5 · 2^23: adding it rounds an f32 of small magnitude to a whole number that stands in the low bits.
const ROUND_F32: f32 = 12_582_912.0;
/// 1.5 · 2^52, for f64.
const ROUND_F64: f64 = 6_755_399_441_055_744.0;
/// Exponents outside overflow, or become too small for a normal number and count as zero.
const RANGE_F32: (f32, f32) = (-87.0, 88.3);
const RANGE_F64: (f64, f64) = (-708.0, 709.4);
/// High parts of ln 2 with so many trailing zeros that their product with n is exact; the low parts are the rest.
const LN2_F32: (f32, f32) = (0.693_359_4, -2.121_944_4e-4);
const LN2_F64: (f64, f64) = (0.693_147_180_369_123_8, 1.908_214_929_270_587_7e-10);
/// 1 / k! for k = 7 down to 2: what is left out is below 5.2e-9 for the largest r.
const SERIES_F32: [f32; 6] = [1.0 / 5040.0, 1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5];
/// 1 / k! for k = 13 down to 2: what is left out is below 4.2e-18.
const SERIES_F64: [f64; 12] = [
    1.0 / 6_227_020_800.0,
    1.0 / 479_001_600.0,
    1.0 / 39_916_800.0,
    1.0 / 3_628_800.0,
    1.0 / 362_880.0,
    1.0 / 40_320.0,
    1.0 / 5040.0,
    1.0 / 720.0,
    1.0 / 120.0,
    1.0 / 24.0,
    1.0 / 6.0,
    0.5,
];

/// `e^x` within 2 units in the last place; 0 below -87, infinite above 88.3, NaN of NaN.
#[inline(always)]
pub(super) fn exp_f32(x: f32) -> f32 {
    let shifted = x * std::f32::consts::LOG2_E + ROUND_F32;
    let n = shifted - ROUND_F32;
    let r = (x - n * LN2_F32.0) - n * LN2_F32.1;
    let mut tail = SERIES_F32[0];
    for coefficient in &SERIES_F32[1..] {
        tail = tail * r + coefficient;
    }
    let value = 1.0 + (r + r * r * tail);
    let exponent = shifted.to_bits().wrapping_sub(ROUND_F32.to_bits()).wrapping_add(127);
    let scaled = value * f32::from_bits(exponent << 23);
    let low = if x < RANGE_F32.0 { 0.0 } else { scaled };
    if x > RANGE_F32.1 { f32::INFINITY } else { low }
}

/// `e^x` within 2 units in the last place; 0 below -708, infinite above 709.4, NaN of NaN.
#[inline(always)]
pub(super) fn exp_f64(x: f64) -> f64 {
    let shifted = x * std::f64::consts::LOG2_E + ROUND_F64;
    let n = shifted - ROUND_F64;
    let r = (x - n * LN2_F64.0) - n * LN2_F64.1;
    let mut tail = SERIES_F64[0];
    for coefficient in &SERIES_F64[1..] {
        tail = tail * r + coefficient;
    }
    let value = 1.0 + (r + r * r * tail);
    let exponent = shifted.to_bits().wrapping_sub(ROUND_F64.to_bits()).wrapping_add(1023);
    let scaled = value * f64::from_bits(exponent << 52);
    let low = if x < RANGE_F64.0 { 0.0 } else { scaled };
    if x > RANGE_F64.1 { f64::INFINITY } else { low }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_right_to_two_units_in_the_last_place() {
        for index in -870_000..883_000 {
            let x = index as f32 * 1e-4;
            let wanted = libm::exp(f64::from(x));
            let error = (f64::from(exp_f32(x)) - wanted).abs() / wanted;
            assert!(error < 2.0 * f64::from(f32::EPSILON), "exp({x}): {error:e}");
        }
        for index in -707_900..709_300 {
            let x = f64::from(index) * 1.000_1e-3;
            let wanted = libm::exp(x);
            let error = (exp_f64(x) - wanted).abs() / wanted;
            assert!(wanted.is_infinite() || error < 2.0 * f64::EPSILON, "exp({x}): {error:e}");
        }
    }

    #[test]
    fn ends_of_the_range_are_zero_and_infinity_and_nan_passes() {
        assert_eq!((exp_f32(0.0), exp_f64(0.0)), (1.0, 1.0));
        assert_eq!((exp_f32(-200.0), exp_f32(f32::NEG_INFINITY), exp_f32(89.0)), (0.0, 0.0, f32::INFINITY));
        assert_eq!((exp_f64(-900.0), exp_f64(f64::NEG_INFINITY), exp_f64(710.0)), (0.0, 0.0, f64::INFINITY));
        assert_eq!((exp_f32(f32::INFINITY), exp_f64(f64::INFINITY)), (f32::INFINITY, f64::INFINITY));
        assert!(exp_f32(f32::NAN).is_nan() && exp_f64(f64::NAN).is_nan());
    }
}
