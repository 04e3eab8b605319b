//! Writing vectors that nobody reads again soon.

use super::Real;

/// Bytes that the processor reads and writes at once.
const LINE_BYTES: usize = 64;
/// Elements of a line at most: those of the smallest [`Real`].
const LINE_ELEMENTS_MAX: usize = LINE_BYTES / size_of::<f32>();

/// Writes a vector from its first element to its last. Whole lines of memory are written without being read first, and the caches
/// keep what they hold; a line that was partly written would be read, and what follows would wait for it, so what fills none is
/// held back. Such writes are ordered with no others: whoever is told of them after this was dropped, by whatever means, sees
/// them.
pub(crate) struct PastCaches<'a, T: Real> {
    /// What is not written yet.
    to: &'a mut [T],
    /// Elements before the first whole line.
    before_lines: usize,
    held: [T; LINE_ELEMENTS_MAX],
    held_elements: usize,
}

impl<'a, T: Real> PastCaches<'a, T> {
    const LINE_ELEMENTS: usize = LINE_BYTES / size_of::<T>();

    #[inline(always)]
    pub(crate) fn begin(to: &'a mut [T]) -> Self {
        let before_lines = to.as_ptr().align_offset(LINE_BYTES).min(to.len());
        Self { to, before_lines, held: [T::ZERO; LINE_ELEMENTS_MAX], held_elements: 0 }
    }

    /// Writes `from` to the next places.
    #[inline(always)]
    pub(crate) fn write(&mut self, mut from: &[T]) {
        assert!(self.held_elements + from.len() <= self.to.len(), "more than there is room for");
        let first = self.before_lines.min(from.len());
        if first > 0 {
            let (beginning, rest) = from.split_at(first);
            self.next(first).copy_from_slice(beginning);
            self.before_lines -= first;
            from = rest;
        }
        if self.held_elements > 0 {
            let missing = (Self::LINE_ELEMENTS - self.held_elements).min(from.len());
            let (completing, rest) = from.split_at(missing);
            self.hold(completing);
            from = rest;
            if self.held_elements == Self::LINE_ELEMENTS {
                let held = self.held;
                lines::copy(&held[..Self::LINE_ELEMENTS], self.next(Self::LINE_ELEMENTS));
                self.held_elements = 0;
            }
        }
        let (whole, rest) = from.split_at(from.len() - from.len() % Self::LINE_ELEMENTS);
        lines::copy(whole, self.next(whole.len()));
        self.hold(rest);
    }

    #[inline(always)]
    fn hold(&mut self, values: &[T]) {
        self.held[self.held_elements..self.held_elements + values.len()].copy_from_slice(values);
        self.held_elements += values.len();
    }

    /// The next places.
    #[inline(always)]
    fn next(&mut self, elements: usize) -> &'a mut [T] {
        let (next, rest) = std::mem::take(&mut self.to).split_at_mut(elements);
        self.to = rest;
        next
    }
}

impl<T: Real> Drop for PastCaches<'_, T> {
    fn drop(&mut self) {
        let held = self.held;
        let elements = self.held_elements.min(self.to.len());
        self.next(elements).copy_from_slice(&held[..elements]);
        lines::order();
    }
}

#[cfg(target_arch = "x86_64")]
mod lines {
    use std::arch::x86_64::{__m128i, __m512i, _mm_sfence, _mm_stream_si128, _mm512_stream_si512};

    use bytemuck::{Pod, cast_slice, pod_align_to_mut, pod_read_unaligned};

    use super::Real;

    /// Copies to what begins and ends where lines do.
    #[inline(always)]
    pub(super) fn copy<T: Real>(from: &[T], to: &mut [T]) {
        // One instruction that writes a whole line is twice as fast as four that write its quarters, measured.
        if std::arch::is_x86_feature_detected!("avx512f") {
            #[allow(unsafe_code)]
            // SAFETY: the processor has what the function is compiled for, as was just asked.
            in_lines(from, to, |from, lines| unsafe { copy_whole(from, lines) });
        } else {
            in_lines(from, to, copy_quarters);
        }
    }

    pub(super) fn order() {
        #[allow(unsafe_code)]
        // SAFETY: every x86_64 processor has the instruction, which has no conditions.
        unsafe {
            _mm_sfence();
        }
    }

    #[inline(always)]
    fn in_lines<T: Real, L: Pod>(from: &[T], to: &mut [T], copy: impl Fn(&[u8], &mut [L])) {
        assert_eq!(from.len(), to.len(), "vectors of one length");
        let (before, lines, after) = pod_align_to_mut::<T, L>(to);
        debug_assert!(before.is_empty() && after.is_empty(), "whole lines");
        copy(cast_slice(from), lines);
    }

    #[target_feature(enable = "avx512f")]
    fn copy_whole(from: &[u8], lines: &mut [__m512i]) {
        for (line, from) in lines.iter_mut().zip(from.chunks_exact(size_of::<__m512i>())) {
            let value = pod_read_unaligned(from);
            #[allow(unsafe_code)]
            // SAFETY: a mutable reference is valid for writes and aligned to its type. The fence of [`order`] follows.
            unsafe {
                _mm512_stream_si512(line, value);
            }
        }
    }

    fn copy_quarters(from: &[u8], lines: &mut [__m128i]) {
        for (line, from) in lines.iter_mut().zip(from.chunks_exact(size_of::<__m128i>())) {
            let value = pod_read_unaligned(from);
            #[allow(unsafe_code)]
            // SAFETY: every x86_64 processor has the instruction; a mutable reference is valid for writes and aligned to its
            // type. The fence of [`order`] follows.
            unsafe {
                _mm_stream_si128(line, value);
            }
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
mod lines {
    pub(super) fn copy<T: super::Real>(from: &[T], to: &mut [T]) {
        to.copy_from_slice(from);
    }

    pub(super) fn order() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<T: Real>(number: impl Fn(usize) -> T) {
        let from: Vec<T> = (0..200).map(&number).collect();
        for start in 0..LINE_ELEMENTS_MAX + 1 {
            for length in [0, 1, 2, 3, 4, 5, 15, 16, 17, 64, 180] {
                for piece in [1, 2, 7, 8, 15, 16, 17, 33, 180] {
                    let mut to = vec![T::INFINITY; 200];
                    // Places that begin at every address that a vector may have, and come in pieces of every kind.
                    let mut writer = PastCaches::begin(&mut to[start..start + length]);
                    from[..length].chunks(piece).for_each(|piece| writer.write(piece));
                    drop(writer);
                    let expected: Vec<T> = (0..200)
                        .map(|index: usize| match index.checked_sub(start) {
                            Some(offset) if offset < length => from[offset],
                            _ => T::INFINITY,
                        })
                        .collect();
                    assert_eq!(to, expected, "{length} from {start} in pieces of {piece}");
                }
            }
        }
    }

    #[test]
    fn vectors_are_whole_wherever_they_begin_and_nothing_beside_them_changes() {
        check(|index| index as f32 + 0.5);
        check(|index| index as f64 - 7.25);
    }

    #[test]
    fn another_thread_sees_what_was_written() {
        let from: Vec<f32> = (0..1 << 16).map(|index| index as f32).collect();
        for _ in 0..50 {
            let mut to = vec![0.0; from.len()];
            PastCaches::begin(&mut to).write(&from);
            let to = std::thread::spawn(move || to).join().unwrap();
            assert_eq!(to, from);
        }
    }

    #[test]
    #[should_panic(expected = "more than there is room for")]
    fn more_than_there_is_room_for_is_a_bug() {
        PastCaches::begin(&mut [0.0; 3]).write(&[1.0f32; 4]);
    }
}
