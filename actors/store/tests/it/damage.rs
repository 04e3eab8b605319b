//! Damage on disk is named, never passed on, and never answered by forgetting votes.

use std::fs;
use std::path::Path;

use traind_store::{CHUNK_BYTES_MAX, CouncilRecord, Damage, Store, StoreError};

use crate::fixture::{JOB, copy, files, state, write};

fn flip(path: &Path, at: usize) {
    let mut content = fs::read(path).unwrap();
    content[at] ^= 0x10;
    fs::write(path, content).unwrap();
}

#[test]
fn a_damaged_chunk_is_named_on_read() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    write(&store, JOB, 1, &state(1, CHUNK_BYTES_MAX + 777));
    write(&store, JOB, 2, &state(2, 10));
    let last = blake3::hash(&state(1, CHUNK_BYTES_MAX + 777)[CHUNK_BYTES_MAX..]).to_hex();
    let chunk = directory.path().join("chunks").join(last.as_str());
    let whole = fs::read(&chunk).unwrap();
    assert_eq!(whole.len(), 777);
    let named = |expected: Damage| match store.read_checkpoint(JOB, 1) {
        Err(StoreError::Damaged { object, damage }) => {
            assert_eq!((object, damage), (chunk.clone(), expected))
        }
        other => panic!("{:?}", other.map(|(record, _)| record)),
    };
    for at in [0, 400, 776] {
        flip(&chunk, at);
        named(Damage::Content);
        flip(&chunk, at);
    }
    fs::write(&chunk, &whole[..776]).unwrap();
    named(Damage::Length { expected: 777, found: 776 });
    fs::write(&chunk, b"").unwrap();
    named(Damage::Length { expected: 777, found: 0 });
    fs::remove_file(&chunk).unwrap();
    named(Damage::Missing);
    // Other checkpoints are none the worse, and writing the same state heals it.
    store.read_checkpoint(JOB, 2).unwrap();
    fs::write(&chunk, &whole[..776]).unwrap();
    write(&store, JOB, 1, &state(1, CHUNK_BYTES_MAX + 777));
    assert!(store.read_checkpoint(JOB, 1).unwrap().1 == state(1, CHUNK_BYTES_MAX + 777));
}

#[test]
fn every_damaged_byte_of_a_manifest_is_noticed() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    write(&store, JOB, 1, &state(1, 100));
    let second = write(&store, JOB, 2, &state(2, 100));
    let manifest = files(&directory.path().join("manifests"))[0].clone();
    let whole = fs::read(&manifest).unwrap();
    let refused = || match store.read_checkpoint(JOB, 1) {
        Err(StoreError::Damaged { object, damage: Damage::Content }) => assert_eq!(object, manifest),
        other => panic!("{other:?}"),
    };
    for at in 0..whole.len() {
        flip(&manifest, at);
        refused();
        fs::write(&manifest, &whole[..at]).unwrap();
        refused();
        fs::write(&manifest, &whole).unwrap();
    }
    // The manifest of another step under this name.
    fs::copy(&files(&directory.path().join("manifests"))[1], &manifest).unwrap();
    refused();
    flip(&manifest, 9);
    drop(store);
    // Listed no more, but its chunks are kept: the state may yet be saved by hand.
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.list_checkpoints(None).unwrap(), [second]);
    assert_eq!(files(&directory.path().join("chunks")).len(), 2);
    assert_eq!(store.retain(JOB, &[2]).unwrap(), 1);
    assert_eq!(files(&directory.path().join("chunks")).len(), 1);
    assert_eq!(store.list_checkpoints(None).unwrap(), [second]);
}

#[test]
fn records_that_hold_nothing_are_begun_anew_when_damaged() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let record = write(&store, JOB, 1, &state(1, 100));
    drop(store);
    fs::write(directory.path().join("records/conf"), "no configuration at all").unwrap();
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.list_checkpoints(None).unwrap(), [record]);
    assert!(directory.path().join("records.damaged-1").is_dir(), "moved aside, not deleted");
}

#[test]
fn lost_votes_are_never_forgotten_silently() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let vote = |term: u8| CouncilRecord { hard_state: Some(vec![term; 400]), ..CouncilRecord::default() };
    store.council().persist(&vote(1)).unwrap();
    drop(store);
    let index = directory.path().join("records");
    let copies = tempfile::tempdir().unwrap();
    let (older, newer) = (copies.path().join("older"), copies.path().join("newer"));
    copy(&index, &older);
    let store = Store::open(directory.path()).unwrap();
    store.council().persist(&vote(2)).unwrap();
    drop(store);
    copy(&index, &newer);
    let refused = |why: &str, found_expected: u64| match Store::open(directory.path()) {
        Err(error @ StoreError::RecordsLost { expected: 2, .. }) => {
            assert!(
                matches!(error, StoreError::RecordsLost { found, .. } if found == found_expected),
                "{error}"
            );
            assert!(error.to_string().contains("Restore that directory from a copy"), "{error}");
        }
        other => panic!("{why}: {:?}", other.err()),
    };
    copy(&older, &index);
    refused("an older copy", 1);
    fs::remove_dir_all(&index).unwrap();
    refused("no index", 0);
    copy(&newer, &index);
    fs::write(index.join("db"), b"").unwrap();
    refused("an empty database", 0);
    copy(&newer, &index);
    fs::write(index.join("conf"), "no configuration at all").unwrap();
    refused("a damaged configuration", 0);
    // The records that were acknowledged last open it again; an unreadable witness does not prevent that.
    copy(&newer, &index);
    fs::write(directory.path().join("sequence"), "gibberish").unwrap();
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.council().load().unwrap().hard_state, Some(vec![2; 400]));
    store.council().persist(&vote(3)).unwrap();
    drop(store);
    copy(&newer, &index);
    assert!(matches!(
        Store::open(directory.path()),
        Err(StoreError::RecordsLost { expected: 3, found: 2, .. })
    ));
}

#[test]
fn flipped_bits_of_the_records_never_bring_back_an_older_vote() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let last = 30u8;
    for term in 1..=last {
        let record = CouncilRecord {
            hard_state: Some(vec![term; 300]),
            entries: vec![(u64::from(term), vec![term; 500])],
            ..CouncilRecord::default()
        };
        store.council().persist(&record).unwrap();
    }
    let expected = store.council().load().unwrap();
    drop(store);
    let (index, kept) = (directory.path().join("records"), tempfile::tempdir().unwrap());
    copy(&index, kept.path());
    let content = fs::read(kept.path().join("db")).unwrap();
    let used = content.iter().rposition(|byte| *byte != 0).unwrap();
    let (mut refused, mut unharmed) = (0, 0);
    for round in 0..64 {
        copy(kept.path(), &index);
        flip(&index.join("db"), round * used / 64);
        // sled asserts on some damage only when the damaged page is read.
        let loaded = std::panic::catch_unwind(|| {
            Store::open(directory.path()).and_then(|store| store.council().load())
        });
        match loaded {
            Ok(Ok(loaded)) => {
                assert_eq!(loaded, expected, "round {round}");
                unharmed += 1;
            }
            Ok(Err(_)) | Err(_) => refused += 1,
        }
    }
    println!("of 64 flipped bits {refused} were refused, {unharmed} did no harm");
    // Without the witness beside it, sled opens in silence and gives back the vote before the damage.
    assert!(refused > 32);
}
