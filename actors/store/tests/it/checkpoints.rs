//! Checkpoints are written, listed, read and retained; the index follows the manifests.

use std::fs;

use traind_protocol::ids::{Chain, Digest};
use traind_store::{CHUNK_BYTES_MAX, Store, StoreError};

use crate::fixture::{JOB, OTHER_JOB, copy, files, state, write};

#[test]
fn what_was_written_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let sizes = [0, 1, CHUNK_BYTES_MAX - 1, CHUNK_BYTES_MAX, CHUNK_BYTES_MAX + 1, 3 * CHUNK_BYTES_MAX];
    let store = Store::open(directory.path()).unwrap();
    let mut records = Vec::new();
    for (step, bytes) in (0..).zip(sizes) {
        let record = write(&store, JOB, step, &state(step, bytes));
        assert_eq!((record.step, record.state_bytes, record.job), (step, bytes as u64, JOB));
        assert_eq!((record.chain, record.digest), (Chain([step as u8; 32]), Digest([9; 32])));
        assert_eq!(record.chunks as usize, bytes.div_ceil(CHUNK_BYTES_MAX));
        records.push(record);
    }
    let other = write(&store, OTHER_JOB, 300, b"other");
    // As it is, and from a copy of the directory in use, as a crash at this instant would leave it.
    let crashed = tempfile::tempdir().unwrap();
    copy(directory.path(), crashed.path());
    for store in [&store, &Store::open(crashed.path()).unwrap()] {
        assert_eq!(store.list_checkpoints(Some(JOB)).unwrap(), records);
        let all: Vec<_> = records.iter().copied().chain([other]).collect();
        assert_eq!(store.list_checkpoints(None).unwrap(), all);
        for (step, bytes) in (0..).zip(sizes) {
            let (record, read) = store.read_checkpoint(JOB, step).unwrap();
            assert_eq!(record, records[step as usize]);
            assert!(read == state(step, bytes), "step {step}");
        }
    }
    let absent = store.read_checkpoint(JOB, 99);
    assert!(matches!(absent, Err(StoreError::NoSuchCheckpoint { job: JOB, step: 99 })), "{absent:?}");
}

#[test]
fn retention_deletes_checkpoints_and_the_chunks_that_nothing_else_names() {
    let directory = tempfile::tempdir().unwrap();
    let chunks = directory.path().join("chunks");
    let store = Store::open(directory.path()).unwrap();
    let shared = state(1, CHUNK_BYTES_MAX);
    for step in 1..=4 {
        // The first chunk is the same in all, the second is each one's own.
        let own = state(step + 10, 100);
        write(&store, JOB, step, &[shared.as_slice(), &own].concat());
    }
    write(&store, OTHER_JOB, 1, &state(99, 100));
    assert_eq!(files(&chunks).len(), 1 + 4 + 1);
    assert_eq!(store.retain(JOB, &[2, 4, 77]).unwrap(), 2);
    let kept: Vec<_> = store.list_checkpoints(None).unwrap().iter().map(|record| record.step).collect();
    assert_eq!(kept, [2, 4, 1]);
    assert_eq!(files(&chunks).len(), 1 + 2 + 1);
    store.read_checkpoint(JOB, 2).unwrap();
    store.read_checkpoint(OTHER_JOB, 1).unwrap();
    assert!(matches!(store.read_checkpoint(JOB, 1), Err(StoreError::NoSuchCheckpoint { .. })));
    assert_eq!(store.retain(JOB, &[2, 4]).unwrap(), 0);
    assert_eq!(store.retain(JOB, &[]).unwrap(), 2);
    assert_eq!(files(&chunks).len(), 1);
}

#[test]
fn a_checkpoint_of_the_same_step_is_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    write(&store, JOB, 5, &state(1, 1000));
    let second = write(&store, JOB, 5, &state(2, 2000));
    assert_eq!(store.list_checkpoints(None).unwrap(), [second]);
    assert!(store.read_checkpoint(JOB, 5).unwrap().1 == state(2, 2000));
    drop(store);
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(files(&directory.path().join("chunks")).len(), 1, "the former's chunk was swept");
    assert!(store.read_checkpoint(JOB, 5).unwrap().1 == state(2, 2000));
}

#[test]
fn a_lost_index_is_rebuilt_from_manifests() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let records: Vec<_> = (1..4).map(|step| write(&store, JOB, step, &state(step, 5000))).collect();
    drop(store);
    fs::remove_dir_all(directory.path().join("index")).unwrap();
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.list_checkpoints(None).unwrap(), records);
    assert!(store.read_checkpoint(JOB, 3).unwrap().1 == state(3, 5000));
}

#[test]
fn the_index_follows_manifests_that_went_and_leftovers_are_swept() {
    let directory = tempfile::tempdir().unwrap();
    let (manifests, chunks) = (directory.path().join("manifests"), directory.path().join("chunks"));
    let store = Store::open(directory.path()).unwrap();
    write(&store, JOB, 1, &state(1, 5000));
    let second = write(&store, JOB, 2, &state(2, 5000));
    drop(store);
    // What deletion leaves when it is cut short after the manifest, and writing before it.
    fs::remove_file(&files(&manifests)[0]).unwrap();
    fs::write(manifests.join("x.manifest.unfinished"), "half").unwrap();
    fs::write(chunks.join("ab.unfinished"), "half").unwrap();
    fs::write(chunks.join(blake3::hash(b"orphan").to_hex().as_str()), "orphan").unwrap();
    fs::write(chunks.join("README"), "somebody's note").unwrap();
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.list_checkpoints(None).unwrap(), [second]);
    assert_eq!(files(&manifests).len(), 1);
    let left: Vec<_> = files(&chunks);
    assert_eq!(left.len(), 2, "{left:?}");
    assert!(left.iter().any(|path| path.ends_with("README")));
}
