//! Files written past the page cache.
//!
//! A checkpoint is written once and hardly read: in the cache its bytes would push out what trainers read, and filling fresh
//! pages with it takes several times the processor time of everything else a checkpoint needs (docs/benchmarks.md).

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::OFlags;

/// What address, offset and length of a direct write are multiples of, in bytes: the largest logical block of any disk in use.
const ALIGNMENT_BYTES: usize = 4096;
/// Buffers kept for the next write: one of the thread that writes checkpoints, one of whoever fetches chunks.
const BUFFERS_KEPT_MAX: usize = 2;

/// Writes files past the page cache; through it where the file system knows no other way.
#[derive(Default)]
pub(crate) struct DirectFiles {
    buffers: Mutex<Vec<Vec<u8>>>,
    is_refused: AtomicBool,
}

impl DirectFiles {
    /// Makes the file at `path` with these bytes, which are durable when this returns; its name is not yet.
    pub(crate) fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if !self.is_refused.load(Ordering::Relaxed) {
            match self.write_direct(path, bytes) {
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                    self.is_refused.store(true, Ordering::Relaxed);
                    tracing::debug!(path = %path.display(), %error, "the file system takes no direct writes");
                }
                outcome => return outcome,
            }
        }
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_data()
    }

    fn write_direct(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .custom_flags(OFlags::DIRECT.bits().cast_signed())
            .open(path)?;
        let written = bytes.len().next_multiple_of(ALIGNMENT_BYTES);
        let mut buffer = self.take_buffer(written + ALIGNMENT_BYTES);
        let start = buffer.as_ptr().align_offset(ALIGNMENT_BYTES);
        let aligned = &mut buffer[start..start + written];
        aligned[..bytes.len()].copy_from_slice(bytes);
        // What an earlier write left there is nobody's business.
        aligned[bytes.len()..].fill(0);
        let outcome = file.write_all(aligned);
        self.give_back(buffer);
        outcome?;
        if written != bytes.len() {
            file.set_len(bytes.len() as u64)?;
        }
        file.sync_data()
    }

    fn take_buffer(&self, bytes: usize) -> Vec<u8> {
        let kept = self.buffers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut buffer = kept.unwrap_or_default();
        if buffer.len() < bytes {
            buffer.resize(bytes, 0);
        }
        buffer
    }

    fn give_back(&self, buffer: Vec<u8>) {
        let mut buffers = self.buffers.lock().unwrap_or_else(PoisonError::into_inner);
        if buffers.len() < BUFFERS_KEPT_MAX {
            buffers.push(buffer);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_hold_what_was_written_whatever_their_length_and_whatever_was_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        for is_refused in [false, true] {
            let files = DirectFiles::default();
            files.is_refused.store(is_refused, Ordering::Relaxed);
            for length in [3 * ALIGNMENT_BYTES, 1, 4095, 4096, 4097, 2 * ALIGNMENT_BYTES, 0] {
                let bytes: Vec<u8> = (0..length).map(|index| (index % 251 + 1) as u8).collect();
                files.write(&path, &bytes).unwrap();
                assert_eq!(std::fs::read(&path).unwrap(), bytes, "{length} bytes");
            }
        }
    }

    #[test]
    fn writes_that_cannot_be_say_why_and_buffers_are_kept_for_the_next() {
        let files = DirectFiles::default();
        let error = files.write(Path::new("/nowhere/file"), &[1]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let directory = tempfile::tempdir().unwrap();
        for _ in 0..3 {
            files.write(&directory.path().join("file"), &[1; 10]).unwrap();
        }
        assert!(files.buffers.lock().unwrap().len() <= 1);
    }
}
