//! Text for a parser of records that would read any length: its whole and each record are bounded.

use std::{
    cell::Cell,
    io::{self, Read},
    rc::Rc,
};

use thiserror::Error;

use super::contents::CONTENTS_BYTES_MAX;

/// Longest record, in bytes: 1024×1024 pixels of three channels, five characters each.
const RECORD_BYTES_MAX: u64 = 16 << 20;

/// Which bound was crossed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum Excess {
    #[error("more than {bytes_max} bytes")]
    Contents { bytes_max: u64 },
    #[error("a line of more than {bytes_max} bytes")]
    Line { bytes_max: u64 },
}

/// A stream that fails with [`Excess`] before its reader would have to hold too much.
pub(super) struct BoundedText {
    inner: Box<dyn Read>,
    given: u64,
    contents_bytes_max: u64,
    /// Where in the stream the record begins that is being read.
    record_start: Rc<Cell<u64>>,
}

impl BoundedText {
    pub(super) fn new(inner: Box<dyn Read>) -> Self {
        Self { inner, given: 0, contents_bytes_max: CONTENTS_BYTES_MAX, record_start: Rc::default() }
    }

    /// To be moved on by the reader after each record.
    pub(super) fn record_start(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.record_start)
    }
}

impl Read for BoundedText {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.given - self.record_start.get() > RECORD_BYTES_MAX {
            return Err(io::Error::other(Excess::Line { bytes_max: RECORD_BYTES_MAX }));
        }
        let read = self.inner.read(buffer)?;
        self.given += read as u64;
        if self.given > self.contents_bytes_max {
            return Err(io::Error::other(Excess::Contents { bytes_max: self.contents_bytes_max }));
        }
        Ok(read)
    }
}
