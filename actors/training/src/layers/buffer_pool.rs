//! Memory for activations and their gradients, used again from step to step: shapes repeat, and pages that are given back and
//! asked for again cost a third of a step.

use std::{
    collections::BTreeMap,
    ops::{Deref, DerefMut},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::numbers::Real;

/// A buffer serves a request of at least this share of its length, so that little memory lies idle in the end of buffers.
const SHARE_MIN: usize = 2;

/// Gives buffers out and takes them back when they go out of scope. Copies share one pool.
#[derive(Clone, Default)]
pub(crate) struct BufferPool<T> {
    shelves: Arc<Mutex<Shelves<T>>>,
}

#[derive(Default)]
struct Shelves<T> {
    /// Idle buffers by capacity.
    idle: BTreeMap<usize, Vec<Vec<T>>>,
    /// Elements that are in use now, and the most that ever were.
    used: usize,
    used_most: usize,
}

/// Elements whose memory goes back to its pool.
pub(crate) struct Buffer<T: Real> {
    values: Vec<T>,
    pool: BufferPool<T>,
}

impl<T: Real> BufferPool<T> {
    /// A buffer with contents that mean nothing: whoever takes it writes all of it. In tests it is full of NaN.
    pub(crate) fn take(&self, elements: usize) -> Buffer<T> {
        let mut shelves = self.lock();
        shelves.used += elements;
        shelves.used_most = shelves.used_most.max(shelves.used);
        let fitting = shelves.idle.range(elements..=elements.saturating_mul(SHARE_MIN)).next();
        let found = fitting.map(|(capacity, _)| *capacity);
        let found = found.and_then(|capacity| {
            let shelf = shelves.idle.get_mut(&capacity)?;
            let values = shelf.pop();
            if shelf.is_empty() {
                shelves.idle.remove(&capacity);
            }
            values
        });
        drop(shelves);
        let mut values = found.unwrap_or_default();
        values.resize(elements, T::ZERO);
        if cfg!(test) {
            values.fill(T::of(f64::NAN));
        }
        Buffer { values, pool: self.clone() }
    }

    /// A copy of `values`.
    pub(crate) fn copy(&self, values: &[T]) -> Buffer<T> {
        let mut buffer = self.take(values.len());
        buffer.copy_from_slice(values);
        buffer
    }

    /// The most bytes that were in use at once, since the pool was made.
    pub(crate) fn peak_bytes(&self) -> usize {
        self.lock().used_most * size_of::<T>()
    }

    fn lock(&self) -> MutexGuard<'_, Shelves<T>> {
        // Whoever panicked in between left whole shelves.
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Real> Drop for Buffer<T> {
    fn drop(&mut self) {
        let values = std::mem::take(&mut self.values);
        let mut shelves = self.pool.lock();
        shelves.used -= values.len();
        if values.capacity() > 0 {
            shelves.idle.entry(values.capacity()).or_default().push(values);
        }
    }
}

impl<T: Real> Deref for Buffer<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.values
    }
}

impl<T: Real> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.values
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_used_again_and_the_peak_is_counted() {
        let pool = BufferPool::<f32>::default();
        let first = pool.take(1000);
        let place = first.as_ptr();
        drop(first);
        let second = pool.take(900);
        assert_eq!((second.as_ptr(), second.len()), (place, 900));
        let third = pool.copy(&[1.0; 100]);
        assert_eq!(third[..], [1.0; 100]);
        assert_eq!(pool.peak_bytes(), 4000);
        drop((second, third));
        assert_eq!(pool.peak_bytes(), 4000);
        // Too large a buffer is left for a request that needs it.
        assert_ne!(pool.take(10).as_ptr(), place);
    }
}
