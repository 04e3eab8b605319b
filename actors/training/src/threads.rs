//! How many threads compute.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::memory;

/// More threads than any node's processors; a bound on what a setting can ask for.
const THREADS_MAX: usize = 1024;

static COUNT: AtomicUsize = AtomicUsize::new(1);

/// Whether candle's and rayon's pools find in the environment what they should.
static IS_PREPARED: AtomicBool = AtomicBool::new(false);

/// What [`set_threads`] could do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ThreadSetting {
    /// The layers and rayon's pool follow, and candle's has no threads.
    Everywhere,
    /// The layers follow; rayon's or candle's pool has the size it chose, because it exists already, or because another
    /// thread ran (or the system did not tell) when the environment was to be changed. Results are the same; candle's pool
    /// may spin while it waits.
    LayersOnly,
}

/// Keeps candle from starting threads of its own, which spin while they wait, and rayon from starting any but those of
/// [`set_threads`]. Call it first in `main`: both read the environment (`CANDLE_NUM_THREADS`, `RAYON_NUM_THREADS`), which
/// may be changed only while a process has one thread. `false` where it has more already, or the system does not tell.
pub fn prepare_threads() -> bool {
    if is_only_thread() {
        set_environment();
        IS_PREPARED.store(true, Ordering::Relaxed);
    }
    IS_PREPARED.load(Ordering::Relaxed)
}

/// Lets matrix products use `threads` threads (1 to 1024; values outside are moved inside); 1 until this is called. Does
/// what [`prepare_threads`] does, if that was not called and can still be done.
///
/// It also tells the allocator to keep the pages that products free, which they ask for again at once.
///
/// The number of threads changes no bit of any result.
pub fn set_threads(threads: usize) -> ThreadSetting {
    memory::keep_freed_pages();
    let threads = threads.clamp(1, THREADS_MAX);
    COUNT.store(threads, Ordering::Relaxed);
    let is_prepared = prepare_threads();
    // One thread needs no pool; the environment has one for whoever asks for it all the same.
    let has_pool =
        threads == 1 || rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().is_ok();
    if is_prepared && has_pool { ThreadSetting::Everywhere } else { ThreadSetting::LayersOnly }
}

/// Threads that a matrix product may use.
pub(crate) fn count() -> usize {
    COUNT.load(Ordering::Relaxed)
}

/// Runs `work` on a thread of rayon's pool, if there is one: whatever it shares with the others then needs no way into the pool
/// and back, each of which puts one thread to sleep and wakes another.
pub(crate) fn within_pool<R: Send>(work: impl FnOnce() -> R + Send) -> R {
    if count() == 1 { work() } else { rayon::scope(|_| work()) }
}

#[allow(unsafe_code)]
fn set_environment() {
    // SAFETY: the caller found that this is the only thread of the process, so nobody reads the environment now.
    unsafe {
        std::env::set_var("CANDLE_NUM_THREADS", "1");
        std::env::set_var("RAYON_NUM_THREADS", "1");
    }
}

/// Whether the kernel lists no thread but this one; `false` where it cannot be told.
fn is_only_thread() -> bool {
    std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1)
}
