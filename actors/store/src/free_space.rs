//! Whether a disk has room.

use std::path::Path;

use crate::StoreError;

/// Bytes that this user may still write to the file system of `path`.
pub(crate) fn available(path: &Path) -> Result<u64, StoreError> {
    let found = rustix::fs::statvfs(path)
        .map_err(|error| StoreError::file("ask for the free space of", path)(error.into()))?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// That `bytes` more leave `reserve_bytes` free.
pub(crate) fn check(path: &Path, bytes: u64, reserve_bytes: u64) -> Result<(), StoreError> {
    let available = available(path)?;
    if available < bytes.saturating_add(reserve_bytes) {
        return Err(StoreError::NoSpace { path: path.to_path_buf(), bytes, available, reserve_bytes });
    }
    Ok(())
}
