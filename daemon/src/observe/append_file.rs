//! A file that only grows, by whole records.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

/// A file that is appended to. What fails half-way is taken back, so that it always ends with a whole record. It is not
/// synced: what a power failure takes is a few seconds of curves, and waiting for a disk is not worth that.
#[derive(Debug)]
pub(super) struct AppendFile {
    file: File,
    length_bytes: u64,
    /// A record is there in part and could not be taken back.
    is_torn: bool,
}

impl AppendFile {
    /// Opens `path`, or makes it, and cuts it to `length_bytes`.
    pub(super) fn open(path: &Path, length_bytes: u64) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        if file.metadata()?.len() > length_bytes {
            file.set_len(length_bytes)?;
        }
        Ok(Self { file, length_bytes, is_torn: false })
    }

    /// Makes `path`, which must not be there.
    pub(super) fn create_new(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create_new(true).open(path)?;
        Ok(Self { file, length_bytes: 0, is_torn: false })
    }

    /// Appends `bytes`, all or nothing.
    pub(super) fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_torn {
            self.file.set_len(self.length_bytes)?;
            self.is_torn = false;
        }
        if let Err(error) = self.file.write_all(bytes) {
            self.is_torn = self.file.set_len(self.length_bytes).is_err();
            return Err(error);
        }
        self.length_bytes += bytes.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_beyond_the_length_is_cut_and_appending_goes_on_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, "whole\nto").unwrap();
        let mut file = AppendFile::open(&path, 6).unwrap();
        file.append(b"next\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole\nnext\n");
        assert!(AppendFile::create_new(&path).is_err(), "somebody's file is not taken over");
    }

    #[test]
    fn a_device_without_room_is_an_error_and_no_panic() {
        let mut full = AppendFile::open(Path::new("/dev/full"), 0).unwrap();
        assert_eq!(full.append(b"x").unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(full.length_bytes, 0);
    }
}
