//! Large vectors, on large pages where the system has them.

/// Bytes of a large page.
#[cfg(target_os = "linux")]
const LARGE_PAGE_BYTES: usize = 2 << 20;

/// So many zeros. The kernel clears a large page at its first use in far less time than the 512 small ones it stands for, which
/// is a second a gigabyte where a hypervisor takes part; and a pass over all misses fewer translations of addresses.
pub(crate) fn zeros(elements: usize) -> Vec<f32> {
    let mut vector = vec![0.0; elements];
    prefer_large_pages(&mut vector);
    vector
}

/// Asks for large pages for what of the vector was not used yet.
#[cfg(target_os = "linux")]
#[allow(unsafe_code)]
fn prefer_large_pages(vector: &mut [f32]) {
    let bytes = bytemuck::cast_slice_mut::<f32, u8>(vector);
    let skipped = bytes.as_ptr().align_offset(LARGE_PAGE_BYTES).min(bytes.len());
    let within = &mut bytes[skipped..];
    let length = within.len() - within.len() % LARGE_PAGE_BYTES;
    if length > 0 {
        // SAFETY: the range lies within a vector that is borrowed for writing, begins and ends at pages, and this advice changes no
        // content: it is about how the kernel maps what is touched from now on.
        unsafe {
            // A kernel without large pages refuses, and small ones it is.
            libc::madvise(within.as_mut_ptr().cast(), length, libc::MADV_HUGEPAGE);
        }
    }
}

/// Other systems choose themselves.
#[cfg(not(target_os = "linux"))]
fn prefer_large_pages(_vector: &mut [f32]) {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_of_any_length_are_zeros() {
        for elements in [0, 1, 1000, (1 << 19) - 1, (3 << 19) + 17] {
            let vector = zeros(elements);
            assert!(vector.len() == elements && vector.iter().all(|value| *value == 0.0));
        }
    }
}
