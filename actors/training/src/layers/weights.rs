//! The flat vector of parameters as layers read it.

use std::ops::{Deref, Range};

use half::bf16;

use super::buffer_pool::{Buffer, BufferPool};
use crate::numbers::{Real, for_rows};

/// All parameters of a model, as they are stored.
#[derive(Clone, Copy)]
pub(crate) enum Weights<'a, T> {
    /// In the type that layers compute in.
    Plain(&'a [T]),
    /// In 16 bits: widened, exactly, where they are used.
    Half(&'a [bf16]),
}

/// Some parameters in the type that layers compute in.
pub(crate) enum Weight<'a, T: Real> {
    Borrowed(&'a [T]),
    Widened(Buffer<T>),
}

impl<'a, T: Real> Weights<'a, T> {
    /// The parameters of a range.
    pub(crate) fn get(&self, range: &Range<usize>, pool: &BufferPool<T>) -> Weight<'a, T> {
        match self {
            Self::Plain(values) => Weight::Borrowed(&values[range.clone()]),
            Self::Half(values) => {
                let values = &values[range.clone()];
                let mut buffer = pool.take(values.len());
                for_rows(&mut buffer, 1, |first, out| {
                    for (out, value) in out.iter_mut().zip(&values[first..]) {
                        *out = T::of(f64::from(f32::from_bits(u32::from(value.to_bits()) << 16)));
                    }
                });
                Weight::Widened(buffer)
            }
        }
    }
}

impl<T: Real> Deref for Weight<'_, T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        match self {
            Self::Borrowed(values) => values,
            Self::Widened(values) => values,
        }
    }
}
