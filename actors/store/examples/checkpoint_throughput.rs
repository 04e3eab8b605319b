//! What writing and reading checkpoints costs against plain files with fsync, in turns in one run; the memory that saving
//! takes above the state; the disk that twenty checkpoints take of which two are kept.
//!
//! `cargo run --release -p traind-store --example checkpoint_throughput [DIRECTORY [MEGABYTES [ROUNDS]]]`

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Instant;

use traind_protocol::ids::{Chain, Digest, JobId};
use traind_store::{CHUNK_BYTES_MAX, Store};

const JOB: JobId = JobId([1; 8]);
/// Checkpoints of the last figure.
const CHECKPOINTS: u64 = 20;

fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let parent = arguments.next().unwrap_or_else(|| ".".to_owned());
    let megabytes: usize = arguments.next().map_or(Ok(600), |text| text.parse())?;
    let rounds: u64 = arguments.next().map_or(Ok(5), |text| text.parse())?;
    let directory = tempfile::tempdir_in(parent)?;
    let plain = directory.path().join("plain");
    let store = Store::open(&directory.path().join("store"))?;
    let mut state = vec![0; megabytes * 1_000_000];
    let (mut writes, mut reads) = (Vec::new(), Vec::new());
    let mut extra_kilobytes = 0;
    for step in 1..=rounds {
        fill(&mut state, step);
        // In turns, and in changing order: the disk's own cache favours neither.
        let mut round = [0.0; 4];
        for which in if step % 2 == 0 { [0, 1] } else { [1, 0] } {
            let start = Instant::now();
            if which == 0 {
                write_plain(&plain, &state)?;
            } else {
                let before = resident_kilobytes("VmRSS:")?;
                fs::write("/proc/self/clear_refs", "5")?;
                store.write_checkpoint(JOB, step, Chain([1; 32]), Digest([2; 32]), &state)?;
                extra_kilobytes = extra_kilobytes.max(resident_kilobytes("VmHWM:")?.saturating_sub(before));
            }
            round[which] = state.len() as f64 / 1e6 / start.elapsed().as_secs_f64();
        }
        // What the store writes is not in the page cache; no more are plain files after a restart of the machine.
        drop_from_cache(&plain)?;
        for which in [2, 3] {
            let start = Instant::now();
            let read = if which == 2 { read_plain(&plain)? } else { store.read_checkpoint(JOB, step)?.1 };
            round[which] = read.len() as f64 / 1e6 / start.elapsed().as_secs_f64();
            anyhow::ensure!(read == state, "what was read is not what was written");
        }
        writes.push((round[0], round[1]));
        reads.push((round[2], round[3]));
        store.retain(JOB, &[step])?;
        fs::remove_dir_all(&plain)?;
    }
    report("write", &mut writes);
    report("read", &mut reads);
    println!("memory while saving, above the state: {:.1} MB at most", extra_kilobytes as f64 / 1e3);
    let small = &mut state[..64_000_000.min(megabytes * 1_000_000)];
    for step in 1..=CHECKPOINTS {
        fill(small, step + 100);
        store.write_checkpoint(JOB, step + 100, Chain([1; 32]), Digest([2; 32]), small)?;
        store.retain(JOB, &[step + 99, step + 100])?;
    }
    let taken = disk_bytes(&directory.path().join("store"))?;
    let live = 2 * small.len() as u64;
    println!(
        "disk after {CHECKPOINTS} checkpoints of {} MB with 2 kept: {:.3} of the live bytes",
        small.len() / 1_000_000,
        taken as f64 / live as f64
    );
    Ok(())
}

/// Incompressible, another one for each seed.
fn fill(state: &mut [u8], seed: u64) {
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(state);
}

/// Files of a chunk's size, each synced and renamed, the directory synced.
fn write_plain(directory: &Path, state: &[u8]) -> std::io::Result<()> {
    fs::create_dir_all(directory)?;
    for (number, content) in state.chunks(CHUNK_BYTES_MAX).enumerate() {
        let unfinished = directory.join("unfinished");
        let mut file = File::create(&unfinished)?;
        file.write_all(content)?;
        file.sync_data()?;
        fs::rename(unfinished, directory.join(number.to_string()))?;
    }
    File::open(directory)?.sync_all()
}

fn read_plain(directory: &Path) -> std::io::Result<Vec<u8>> {
    let mut state = Vec::new();
    for number in 0..fs::read_dir(directory)?.count() {
        state.extend_from_slice(&fs::read(directory.join(number.to_string()))?);
    }
    Ok(state)
}

fn drop_from_cache(directory: &Path) -> anyhow::Result<()> {
    for entry in fs::read_dir(directory)? {
        let file = File::open(entry?.path())?;
        rustix::fs::fadvise(file, 0, None, rustix::fs::Advice::DontNeed)?;
    }
    Ok(())
}

fn report(what: &str, rates: &mut [(f64, f64)]) {
    let mut ratios: Vec<f64> = rates.iter().map(|(plain, store)| store / plain).collect();
    ratios.sort_by(f64::total_cmp);
    let middle = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let plain = middle(&mut rates.iter().map(|(plain, _)| *plain).collect());
    let store = middle(&mut rates.iter().map(|(_, store)| *store).collect());
    println!(
        "{what}: plain files {plain:.0} MB/s, store {store:.0} MB/s, ratio {:.2} ({:.2} to {:.2})",
        ratios[ratios.len() / 2],
        ratios[0],
        ratios[ratios.len() - 1]
    );
}

fn resident_kilobytes(key: &str) -> anyhow::Result<u64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with(key));
    let value = line.and_then(|line| line.split_whitespace().nth(1));
    Ok(value.ok_or_else(|| anyhow::anyhow!("no {key}"))?.parse()?)
}

fn disk_bytes(directory: &Path) -> std::io::Result<u64> {
    use std::os::unix::fs::MetadataExt;
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        bytes += if path.is_dir() { disk_bytes(&path)? } else { fs::metadata(&path)?.blocks() * 512 };
    }
    Ok(bytes)
}
