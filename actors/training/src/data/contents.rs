//! The contents of a data file, plain or compressed, never more of them than a limit.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    path::{Path, PathBuf},
};

use flate2::bufread::MultiGzDecoder;

use super::data_error::DataError;

/// Most decompressed contents of one file, in bytes: twice the largest set of MNIST's family (EMNIST, 547 MB), and a
/// bound on what a file of a few megabytes that decompresses without end can cost.
pub(super) const CONTENTS_BYTES_MAX: u64 = 1 << 30;

/// A file that is being read.
pub(super) struct Contents {
    path: PathBuf,
    reader: Box<dyn Read>,
    compressed: bool,
}

impl Contents {
    /// Opens a file; one whose name ends in `.gz` is decompressed.
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        // A pipe would block whoever opens it, perhaps for ever.
        if !fs::metadata(path).map_err(|source| read_error(path, source))?.is_file() {
            return Err(DataError::NotAFile { path: path.to_owned() });
        }
        let file = BufReader::new(File::open(path).map_err(|source| read_error(path, source))?);
        let compressed = path.extension().is_some_and(|extension| extension == "gz");
        let reader: Box<dyn Read> =
            if compressed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
        Ok(Self { path: path.to_owned(), reader, compressed })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The next bytes, as many as there are up to `bytes_max`. Memory grows with what is really there.
    pub(super) fn take(&mut self, bytes_max: u64) -> Result<Vec<u8>, DataError> {
        let mut bytes = Vec::new();
        let read = (&mut self.reader).take(bytes_max).read_to_end(&mut bytes);
        read.map_err(|source| self.error(source))?;
        bytes.shrink_to_fit();
        Ok(bytes)
    }

    /// What a failed read means: damage of a compressed file, or a refusal by the operating system.
    pub(super) fn error(&self, source: io::Error) -> DataError {
        use io::ErrorKind::{InvalidData, InvalidInput, UnexpectedEof};
        // The decompressor's own errors are of these kinds and carry no error number.
        let is_damage = matches!(source.kind(), InvalidData | InvalidInput | UnexpectedEof);
        if self.compressed && is_damage && source.raw_os_error().is_none() {
            DataError::Gzip { path: self.path.clone(), source }
        } else {
            read_error(&self.path, source)
        }
    }
}

impl Read for Contents {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

fn read_error(path: &Path, source: io::Error) -> DataError {
    DataError::Read { path: path.to_owned(), source }
}
