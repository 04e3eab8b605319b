//! `trainctl store`: on a daemon whose answers are known, and on a data directory that none uses.

use std::fs;
use std::path::Path;

use traind_protocol::ids::{Chain, Digest, JobId};
use traind_store::Store;

use crate::fake::{Fake, trainctl};
use crate::verbs::{json, table};

#[test]
fn a_daemon_says_what_it_keeps_and_reads_it_all() {
    let fake = Fake::start();
    let status = table(&fake, &["store", "status"]);
    assert!(status.contains("/srv/traind") && status.contains("12, 41.9 MB"), "{status}");
    assert_eq!(json(&fake, &["store", "status"], "StoreStatus")["unnamed"], 2);
    assert_eq!(json(&fake, &["store", "verify"], "StoreVerified")["chunks"], 12);
    let lines = table(&fake, &["store", "verify", "-o", "jsonl"]);
    assert_eq!(lines.lines().count(), 2, "{lines}");
    assert!(lines.starts_with(r#"{"apiVersion":"traind/v1","kind":"StoreProgress""#), "{lines}");
    assert!(table(&fake, &["store", "gc", "--dry-run"]).starts_with("would remove 2 chunks"));
    assert!(table(&fake, &["store", "gc"]).starts_with("removed 2 chunks"));
    assert_eq!(json(&fake, &["store", "rebuild-index"], "StoreIndexRebuilt")["manifests"], 4);
    let nobody = trainctl(&["--socket", "/nonexistent/control.sock", "store", "verify"]);
    assert!(nobody.code == Some(3) && nobody.stderr.contains("--data-dir"), "{nobody:?}");
}

/// A data directory with one checkpoint of two chunks; their files.
fn with_a_checkpoint(directory: &Path) -> Vec<std::path::PathBuf> {
    let store = Store::open(directory).unwrap();
    let state: Vec<u8> =
        (0..(traind_store::CHUNK_BYTES_MAX as u32 + 9)).map(|byte| (byte % 251) as u8).collect();
    store.write_checkpoint(JobId([1; 8]), 5, Chain([2; 32]), Digest([3; 32]), &state).unwrap();
    let mut chunks: Vec<_> =
        fs::read_dir(directory.join("chunks")).unwrap().map(|entry| entry.unwrap().path()).collect();
    chunks.sort();
    chunks
}

#[test]
fn a_directory_that_no_daemon_uses_is_looked_at_and_mended() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("node");
    let chunks = with_a_checkpoint(&directory);
    let at = directory.to_str().unwrap();
    let store = |arguments: &[&str]| trainctl(&[&["store"], arguments, &["--data-dir", at]].concat());
    let whole = store(&["verify"]);
    assert!(whole.code == Some(0) && whole.stdout.contains("2 chunks read"), "{whole:?}");
    // The index is gone: it is made anew, and counts what it counted.
    fs::remove_dir_all(directory.join("index")).unwrap();
    let rebuilt = store(&["rebuild-index", "-o", "json"]);
    assert!(rebuilt.code == Some(0) && rebuilt.stdout.contains(r#""manifests":1"#), "{rebuilt:?}");
    let status = store(&["status", "-o", "json"]);
    assert!(
        status.stdout.contains(r#""checkpoints":1"#) && status.stdout.contains(r#""unnamed":0"#),
        "{status:?}"
    );
    // A flipped bit, a truncated file, a chunk that is gone, a manifest with a flipped bit: each by its name.
    let content = fs::read(&chunks[0]).unwrap();
    let named = |object: &Path, why: &str| {
        let ran = store(&["verify"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stdout.contains(object.to_str().unwrap()) && ran.stdout.contains(why), "{why}: {ran:?}");
    };
    let mut flipped = content.clone();
    flipped[3] ^= 1;
    fs::write(&chunks[0], &flipped).unwrap();
    named(&chunks[0], "its content is not what was written");
    fs::write(&chunks[0], &content[..content.len() - 1]).unwrap();
    named(&chunks[0], "bytes of");
    fs::remove_file(&chunks[0]).unwrap();
    named(&chunks[0], "missing");
    fs::write(&chunks[0], &content).unwrap();
    let manifest = fs::read_dir(directory.join("manifests")).unwrap().next().unwrap().unwrap().path();
    let text = fs::read(&manifest).unwrap();
    let mut flipped = text.clone();
    flipped[20] ^= 1;
    fs::write(&manifest, &flipped).unwrap();
    named(&manifest, "its content");
    let swept = store(&["gc"]);
    assert!(
        swept.stdout.contains("removed 0 chunks") && swept.stdout.contains("1 manifests are damaged"),
        "{swept:?}"
    );
    fs::write(&manifest, &text).unwrap();
    assert_eq!(store(&["verify"]).code, Some(0));
}

#[test]
fn a_chunk_that_nothing_names_is_read_and_collected() {
    let folder = tempfile::tempdir().unwrap();
    let directory = folder.path().join("node");
    let chunks = with_a_checkpoint(&directory);
    let at = directory.to_str().unwrap();
    let manifest = fs::read_dir(directory.join("manifests")).unwrap().next().unwrap().unwrap().path();
    fs::remove_file(&manifest).unwrap();
    // Opening sweeps, as the start of a daemon does.
    let swept = trainctl(&["store", "gc", "--data-dir", at, "-o", "json"]);
    assert!(swept.code == Some(0) && swept.stdout.contains(r#""chunks":0"#), "{swept:?}");
    assert!(chunks.iter().all(|chunk| !chunk.exists()));
}

#[test]
fn no_directory_is_made_and_none_is_taken_from_a_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent");
    let ran = trainctl(&["store", "verify", "--data-dir", absent.to_str().unwrap()]);
    assert!(ran.code == Some(4) && !absent.exists(), "{ran:?}");
    let used = folder.path().join("used");
    let _store = Store::open(&used).unwrap();
    let ran = trainctl(&["store", "status", "--data-dir", used.to_str().unwrap()]);
    assert!(
        ran.code == Some(1) && ran.stderr.contains("in use") && ran.stderr.contains("without --data-dir"),
        "{ran:?}"
    );
}
