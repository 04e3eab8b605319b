//! One IDX file: LeCun, Cortes and Burges' format of MNIST (yann.lecun.com/exdb/mnist). Two zero bytes, the type of
//! the values, the number of dimensions, each dimension as a big-endian u32, then the values, the last dimension fastest.

use std::path::Path;

use super::{
    contents::{CONTENTS_BYTES_MAX, Contents},
    data_error::DataError,
};

/// The code of unsigned bytes, the only type that is read.
const UNSIGNED_BYTE: u8 = 0x08;
const MAGIC_BYTES: u64 = 4;
const DIMENSION_BYTES: u64 = 4;

/// The dimensions and values of an IDX file of unsigned bytes.
pub(super) struct IdxFile {
    pub(super) dimensions: Vec<u32>,
    pub(super) values: Vec<u8>,
}

impl IdxFile {
    /// Reads a file with one of these numbers of dimensions; `expected` says them for people.
    pub(super) fn read(path: &Path, allowed: &[u8], expected: &'static str) -> Result<Self, DataError> {
        Self::read_from(Contents::open(path)?, allowed, expected, CONTENTS_BYTES_MAX)
    }

    fn read_from(
        mut contents: Contents,
        allowed: &[u8],
        expected: &'static str,
        bytes_max: u64,
    ) -> Result<Self, DataError> {
        let path = contents.path().to_owned();
        let magic = contents.take(MAGIC_BYTES)?;
        let count = match *magic {
            [0, 0, UNSIGNED_BYTE, count] if allowed.contains(&count) => count,
            _ => return Err(DataError::NotIdx { path, found: magic, expected }),
        };
        let header = contents.take(DIMENSION_BYTES * u64::from(count))?;
        let (dimensions, rest) = header.as_chunks();
        let dimensions: Vec<u32> = dimensions.iter().map(|bytes| u32::from_be_bytes(*bytes)).collect();
        if dimensions.len() != usize::from(count) || !rest.is_empty() {
            return Err(DataError::NotIdx { path, found: [magic, header].concat(), expected });
        }
        if dimensions.contains(&0) {
            return Err(DataError::Empty {
                path,
                what: format!("values: its dimensions are {dimensions:?}"),
            });
        }
        let declared =
            dimensions.iter().try_fold(1u64, |product, side| product.checked_mul(u64::from(*side)));
        let declared = match declared {
            Some(declared) if declared <= bytes_max => declared,
            _ => return Err(DataError::TooLarge { path, bytes_max }),
        };
        // One byte more shows a file that holds more than it declares, however far it would decompress.
        let values = contents.take(declared + 1)?;
        match values.len() as u64 {
            found if found == declared => Ok(Self { dimensions, values }),
            found => Err(DataError::Length { path, dimensions, declared, found }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write};

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn read(name: &str, bytes: &[u8], bytes_max: u64) -> Result<IdxFile, DataError> {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join(name);
        fs::write(&path, bytes).unwrap();
        IdxFile::read_from(Contents::open(&path)?, &[1, 3], "1 or 3", bytes_max)
    }

    fn header(dimensions: &[u32]) -> Vec<u8> {
        let mut bytes = vec![0, 0, UNSIGNED_BYTE, dimensions.len() as u8];
        bytes.extend(dimensions.iter().flat_map(|side| side.to_be_bytes()));
        bytes
    }

    #[test]
    fn dimensions_and_values_are_read() {
        let file = read("x", &[header(&[2, 1, 3]), vec![1, 2, 3, 4, 5, 6]].concat(), 100).unwrap();
        assert_eq!((file.dimensions, file.values), (vec![2, 1, 3], vec![1, 2, 3, 4, 5, 6]));
    }

    /// A megabyte behind a header that declares four bytes: one more than declared is decompressed, and no more.
    #[test]
    fn a_decompression_bomb_stops_at_what_it_declares() {
        let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
        bomb.write_all(&[header(&[4]), vec![0; 1 << 20]].concat()).unwrap();
        let error = read("x.gz", &bomb.finish().unwrap(), 1 << 30).err().unwrap();
        assert!(matches!(error, DataError::Length { declared: 4, found: 5, .. }), "{error}");
    }

    #[test]
    fn declarations_beyond_the_limit_are_refused_unread() {
        for dimensions in [vec![101], vec![5, 5, 5], vec![u32::MAX; 3]] {
            let error = read("x", &header(&dimensions), 100).err().unwrap();
            assert!(matches!(error, DataError::TooLarge { bytes_max: 100, .. }), "{dimensions:?}: {error}");
        }
        let error = read("x", &header(&[100]), 100).err().unwrap();
        assert!(matches!(error, DataError::Length { declared: 100, found: 0, .. }), "{error}");
    }
}
