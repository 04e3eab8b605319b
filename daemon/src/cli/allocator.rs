//! How the C library's allocator treats freed memory.

/// Blocks up to this size come from the heap, where freed ones are used again: 32 MiB, the most that glibc takes. By
/// default every tensor above 128 KiB is mapped anew, and the kernel clears its pages each time, which costs a small
/// model half of its processor time.
#[cfg(target_env = "gnu")]
const MMAP_THRESHOLD_BYTES: i32 = 32 << 20;

/// Free memory at the top of a heap that is kept: a step of a small model allocates and frees less than this.
#[cfg(target_env = "gnu")]
const TRIM_THRESHOLD_BYTES: i32 = 256 << 20;

/// Lets freed memory be used again instead of being given back at once. To be called before there are other threads.
/// Whether the allocator took it; elsewhere than on glibc there is nothing to do.
#[cfg(target_env = "gnu")]
#[allow(unsafe_code)]
pub(super) fn keep_freed_memory() -> bool {
    // SAFETY: mallopt only stores parameters of the allocator; this is the only thread, so nobody reads them meanwhile.
    let taken = unsafe {
        [
            libc::mallopt(libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES),
            libc::mallopt(libc::M_TRIM_THRESHOLD, TRIM_THRESHOLD_BYTES),
        ]
    };
    taken == [1, 1]
}

/// Nothing to do with other allocators.
#[cfg(not(target_env = "gnu"))]
pub(super) fn keep_freed_memory() -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts page faults of blocks that are taken, touched and given back: kept memory is touched once.
    #[cfg(target_env = "gnu")]
    #[test]
    fn freed_blocks_are_used_again() {
        assert!(keep_freed_memory());
        let faults = || {
            let text = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            let after_name = text.rsplit(')').next().unwrap();
            // Minor faults are the tenth field, the eighth behind the name.
            after_name.split_whitespace().nth(7).unwrap().parse::<u64>().unwrap()
        };
        let touch = || std::hint::black_box(vec![1u8; 1 << 20]);
        drop(touch());
        let before = faults();
        for _ in 0..50 {
            drop(touch());
        }
        let each = (faults() - before) / 50;
        assert!(each < 32, "{each} page faults for each block of 256 pages");
    }
}
