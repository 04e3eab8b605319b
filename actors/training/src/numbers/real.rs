//! The element types that layers compute in.

use std::{
    fmt::Debug,
    ops::{Add, AddAssign, Div, Mul, MulAssign, Neg, Sub},
};

use super::elementary::{exp_f32, exp_f64};

/// f32, which models are trained in, and f64, which gradients are checked in.
pub trait Real:
    Copy
    + Debug
    + Default
    + PartialOrd
    + Send
    + Sync
    + Add<Output = Self>
    + AddAssign
    + Sub<Output = Self>
    + Mul<Output = Self>
    + MulAssign
    + Div<Output = Self>
    + Neg<Output = Self>
    + bytemuck::Pod
{
    /// 0.
    const ZERO: Self;
    /// 1.
    const ONE: Self;
    /// Infinity.
    const INFINITY: Self;

    /// Rounded once.
    fn of(value: f64) -> Self;
    /// Exact.
    fn wide(self) -> f64;
    /// Whether it is NaN.
    fn is_not_a_number(self) -> bool;
    /// Exactly rounded.
    fn square_root(self) -> Self;
    /// The exponential, the same bits on every processor.
    fn exponential(self) -> Self;
    /// The error function, by software.
    fn error_function(self) -> Self;
}

impl Real for f32 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const INFINITY: Self = f32::INFINITY;

    #[inline(always)]
    fn of(value: f64) -> Self {
        value as f32
    }

    #[inline(always)]
    fn wide(self) -> f64 {
        f64::from(self)
    }

    #[inline(always)]
    fn is_not_a_number(self) -> bool {
        self.is_nan()
    }

    #[inline(always)]
    fn square_root(self) -> Self {
        self.sqrt()
    }

    #[inline(always)]
    fn exponential(self) -> Self {
        exp_f32(self)
    }

    fn error_function(self) -> Self {
        libm::erff(self)
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;
    const ONE: Self = 1.0;
    const INFINITY: Self = f64::INFINITY;

    #[inline(always)]
    fn of(value: f64) -> Self {
        value
    }

    #[inline(always)]
    fn wide(self) -> f64 {
        self
    }

    #[inline(always)]
    fn is_not_a_number(self) -> bool {
        self.is_nan()
    }

    #[inline(always)]
    fn square_root(self) -> Self {
        self.sqrt()
    }

    #[inline(always)]
    fn exponential(self) -> Self {
        exp_f64(self)
    }

    fn error_function(self) -> Self {
        libm::erf(self)
    }
}
