//! A directory of an older format: what stays, what is set aside, and a crash in between.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use traind_protocol::council::CouncilRecord;
use traind_protocol::ids::{Chain, Digest, JobId};
use traind_store::{IdleStore, Store, StoreError};

const JOB: JobId = JobId([7; 8]);

/// A directory of format 3, which has the layout of the present one: a checkpoint that is pinned, a ledger, local values.
fn old_directory(path: &Path) {
    let store = Store::open(path).unwrap();
    let record = store.write_checkpoint(JOB, 5, Chain([1; 32]), Digest([2; 32]), &[9; 100_000]).unwrap();
    store.pin(record.manifest, true).unwrap();
    let ledger = CouncilRecord { hard_state: Some(vec![1; 10]), ..CouncilRecord::default() };
    store.council().persist(&ledger).unwrap();
    store.put_local("swarm", &[4; 9000]).unwrap();
    store.put_local("seat", &[5; 8]).unwrap();
    store.remember_peer("/ip4/10.0.0.1/tcp/7600").unwrap();
    fs::write(store.identity_path(), "the key").unwrap();
    drop(store);
    fs::write(path.join("FORMAT"), "traind-data 3\n").unwrap();
}

fn check(path: &Path) {
    let store = Store::open(path).unwrap();
    let (record, state) = store.read_checkpoint(JOB, 5).unwrap();
    assert_eq!(state, [9; 100_000]);
    assert!(store.pinned().unwrap().contains(&record.manifest), "pins stay");
    assert!(store.council().load().unwrap().hard_state.is_none(), "the ledger is not taken for one of ours");
    assert_eq!(store.get_local("swarm").unwrap().unwrap(), [4; 9000]);
    assert_eq!(store.get_local("seat").unwrap(), None, "a seat in a council that is gone");
    assert_eq!(store.remembered_peers().unwrap(), ["/ip4/10.0.0.1/tcp/7600"]);
    assert_eq!(fs::read_to_string(store.identity_path()).unwrap(), "the key");
    store.put_local("seat", &[6; 8]).unwrap();
    drop(store);
    assert!(Store::open(path).unwrap().get_local("seat").unwrap().is_some(), "migrated once");
}

/// Every file below a directory, with its bytes.
fn picture(path: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![path.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap().path();
            match entry.is_dir() {
                true => folders.push(entry),
                false => drop(files.insert(entry.display().to_string(), fs::read(&entry).unwrap())),
            }
        }
    }
    files
}

#[test]
fn everything_but_the_ledger_stays() {
    let directory = tempfile::tempdir().unwrap();
    old_directory(directory.path());
    check(directory.path());
    assert!(directory.path().join("records.format-3").join("db").exists(), "set aside, not lost");
}

#[test]
fn a_migration_that_was_cut_short_begins_again() {
    let directory = tempfile::tempdir().unwrap();
    let at = |name: &str| directory.path().join(name);
    old_directory(directory.path());
    // Between the renames, and with half of the new records written.
    fs::rename(at("sequence"), at("sequence.format-3")).unwrap();
    drop(Store::open(directory.path()).unwrap());
    fs::write(at("FORMAT"), "traind-data 3\n").unwrap();
    check(directory.path());
}

#[test]
fn whoever_only_looks_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    old_directory(directory.path());
    let before = picture(directory.path());
    match IdleStore::open(directory.path()) {
        Err(error @ StoreError::OtherVersion { .. }) => {
            assert!(error.to_string().contains("\"traind-data 3\""), "{error}");
        }
        other => panic!("{:?}", other.err()),
    }
    assert!(picture(directory.path()) == before);
}
