//! A data directory of format 2 becomes one of the present format, wherever that is cut short.

use std::fs;
use std::path::Path;

use traind_protocol::ids::{Chain, Digest};
use traind_store::{CHUNK_BYTES_MAX, CouncilRecord, FORMAT_VERSION, Store};

use crate::fixture::{JOB, copy, files, state};

/// What format 2 wrote for a checkpoint.
fn write_format_2(directory: &Path, step: u64, state: &[u8]) {
    let names: Vec<String> = state
        .chunks(CHUNK_BYTES_MAX)
        .map(|content| {
            let name = blake3::hash(content).to_hex().to_string();
            fs::write(directory.join("chunks").join(&name), content).unwrap();
            name
        })
        .collect();
    let (chain, digest) = (Chain([step as u8; 32]), Digest([9; 32]));
    let json = format!(
        "{{\"job\":\"{JOB}\",\"step\":{step},\"chain\":\"{chain}\",\"digest\":\"{digest}\",\"state_bytes\":{},\
         \"chunks\":{}}}",
        state.len(),
        serde_json::to_string(&names).unwrap()
    );
    let text = format!("{json}\n{}\n", blake3::hash(json.as_bytes()).to_hex());
    fs::write(directory.join("manifests").join(format!("{JOB}-{step:020}.manifest")), text).unwrap();
}

/// A directory of format 2: records as they still are, in `index`.
fn format_2(directory: &Path) {
    let store = Store::open(directory).unwrap();
    store.put_local("name", b"value").unwrap();
    let record = CouncilRecord { hard_state: Some(vec![3; 40]), ..CouncilRecord::default() };
    store.council().persist(&record).unwrap();
    drop(store);
    fs::remove_dir_all(directory.join("index")).unwrap();
    fs::rename(directory.join("records"), directory.join("index")).unwrap();
    fs::write(directory.join("FORMAT"), "traind-data 2\n").unwrap();
    write_format_2(directory, 1, &state(1, CHUNK_BYTES_MAX + 77));
    write_format_2(directory, 2, b"");
    write_format_2(directory, 3, &state(3, 5000));
}

fn check(directory: &Path) {
    let store = Store::open(directory).unwrap();
    let steps: Vec<_> = store.list_checkpoints(None).unwrap().iter().map(|record| record.step).collect();
    assert_eq!(steps, [1, 2, 3]);
    let (record, read) = store.read_checkpoint(JOB, 1).unwrap();
    assert!(read == state(1, CHUNK_BYTES_MAX + 77));
    assert_eq!((record.chain, record.digest, record.chunks), (Chain([1; 32]), Digest([9; 32]), 2));
    assert!(store.read_checkpoint(JOB, 2).unwrap().1.is_empty());
    assert_eq!(store.get_local("name").unwrap().as_deref(), Some(b"value".as_slice()));
    assert_eq!(store.council().load().unwrap().hard_state, Some(vec![3; 40]));
    let format = fs::read_to_string(directory.join("FORMAT")).unwrap();
    assert_eq!(format, format!("traind-data {FORMAT_VERSION}\n"));
    assert_eq!(files(&directory.join("manifests")).len(), 3);
}

#[test]
fn format_2_becomes_the_present_one_with_all_it_holds() {
    let directory = tempfile::tempdir().unwrap();
    format_2(directory.path());
    check(directory.path());
    check(directory.path());
}

#[test]
fn a_migration_that_was_cut_short_is_taken_up() {
    let original = tempfile::tempdir().unwrap();
    format_2(original.path());
    let finished = tempfile::tempdir().unwrap();
    copy(original.path(), finished.path());
    check(finished.path());
    let cut = tempfile::tempdir().unwrap();
    // After the rename; after any number of manifests, the old one still beside the new one; before the version.
    for manifests_new in 0..=3 {
        copy(original.path(), cut.path());
        fs::rename(cut.path().join("index"), cut.path().join("records")).unwrap();
        for path in files(&finished.path().join("manifests")).iter().take(manifests_new) {
            let name = path.file_name().unwrap();
            fs::copy(path, cut.path().join("manifests").join(name)).unwrap();
        }
        check(cut.path());
    }
}

#[test]
fn a_damaged_manifest_of_format_2_is_moved_aside_and_the_rest_goes_on() {
    let directory = tempfile::tempdir().unwrap();
    format_2(directory.path());
    let damaged = directory.path().join("manifests").join(format!("{JOB}-{:020}.manifest", 2));
    fs::write(&damaged, "gibberish").unwrap();
    let store = Store::open(directory.path()).unwrap();
    assert_eq!(store.list_checkpoints(None).unwrap().len(), 2);
    assert!(damaged.with_extension("manifest.damaged").exists());
}
