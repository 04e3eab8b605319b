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
