//! The data directory of a node: one process at a time, one version of the format.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};

use crate::migration::{FORMAT_VERSION_MIN, migrate};
use crate::{StoreError, durable_file};

/// Version of the layout below the data directory and of the records in it. Older ones become this one when a daemon starts, but
/// for the oldest, none of which was released: those and newer ones are refused untouched.
pub const FORMAT_VERSION: u32 = 4;

const FORMAT_FILE: &str = "FORMAT";
const LOCK_FILE: &str = "lock";
/// What the format file says before its version.
const FORMAT_WORD: &str = "traind-data";
/// Bytes of the format and the lock file at most; both are one short line.
const SMALL_FILE_BYTES_MAX: u64 = 256;

/// A directory that this process alone uses until the value is dropped or the process ends.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// The kernel releases the lock with the last handle, however the process ends.
    _lock: File,
}

impl DataDir {
    /// Opens the directory, or makes it with mode 0700.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::OtherVersion`] and [`StoreError::NotADataDirectory`] leave every byte as it
    /// was; else the file system's.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_from(path, FORMAT_VERSION)
    }

    /// As [`Self::open`]; a directory of an older format is brought to the present one.
    ///
    /// # Errors
    /// As [`Self::open`]; a migration that fails leaves the directory in its format.
    pub(crate) fn open_and_migrate(path: &Path) -> Result<Self, StoreError> {
        Self::open_from(path, FORMAT_VERSION_MIN)
    }

    fn open_from(path: &Path, version_min: u32) -> Result<Self, StoreError> {
        if path.exists() {
            format_of(path, version_min)?;
        } else {
            durable_file::create_directory(path)?;
            let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
            durable_file::sync_directory(parent.unwrap_or(Path::new(".")))?;
        }
        let lock = lock(path)?;
        let data_dir = Self { path: path.to_path_buf(), _lock: lock };
        // Again under the lock: another process may have made the directory just now.
        match format_of(path, version_min)? {
            Some(FORMAT_VERSION) => return Ok(data_dir),
            Some(older) => migrate(&data_dir, older)?,
            None => {}
        }
        let line = format!("{FORMAT_WORD} {FORMAT_VERSION}\n");
        durable_file::write(path, FORMAT_FILE, line.as_bytes())?;
        durable_file::sync_directory(path)?;
        Ok(data_dir)
    }

    /// Whether a data directory of any version is at `path`.
    #[must_use]
    pub fn is_one(path: &Path) -> bool {
        path.join(FORMAT_FILE).is_file()
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the node's key is kept.
    #[must_use]
    pub fn identity_path(&self) -> PathBuf {
        self.path.join("identity")
    }

    /// The records: what exists nowhere else.
    pub(crate) fn records_path(&self) -> PathBuf {
        self.path.join("records")
    }

    /// The index of chunks, made from the manifests.
    pub(crate) fn chunk_index_path(&self) -> PathBuf {
        self.path.join("index")
    }

    pub(crate) fn sequence_path(&self) -> PathBuf {
        self.path.join("sequence")
    }

    pub(crate) fn chunks_path(&self) -> PathBuf {
        self.path.join("chunks")
    }

    pub(crate) fn manifests_path(&self) -> PathBuf {
        self.path.join("manifests")
    }
}

/// The format that the directory says to have, at least `version_min`; none if it is new.
///
/// # Errors
/// [`StoreError::OtherVersion`] and [`StoreError::NotADataDirectory`].
fn format_of(path: &Path, version_min: u32) -> Result<Option<u32>, StoreError> {
    if let Some(bytes) = durable_file::read(&path.join(FORMAT_FILE), SMALL_FILE_BYTES_MAX)? {
        let text = String::from_utf8_lossy(&bytes);
        let found = text.trim();
        let mut known = version_min..=FORMAT_VERSION;
        if let Some(version) = known.find(|version| found == format!("{FORMAT_WORD} {version}")) {
            return Ok(Some(version));
        }
        let found = format!("{found:?}");
        return Err(StoreError::OtherVersion { path: path.to_path_buf(), found, supported: FORMAT_VERSION });
    }
    let names = durable_file::names(path)?;
    if names.iter().any(|name| name == FORMAT_FILE) {
        // Another process made it between the two looks.
        return format_of(path, version_min);
    }
    // What a first start leaves when it is cut short, and what a file system of its own has.
    let unfinished = format!("{FORMAT_FILE}{}", durable_file::UNFINISHED);
    let new = [LOCK_FILE, &unfinished, "lost+found"];
    match names.iter().all(|name| new.contains(&name.as_str())) {
        true => Ok(None),
        false => Err(StoreError::NotADataDirectory { path: path.to_path_buf() }),
    }
}

fn lock(path: &Path) -> Result<File, StoreError> {
    let lock_path = path.join(LOCK_FILE);
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&lock_path)
        .map_err(StoreError::file("open", &lock_path))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = durable_file::read(&lock_path, SMALL_FILE_BYTES_MAX).ok().flatten();
            let pid = holder.and_then(|bytes| String::from_utf8(bytes).ok()?.trim().parse().ok());
            return Err(StoreError::Locked { path: path.to_path_buf(), pid });
        }
        Err(TryLockError::Error(source)) => {
            return Err(StoreError::File { operation: "lock", path: lock_path, source });
        }
    }
    // For people and for the error of the next process; nothing depends on it.
    file.set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()))
        .map_err(StoreError::file("write", &lock_path))?;
    Ok(file)
}
