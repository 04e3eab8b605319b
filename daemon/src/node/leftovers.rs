//! What a process that was killed left half made in its data directory, beside the store, which sweeps its own.

use std::fs;
use std::io;
use std::path::Path;

use traind_actors::data_sets::{CONVERTED_PREFIX, folder_of, is_half_made};

use crate::control::STAGED_MODEL_PREFIX;

/// Removes it. Nobody else may use the directory: the store is open. What cannot be removed is named in the log and left.
pub(super) fn sweep_leftovers(data_dir: &Path) {
    let is_temporary =
        |name: &str| name.starts_with(CONVERTED_PREFIX) || name.starts_with(STAGED_MODEL_PREFIX);
    sweep(data_dir, is_temporary);
    sweep(&folder_of(data_dir), is_half_made);
}

fn sweep(directory: &Path, is_leftover: impl Fn(&str) -> bool) {
    // A directory that is not there yet holds nothing.
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_str().is_some_and(&is_leftover)) {
        let path = entry.path();
        match remove(&path) {
            Ok(()) => {
                tracing::info!(path = %path.display(), "a file that an earlier process left was removed")
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "what an earlier process left stays")
            }
        }
    }
}

fn remove(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_half_made_goes_and_all_else_stays() {
        let directory = tempfile::tempdir().unwrap();
        let at = |name: &str| directory.path().join(name);
        for folder in ["images-x1Yz", "images", "data/set-12.unfinished", "data/set-12.folder", "chunks"] {
            fs::create_dir_all(at(folder).join("inside")).unwrap();
        }
        for file in ["model-Ab3", "identity", "data/set-12.folder/file"] {
            fs::write(at(file), "text").unwrap();
        }
        sweep_leftovers(directory.path());
        for gone in ["images-x1Yz", "model-Ab3", "data/set-12.unfinished"] {
            assert!(!at(gone).exists(), "{gone}");
        }
        for stays in ["images", "identity", "data/set-12.folder/file", "chunks"] {
            assert!(at(stays).exists(), "{stays}");
        }
    }
}
