//! What the tests share: a job, states, and pictures of a directory.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use traind_protocol::ids::{Chain, Digest, JobId};
use traind_store::{CheckpointRecord, Store};

pub(crate) const JOB: JobId = JobId([7; 8]);
pub(crate) const OTHER_JOB: JobId = JobId([8; 8]);

/// A state of `bytes` that no compression shortens, the same for the same arguments.
pub(crate) fn state(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = vec![0; bytes];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&seed.to_le_bytes());
    hasher.finalize_xof().fill(&mut state);
    state
}

pub(crate) fn write(store: &Store, job: JobId, step: u64, state: &[u8]) -> CheckpointRecord {
    store.write_checkpoint(job, step, Chain([step as u8; 32]), Digest([9; 32]), state).unwrap()
}

/// Every file below a directory with its mode and content.
pub(crate) fn picture(directory: &Path) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
    let mut files = BTreeMap::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(path) = open.pop() {
        let metadata = std::fs::metadata(&path).unwrap();
        if metadata.is_dir() {
            open.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            files.insert(path, (metadata.mode(), Vec::new()));
        } else {
            let content = std::fs::read(&path).unwrap();
            files.insert(path, (metadata.mode(), content));
        }
    }
    files
}

/// The files directly in a directory.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Makes `to` a copy of the directory `from`, whatever it was before.
pub(crate) fn copy(from: &Path, to: &Path) {
    if to.exists() {
        std::fs::remove_dir_all(to).unwrap();
    }
    for (path, (_, content)) in picture(from) {
        let target = to.join(path.strip_prefix(from).unwrap());
        if path.is_dir() {
            std::fs::create_dir_all(target).unwrap();
        } else {
            std::fs::create_dir_all(target.parent().unwrap()).unwrap();
            std::fs::write(target, content).unwrap();
        }
    }
}
