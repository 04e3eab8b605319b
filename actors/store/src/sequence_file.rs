//! How many records were acknowledged, kept outside the index: a witness against an index that forgot some.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use crate::{StoreError, durable_file};

/// A number and the start of its BLAKE3.
const FILE_BYTES: usize = 16;

/// What the file says about the records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Witness {
    /// No record was ever written.
    None,
    /// Records were written; how many is unreadable.
    Unreadable,
    /// At least this many records were acknowledged.
    Acknowledged(u64),
}

/// The file, made with the first record.
///
/// Its existence is durable before the first record is acknowledged. Its number is written after the record is durable
/// and not synced, which would double the cost: it survives the process, and after a power failure it may lag behind
/// the index but never be ahead of it.
#[derive(Debug)]
pub(crate) struct SequenceFile {
    path: PathBuf,
    file: Option<File>,
}

impl SequenceFile {
    pub(crate) fn open(path: &Path) -> Result<(Self, Witness), StoreError> {
        let path = path.to_path_buf();
        let Some(bytes) = durable_file::read(&path, FILE_BYTES as u64 * 16)? else {
            return Ok((Self { path, file: None }, Witness::None));
        };
        let witness = decode(&bytes).map_or(Witness::Unreadable, Witness::Acknowledged);
        let file = OpenOptions::new().write(true).open(&path).map_err(StoreError::file("open", &path))?;
        Ok((Self { path, file: Some(file) }, witness))
    }

    /// Makes the file exist, durably. Before the first record is.
    pub(crate) fn create(&mut self) -> Result<(), StoreError> {
        if self.file.is_some() {
            return Ok(());
        }
        let (directory, name) =
            match (self.path.parent(), self.path.file_name().and_then(|name| name.to_str())) {
                (Some(directory), Some(name)) => (directory, name),
                _ => unreachable!("the data directory names the file"),
            };
        durable_file::write(directory, name, &encode(0))?;
        durable_file::sync_directory(directory)?;
        let file = OpenOptions::new().write(true).open(&self.path);
        self.file = Some(file.map_err(StoreError::file("open", &self.path))?);
        Ok(())
    }

    /// Notes that record `sequence` is durable.
    pub(crate) fn acknowledge(&mut self, sequence: u64) -> Result<(), StoreError> {
        self.create()?;
        let written = self.file.as_ref().map_or(Ok(()), |file| file.write_all_at(&encode(sequence), 0));
        written.map_err(StoreError::file("write", &self.path))
    }
}

fn encode(sequence: u64) -> [u8; FILE_BYTES] {
    let mut bytes = [0; FILE_BYTES];
    let (number, check) = bytes.split_at_mut(8);
    number.copy_from_slice(&sequence.to_le_bytes());
    check.copy_from_slice(&blake3::hash(number).as_bytes()[..8]);
    bytes
}

fn decode(bytes: &[u8]) -> Option<u64> {
    let number = u64::from_le_bytes(bytes.get(..8)?.try_into().ok()?);
    (bytes == encode(number)).then_some(number)
}
