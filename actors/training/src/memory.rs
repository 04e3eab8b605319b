//! How the C library's allocator treats freed memory.

/// Blocks up to so many bytes come from the heap rather than from mappings of their own, which go back when they are freed and
/// whose pages are cleared anew each time: 32 MiB is the most that glibc takes.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_BYTES_MIN: libc::c_int = 32 << 20;
/// The heap's free end goes back only above so many bytes: more than a step frees.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const FREE_END_BYTES_MAX: libc::c_int = 256 << 20;

/// Lets freed memory stay with the process, up to a bound. Measured: packed operands of matrix products otherwise cost a page
/// fault for every 4 KiB of every product.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[allow(unsafe_code)]
pub(crate) fn keep_freed_pages() {
    // SAFETY: `mallopt` takes two numbers, may be called at any time, and is safe to call from several threads in glibc.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_BYTES_MIN);
        libc::mallopt(libc::M_TRIM_THRESHOLD, FREE_END_BYTES_MAX);
    }
}

/// Other allocators are left as they are.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
pub(crate) fn keep_freed_pages() {}

#[cfg(all(test, target_os = "linux", target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_freed_and_asked_for_again_costs_no_page_faults() {
        // Minor page faults of this thread so far: the eighth field behind the name.
        let faults = || {
            let text = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
            let fields = text.rsplit(')').next().unwrap();
            fields.split_whitespace().nth(7).unwrap().parse::<u64>().unwrap()
        };
        keep_freed_pages();
        let fill = || std::hint::black_box(vec![1u8; 8 << 20]).len();
        fill();
        let before = faults();
        (0..10).for_each(|_| assert_eq!(fill(), 8 << 20));
        // 2,048 pages each time otherwise; some for whatever else the process does.
        assert!(faults() - before < 1000, "{} page faults", faults() - before);
    }
}
