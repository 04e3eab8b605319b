//! What decides the bits of a gradient beside job, data and seed.

use gemm_common::cache::CACHE_INFO;

use crate::device;

/// The numeric class of this program on this machine: equal classes compute equal bits. It names the build (version,
/// compiler, target, processor features compiled in), the kernel that matrix products use, the cache geometry by which
/// they cut long sums into blocks (size in bytes / ways / line in bytes, as the matrix library sees it), and the device; a GPU by its
/// name and compute capability in place of its number.
#[must_use]
pub fn numeric_class(device: &str) -> String {
    let caches: Vec<String> = CACHE_INFO
        .iter()
        .zip(["L1", "L2", "L3"])
        .map(|(cache, name)| {
            format!("{name} {}/{}/{}", cache.cache_bytes, cache.associativity, cache.cache_line_bytes)
        })
        .collect();
    format!(
        "traind-training {}, {}, {}{}; matmul {}; {}; {}",
        env!("CARGO_PKG_VERSION"),
        env!("TRAIND_RUSTC"),
        env!("TRAIND_TARGET"),
        compiled_features(),
        matmul_kernel(),
        caches.join(", "),
        device::model(device),
    )
}

fn compiled_features() -> &'static str {
    if cfg!(target_feature = "avx512f") {
        " +avx512f"
    } else if cfg!(target_feature = "avx2") {
        " +avx2"
    } else if cfg!(target_feature = "avx") {
        " +avx"
    } else {
        ""
    }
}

/// The kernel that `gemm` picks at run time, by the conditions it uses itself.
#[cfg(target_arch = "x86_64")]
fn matmul_kernel() -> &'static str {
    if std::arch::is_x86_feature_detected!("avx512f") {
        "avx512f"
    } else if std::arch::is_x86_feature_detected!("fma") {
        "avx2+fma"
    } else {
        "scalar"
    }
}

/// The kernel that `gemm` picks at run time, by the conditions it uses itself.
#[cfg(not(target_arch = "x86_64"))]
fn matmul_kernel() -> &'static str {
    if cfg!(target_arch = "aarch64") { "neon" } else { "scalar" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_class_is_stable_and_names_its_parts() {
        let class = numeric_class("cpu");
        assert_eq!(class, numeric_class("cpu"));
        assert_ne!(class, numeric_class("cuda:0"));
        for part in [env!("CARGO_PKG_VERSION"), "rustc", "matmul", "L1 ", "L2 ", "L3 ", "cpu"] {
            assert!(class.contains(part), "{part:?} in {class:?}");
        }
        assert!(class.lines().count() == 1);
    }
}
