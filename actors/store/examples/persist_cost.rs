//! Prints what it costs to make the council's entries durable, and what it leaves on disk and in memory.

use std::path::{Path, PathBuf};
use std::time::Instant;

use traind_store::{CouncilRecord, Store};

/// An entry of the council: a view or a lease of a few nodes.
const ENTRY_BYTES: usize = 500;
const ENTRIES: u64 = 5000;
/// Entries kept behind a compaction.
const KEPT: u64 = 500;

fn main() -> anyhow::Result<()> {
    let directory = std::env::args()
        .nth(1)
        .map_or_else(|| std::env::temp_dir().join("traind-persist-cost"), PathBuf::from);
    println!("in {}: memory {} KiB at first", directory.display(), resident_kibibytes());
    let store = Store::open(&directory)?;
    println!("opened: memory {} KiB, disk {} KiB", resident_kibibytes(), disk_kibibytes(&directory));
    let mut milliseconds = Vec::new();
    let first = store.council().load()?.entries.last().map_or(1, |(index, _)| index + 1);
    for index in first..first + ENTRIES {
        let record = CouncilRecord {
            hard_state: Some(vec![7; 30]),
            entries: vec![(index, vec![index as u8; ENTRY_BYTES])],
            compact_before: index.is_multiple_of(KEPT).then(|| index.saturating_sub(KEPT)),
            ..CouncilRecord::default()
        };
        let start = Instant::now();
        store.council().persist(&record)?;
        milliseconds.push(start.elapsed().as_secs_f64() * 1e3);
    }
    milliseconds.sort_by(f64::total_cmp);
    let at = |share: f64| milliseconds[((milliseconds.len() - 1) as f64 * share) as usize];
    println!(
        "{ENTRIES} persists of {ENTRY_BYTES} bytes: median {:.3} ms, 99 % {:.3} ms, worst {:.1} ms; memory {} KiB, disk {} KiB",
        at(0.5),
        at(0.99),
        at(1.0),
        resident_kibibytes(),
        disk_kibibytes(&directory)
    );
    drop(store);
    let start = Instant::now();
    let store = Store::open(&directory)?;
    println!(
        "reopened in {:.1} ms, {} entries; memory {} KiB, disk {} KiB",
        start.elapsed().as_secs_f64() * 1e3,
        store.council().load()?.entries.len(),
        resident_kibibytes(),
        disk_kibibytes(&directory)
    );
    Ok(())
}

fn resident_kibibytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default();
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).unwrap_or(0)
}

fn disk_kibibytes(directory: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = std::fs::read_dir(directory).into_iter().flatten().flatten();
    let bytes: u64 = entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => disk_kibibytes(&entry.path()) * 1024,
            Ok(metadata) => metadata.blocks() * 512,
            Err(_) => 0,
        })
        .sum();
    bytes / 1024
}
