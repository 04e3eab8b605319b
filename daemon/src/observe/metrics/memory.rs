//! Memory of this process.

/// Memory of this process that is in RAM, bytes; `None` where the system does not say.
#[must_use]
pub fn resident_memory_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

#[cfg(test)]
mod tests {
    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_is_larger_than_what_it_holds() {
        let held = std::hint::black_box(vec![1_u8; 32 << 20]);
        let resident = super::resident_memory_bytes().unwrap();
        assert!(resident > held.len() as u64, "{resident}");
        assert!(resident < 64 << 30, "{resident}");
    }
}
