//! A disk that is full at any write of a checkpoint: it is refused by name, what was there is whole, and once there is
//! room all goes on, in the same process.
//!
//! Without arguments this is the test: it runs itself in a mount namespace of its own, where a small tmpfs is the disk.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs;
use std::path::Path;
use std::process::Command;

use traind_protocol::ids::{Chain, Digest, JobId};
use traind_store::{Store, StoreError, StoreOptions};

const JOB: JobId = JobId([5; 8]);
/// Bytes of the tmpfs: sled takes half a megabyte for each of its two databases.
const DISK: &str = "size=12m";
/// Bytes of a state: three pages and a bit.
const STATE_BYTES: usize = 3 * PAGE + 100;
const PAGE: usize = 4096;
/// Pages that are left free, one round each: from none to room for everything.
const PAGES_FREE_MAX: usize = 40;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.as_slice() {
        [_, word, directory] if word == "fill-the-disk" => fill_the_disk(Path::new(directory)),
        _ => {
            let directory = tempfile::tempdir().unwrap();
            let script = format!("mount -t tmpfs -o {DISK} none \"$1\" && exec \"$0\" fill-the-disk \"$1\"");
            let status = Command::new("unshare")
                .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
                .arg(std::env::current_exe().unwrap())
                .arg(directory.path())
                .status()
                .unwrap_or_else(|error| panic!("unshare (util-linux) is needed: {error}"));
            assert!(
                status.success(),
                "the disk of the test, or what ran on it, failed ({status}); user namespaces with mounts are needed"
            );
        }
    }
}

fn state(step: u64) -> Vec<u8> {
    let mut state = vec![0; STATE_BYTES];
    blake3::Hasher::new().update(&step.to_le_bytes()).finalize_xof().fill(&mut state);
    state
}

fn fill_the_disk(disk: &Path) {
    let (path, filler) = (disk.join("data"), disk.join("filler"));
    // No reserve: every write finds the disk full in its turn.
    let options = StoreOptions { reserve_bytes: 0, ..StoreOptions::default() };
    let mut store = Store::open_with(&path, options).unwrap();
    let write = |store: &Store, step: u64| {
        store.write_checkpoint(JOB, step, Chain([1; 32]), Digest([2; 32]), &state(step))
    };
    write(&store, 1).unwrap();
    let (mut last, mut refused, mut passed) = (1, 0, 0);
    for pages in 0..=PAGES_FREE_MAX {
        let step = 2 + pages as u64 * 2;
        fill(&filler, pages);
        match write(&store, step) {
            Ok(_record) => {
                passed += 1;
                last = step;
            }
            Err(error) => {
                refused += 1;
                let no_space = matches!(error, StoreError::NoSpace { .. })
                    || format!("{error:?}").contains("StorageFull");
                assert!(no_space, "{pages} pages: {error:?}");
            }
        }
        let whole = |store: &Store, last: u64| {
            let steps: Vec<_> =
                store.list_checkpoints(None).unwrap().iter().map(|record| record.step).collect();
            assert_eq!(steps, [last], "{pages} pages");
            assert!(store.read_checkpoint(JOB, last).unwrap().1 == state(last), "{pages} pages");
        };
        fs::remove_file(&filler).unwrap();
        if last == step {
            store.retain(JOB, &[last]).unwrap();
        }
        whole(&store, last);
        write(&store, step + 1)
            .unwrap_or_else(|error| panic!("{pages} pages: there is room again: {error:?}"));
        last = step + 1;
        store.retain(JOB, &[last]).unwrap();
        whole(&store, last);
        if pages % 4 == 0 {
            drop(store);
            store = Store::open_with(&path, options).unwrap();
            whole(&store, last);
        }
        assert_eq!(store.chunks().status().unwrap().unnamed, 0, "{pages} pages: nothing is left behind");
    }
    println!("disk full: {refused} checkpoints were refused, {passed} found room");
    assert!(refused >= 5 && passed >= 5);
    reserve_is_kept(disk, &path, store);
}

/// Takes what is free but for some pages.
fn fill(filler: &Path, pages_free: usize) {
    use std::io::Write;
    let mut file = fs::File::create(filler).unwrap();
    let page = [1; PAGE];
    let mut pages = 0u64;
    while file.write_all(&page).is_ok() {
        pages += 1;
    }
    file.set_len(pages.saturating_sub(pages_free as u64) * PAGE as u64).unwrap();
}

/// With a reserve the chunks stop in time, and the records still find room.
fn reserve_is_kept(disk: &Path, path: &Path, store: Store) {
    drop(store);
    let options = StoreOptions { reserve_bytes: 2 << 20, ..StoreOptions::default() };
    let store = Store::open_with(path, options).unwrap();
    fill(&disk.join("filler"), (1 << 20) / PAGE);
    match store.write_checkpoint(JOB, 900, Chain([1; 32]), Digest([2; 32]), &state(900)) {
        Err(StoreError::NoSpace { available, reserve_bytes, .. }) => {
            assert!(available <= 1 << 20 && reserve_bytes == 2 << 20);
        }
        other => panic!("{other:?}"),
    }
    for number in 0..20u8 {
        store.put_local("still", &[number; 1000]).unwrap();
    }
}
