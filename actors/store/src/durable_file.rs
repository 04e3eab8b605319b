//! Files that are whole or absent: written beside their place, synced, renamed, the directory synced.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::direct_file::DirectFiles;
use crate::{StoreError, free_space};

/// Ending of files that are being written. What is left of them is swept when the store opens.
pub(crate) const UNFINISHED: &str = ".unfinished";

/// Distinguishes files that are written for one name at a time, as one chunk that two sources sent.
static WRITES: AtomicU64 = AtomicU64::new(0);

/// Writes `bytes` as `directory/name`. The name is durable after the next [`sync_directory`].
pub(crate) fn write(directory: &Path, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
    write_by(directory, name, &format!("{name}{UNFINISHED}"), bytes, |path| {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_data()
    })
}

/// Like [`write`], past the page cache: for what is large and hardly read.
pub(crate) fn write_direct(
    direct_files: &DirectFiles,
    directory: &Path,
    name: &str,
    bytes: &[u8],
) -> Result<(), StoreError> {
    let number = WRITES.fetch_add(1, Ordering::Relaxed);
    write_by(directory, name, &format!("{name}.{number}{UNFINISHED}"), bytes, |path| {
        direct_files.write(path, bytes)
    })
}

/// `write` makes a file with `bytes` at the path that it is given, and the bytes durable.
fn write_by(
    directory: &Path,
    name: &str,
    unfinished: &str,
    bytes: &[u8],
    write: impl FnOnce(&Path) -> io::Result<()>,
) -> Result<(), StoreError> {
    let unfinished = directory.join(unfinished);
    let written = write(&unfinished).and_then(|()| fs::rename(&unfinished, directory.join(name)));
    if written.is_err() {
        // For want of space, most likely: give back what was taken. The sweep does it if this fails too.
        let _ = fs::remove_file(&unfinished);
    }
    written.map_err(|source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::NoSpace {
            path: directory.join(name),
            bytes: bytes.len() as u64,
            available: free_space::available(directory).unwrap_or(0),
            reserve_bytes: 0,
        },
        _ => StoreError::File { operation: "write", path: directory.join(name), source },
    })
}

/// Makes the names in `directory` durable.
pub(crate) fn sync_directory(directory: &Path) -> Result<(), StoreError> {
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(StoreError::file("sync", directory))
}

/// Removes a file; one that is gone already is no error.
pub(crate) fn remove(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(StoreError::File { operation: "remove", path: path.to_path_buf(), source: error })
        }
        _ => Ok(()),
    }
}

/// Reads a file of at most `bytes_max`; `None` if there is none.
pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<Option<Vec<u8>>, StoreError> {
    let bytes = fs::metadata(path).and_then(|metadata| {
        if metadata.len() > bytes_max {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("{} bytes", metadata.len())));
        }
        fs::read(path)
    });
    match bytes {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(StoreError::File { operation: "read", path: path.to_path_buf(), source: error }),
    }
}

/// The names of all files in `directory` that are text, sorted; others are nobody's.
pub(crate) fn names(directory: &Path) -> Result<Vec<String>, StoreError> {
    let listed: io::Result<Vec<_>> =
        fs::read_dir(directory).and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect());
    let mut names: Vec<String> = listed
        .map_err(StoreError::file("list", directory))?
        .into_iter()
        .filter_map(|name| name.into_string().ok())
        .collect();
    names.sort_unstable();
    Ok(names)
}

/// Makes `directory` with room for its owner alone, its parents too.
pub(crate) fn create_directory(directory: &Path) -> Result<PathBuf, StoreError> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(directory)
        .map_err(StoreError::file("create", directory))?;
    Ok(directory.to_path_buf())
}

/// Waits until this process has let go of the database in `directory`, which sled's threads may do a moment after it is dropped.
/// The data directory is locked by now, so nobody else has it open.
pub(crate) fn wait_for_database(directory: &Path) -> io::Result<()> {
    match File::open(directory.join("db")) {
        // Given back when the file is closed, here.
        Ok(file) => file.lock(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}
