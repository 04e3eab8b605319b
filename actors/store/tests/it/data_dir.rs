//! One process at a time, one version of the format, and nobody else's directory.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use traind_store::{DataDir, FORMAT_VERSION, Store, StoreError};

use crate::fixture::{JOB, picture, state, write};

#[test]
fn a_new_directory_is_for_its_owner_alone() {
    let outside = tempfile::tempdir().unwrap();
    let path = outside.path().join("deep/data");
    let store = Store::open(&path).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o700);
    assert_eq!(store.identity_path(), path.join("identity"));
    assert!(!store.identity_path().exists(), "the key is not the store's to make");
}

#[test]
fn a_directory_in_use_is_refused_with_its_holder_and_untouched() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    write(&store, JOB, 1, &state(1, 10));
    let before = picture(directory.path());
    match Store::open(directory.path()) {
        Err(StoreError::Locked { path, pid }) => {
            assert_eq!((path.as_path(), pid), (directory.path(), Some(std::process::id())));
        }
        other => panic!("{:?}", other.err()),
    }
    assert_eq!(picture(directory.path()), before);
    drop(store);
    Store::open(directory.path()).unwrap();
}

#[test]
fn another_version_is_refused_and_untouched() {
    let directory = tempfile::tempdir().unwrap();
    drop(Store::open(directory.path()).unwrap());
    let ours = fs::read_to_string(directory.path().join("FORMAT")).unwrap();
    assert_eq!(ours, format!("traind-data {FORMAT_VERSION}\n"));
    for format in [
        "traind-data 5\n",
        "traind-data 2\n",
        "traind-data 1\n",
        "traind-data\n",
        "",
        "traind-data 11",
        "\u{0}\u{1}",
    ] {
        fs::write(directory.path().join("FORMAT"), format).unwrap();
        let before = picture(directory.path());
        match Store::open(directory.path()) {
            Err(error @ StoreError::OtherVersion { .. }) => {
                assert!(error.to_string().contains("this traind reads 4; nothing was changed"), "{error}");
            }
            other => panic!("{format:?}: {:?}", other.err()),
        }
        assert_eq!(picture(directory.path()), before);
    }
}

#[test]
fn a_directory_of_somebody_else_is_refused_and_untouched() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("thesis.tex"), "chapter one").unwrap();
    let before = picture(directory.path());
    assert!(matches!(DataDir::open(directory.path()), Err(StoreError::NotADataDirectory { .. })));
    assert_eq!(picture(directory.path()), before);
}

#[test]
fn a_first_start_that_was_cut_short_is_taken_up() {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("lock"), "1234\n").unwrap();
    fs::write(directory.path().join("FORMAT.unfinished"), "trai").unwrap();
    DataDir::open(directory.path()).unwrap();
    assert!(directory.path().join("FORMAT").exists());
}
