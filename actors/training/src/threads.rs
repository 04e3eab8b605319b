//! How many threads compute.

use std::sync::atomic::{AtomicUsize, Ordering};

use crate::memory;

/// More threads than any node's processors; a bound on what a setting can ask for.
const THREADS_MAX: usize = 1024;

static COUNT: AtomicUsize = AtomicUsize::new(1);

/// What [`set_threads`] could do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadSetting {
    /// The layers, rayon's pool and candle's all follow.
    Everywhere,
    /// The layers follow; rayon's and candle's own pools size themselves, because another thread runs already (or the
    /// system does not tell) and the environment they read cannot be changed safely. Results are the same; candle's
    /// pool may spin while it waits.
    LayersOnly,
}

/// Lets matrix products use `threads` threads (1 to 1024; values outside are moved inside); 1 until this is called. Call
/// it first in `main`, before anything starts a thread: candle's and rayon's pools read their sizes from the environment
/// (`CANDLE_NUM_THREADS`, `RAYON_NUM_THREADS`), which may be changed only then. Candle's own pool gets no threads at
/// all, since its threads spin.
///
/// It also tells the allocator to keep the pages that products free, which they ask for again at once.
///
/// The number of threads changes no bit of any result.
pub fn set_threads(threads: usize) -> ThreadSetting {
    memory::keep_freed_pages();
    let threads = threads.clamp(1, THREADS_MAX);
    COUNT.store(threads, Ordering::Relaxed);
    if !is_only_thread() {
        return ThreadSetting::LayersOnly;
    }
    set_environment(threads);
    ThreadSetting::Everywhere
}

/// Threads that a matrix product may use.
pub(crate) fn count() -> usize {
    COUNT.load(Ordering::Relaxed)
}

#[allow(unsafe_code)]
fn set_environment(threads: usize) {
    // SAFETY: the caller found that this is the only thread of the process, so nobody reads the environment now.
    unsafe {
        std::env::set_var("CANDLE_NUM_THREADS", "1");
        std::env::set_var("RAYON_NUM_THREADS", threads.to_string());
    }
}

/// Whether the kernel lists no thread but this one; `false` where it cannot be told.
fn is_only_thread() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}
