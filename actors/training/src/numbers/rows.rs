//! Loops over rows that threads share. Each row is computed alone, so how rows are shared changes no bit.

use rayon::prelude::*;

use crate::threads;

/// Elements that one thread takes at a time: they stay in its second cache, and waking a thread costs less than they do.
const CHUNK_ELEMENTS: usize = 1 << 14;

/// Runs `work` compiled for the widest vectors that this processor has.
#[inline(always)]
pub(crate) fn vectorised<R>(work: impl FnOnce() -> R) -> R {
    pulp::Arch::new().dispatch(work)
}

/// Calls `work(index of the first row, whole rows of out)` for all rows of `width` elements, on all threads.
pub(crate) fn for_rows<T: Send>(out: &mut [T], width: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    let rows = rows_at_once(width);
    if threads::count() == 1 || out.len() < 2 * CHUNK_ELEMENTS {
        out.chunks_mut(rows * width).enumerate().for_each(|(chunk, out)| work(chunk * rows, out));
    } else {
        out.par_chunks_mut(rows * width).enumerate().for_each(|(chunk, out)| work(chunk * rows, out));
    }
}

/// As [`for_rows`], over two outputs with as many rows each.
pub(crate) fn for_row_pairs<A: Send, B: Send>(
    (first, first_width): (&mut [A], usize),
    (second, second_width): (&mut [B], usize),
    work: impl Fn(usize, &mut [A], &mut [B]) + Sync,
) {
    let rows = rows_at_once(first_width.max(second_width));
    if threads::count() == 1 || first.len() + second.len() < 2 * CHUNK_ELEMENTS {
        let chunks = first.chunks_mut(rows * first_width).zip(second.chunks_mut(rows * second_width));
        chunks.enumerate().for_each(|(chunk, (first, second))| work(chunk * rows, first, second));
    } else {
        let first = first.par_chunks_mut(rows * first_width);
        let chunks = first.zip(second.par_chunks_mut(rows * second_width));
        chunks.enumerate().for_each(|(chunk, (first, second))| work(chunk * rows, first, second));
    }
}

/// Calls `work(index, out[index])` once for each piece of `width` elements, however long, on all threads.
pub(crate) fn for_rows_indexed<T: Send>(out: &mut [T], width: usize, work: impl Fn(usize, &mut [T]) + Sync) {
    if threads::count() == 1 || out.len() <= width {
        out.chunks_mut(width).enumerate().for_each(|(index, out)| work(index, out));
    } else {
        out.par_chunks_mut(width).enumerate().for_each(|(index, out)| work(index, out));
    }
}

/// Runs all jobs, on all threads.
pub(crate) fn run_all<J: Send>(jobs: Vec<J>, work: impl Fn(J) + Sync + Send) {
    if threads::count() == 1 || jobs.len() < 2 {
        jobs.into_iter().for_each(work);
    } else {
        jobs.into_par_iter().with_max_len(1).for_each(work);
    }
}

fn rows_at_once(width: usize) -> usize {
    (CHUNK_ELEMENTS / width.max(1)).max(1)
}
