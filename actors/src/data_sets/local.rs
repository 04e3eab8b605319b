//! Data sets as files on this node: made from chunks, below one folder.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use traind_protocol::ids::ManifestId;
use traind_store::{Chunks, Manifest};

use super::DataSetError;
use super::facts::SetFacts;

/// Ending of a folder that is being made.
const HALF_MADE: &str = "unfinished";

/// Hexadecimal digits of the manifest in a folder's name: two contents of one name never meet.
const DIGITS: usize = 16;

/// Whether a folder of this name is one that is being made, or that a killed process left.
#[must_use]
pub fn is_half_made(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|ending| ending == HALF_MADE)
}

/// The folder of a set that was a folder, or a file.
fn folder(root: &Path, name: &str, manifest: ManifestId, is_folder: bool) -> PathBuf {
    let digits: String = manifest.to_hex().chars().take(DIGITS).collect();
    root.join(format!("{name}-{digits}.{}", if is_folder { "folder" } else { "file" }))
}

/// The folder that holds the files of a set, if they are here.
pub(super) fn folder_here(root: &Path, name: &str, manifest: ManifestId) -> Option<PathBuf> {
    [true, false]
        .map(|is_folder| folder(root, name, manifest, is_folder))
        .into_iter()
        .find(|path| path.is_dir())
}

/// Where the files of a set are, if they are here: a folder, or a file.
pub(super) fn path_of(root: &Path, name: &str, manifest: ManifestId) -> Option<PathBuf> {
    let of_folder = folder(root, name, manifest, true);
    if of_folder.is_dir() {
        return Some(of_folder);
    }
    let of_file = folder(root, name, manifest, false);
    let mut entries = fs::read_dir(of_file).ok()?;
    Some(entries.next()?.ok()?.path())
}

/// Makes the files of a set whose chunks are all here, each checked against its name; they are there whole or not at all.
pub(super) fn make(
    chunks: &Chunks,
    root: &Path,
    name: &str,
    id: ManifestId,
) -> Result<PathBuf, DataSetError> {
    let manifest = chunks.manifest(id)?;
    let facts = SetFacts::of(&manifest)?;
    let target = folder(root, name, id, facts.is_folder);
    let unfinished = target.with_extension(HALF_MADE);
    remove(&unfinished)?;
    // The council's log needs what chunks leave free.
    chunks.check_space(manifest.bytes())?;
    let made = make_files(chunks, &manifest, &facts, &unfinished)
        .and_then(|()| fs::rename(&unfinished, &target).map_err(DataSetError::file("rename", &unfinished)));
    if let Err(error) = made {
        // For want of space, most likely: what was taken is given back.
        if let Err(error) = remove(&unfinished) {
            tracing::warn!(%error, "files of a data set that could not be made are left");
        }
        return Err(error);
    }
    path_of(root, name, id).ok_or(DataSetError::Facts { what: "its files are not where they were made" })
}

fn make_files(
    chunks: &Chunks,
    manifest: &Manifest,
    facts: &SetFacts,
    unfinished: &Path,
) -> Result<(), DataSetError> {
    let mut list = manifest.chunks.iter();
    for file in &facts.files {
        let path = unfinished.join(&file.name);
        let parent = path.parent().unwrap_or(unfinished);
        fs::create_dir_all(parent).map_err(DataSetError::file("make", parent))?;
        let mut written = File::create(&path).map_err(DataSetError::file("make", &path))?;
        for chunk in list.by_ref().take(file.shards.len()) {
            written.write_all(&chunks.get_ref(*chunk)?).map_err(DataSetError::file("write", &path))?;
        }
        written.sync_all().map_err(DataSetError::file("write", &path))?;
    }
    Ok(())
}

/// Removes the files of a set.
pub(super) fn forget(root: &Path, name: &str, manifest: ManifestId) -> Result<(), DataSetError> {
    remove(&folder(root, name, manifest, true))?;
    remove(&folder(root, name, manifest, false))
}

fn remove(path: &Path) -> Result<(), DataSetError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(DataSetError::file("remove", path)(error))
        }
        _ => Ok(()),
    }
}
