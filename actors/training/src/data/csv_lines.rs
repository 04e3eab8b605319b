//! The lines of a table, split into fields. One line is one record: a field with a line break in it is no number, and a
//! line's number in the file is then always known.

use std::{
    io::{BufRead, BufReader, Read},
    path::PathBuf,
};

use csv_core::{ReadRecordResult, Reader, ReaderBuilder, Terminator};

use super::{
    contents::{CONTENTS_BYTES_MAX, Contents},
    data_error::DataError,
};

/// Longest line, in bytes: 1024×1024 pixels of three channels, five characters each.
const LINE_BYTES_MAX: u64 = 16 << 20;
/// What some editors put before the first character of a text in UTF-8.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A file that is read line by line; memory holds one line.
pub(super) struct CsvLines {
    contents: BufReader<Contents>,
    path: PathBuf,
    line_bytes_max: u64,
    contents_bytes_max: u64,
    parser: Reader,
    /// Number of the line that was read last, from 1.
    number: u64,
    given: u64,
    line: Vec<u8>,
    /// The fields of the line one after another, and where each ends.
    fields: Vec<u8>,
    ends: Vec<usize>,
}

/// The fields of a line, without the spaces around them.
pub(super) struct CsvLine<'a> {
    pub(super) number: u64,
    fields: &'a [u8],
    ends: &'a [usize],
}

impl CsvLines {
    pub(super) fn new(contents: Contents) -> Self {
        Self::with_limits(contents, LINE_BYTES_MAX, CONTENTS_BYTES_MAX)
    }

    fn with_limits(contents: Contents, line_bytes_max: u64, contents_bytes_max: u64) -> Self {
        Self {
            path: contents.path().to_owned(),
            contents: BufReader::new(contents),
            line_bytes_max,
            contents_bytes_max,
            parser: ReaderBuilder::new().terminator(Terminator::Any(b'\n')).build(),
            number: 0,
            given: 0,
            line: Vec::new(),
            fields: Vec::new(),
            ends: Vec::new(),
        }
    }

    /// The next line that is not blank; `None` at the end.
    pub(super) fn next(&mut self) -> Result<Option<CsvLine<'_>>, DataError> {
        while self.read_line()? {
            let start = if self.number == 1 && self.line.starts_with(BYTE_ORDER_MARK) {
                BYTE_ORDER_MARK.len()
            } else {
                0
            };
            if !self.line[start..].trim_ascii().is_empty() {
                return Ok(Some(self.split(start)));
            }
        }
        Ok(None)
    }

    fn read_line(&mut self) -> Result<bool, DataError> {
        self.line.clear();
        let limit = self.line_bytes_max + 1;
        let read = (&mut self.contents).take(limit).read_until(b'\n', &mut self.line);
        let read = read.map_err(|source| self.contents.get_ref().error(source))? as u64;
        self.number += 1;
        self.given += read;
        let path = || self.path.clone();
        if self.given > self.contents_bytes_max {
            return Err(DataError::TooLarge { path: path(), bytes_max: self.contents_bytes_max });
        }
        if read == limit {
            let bytes_max = self.line_bytes_max;
            return Err(DataError::LongLine { path: path(), line: self.number, bytes_max });
        }
        Ok(read > 0)
    }

    fn split(&mut self, start: usize) -> CsvLine<'_> {
        let text = self.line[start..].trim_ascii_end();
        // Fields are never longer than their line, and there is at most one more of them than there are commas.
        self.fields.resize(text.len(), 0);
        self.ends.resize(text.iter().filter(|byte| **byte == b',').count() + 1, 0);
        self.parser.reset();
        let (mut written, mut ended) = (0, 0);
        // The second, empty, input is the parser's sign of the end.
        for input in [text, &[]] {
            let (result, _, bytes, ends) =
                self.parser.read_record(input, &mut self.fields[written..], &mut self.ends[ended..]);
            written += bytes;
            ended += ends;
            if result == ReadRecordResult::Record {
                break;
            }
        }
        CsvLine { number: self.number, fields: &self.fields[..written], ends: &self.ends[..ended] }
    }
}

impl CsvLine<'_> {
    /// How many fields it has, at least one.
    pub(super) fn columns(&self) -> usize {
        self.ends.len()
    }

    /// The fields in their order.
    pub(super) fn fields(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(self.ends).map(|(start, end)| self.fields[start..*end].trim_ascii())
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Write, path::Path};

    use flate2::{Compression, write::GzEncoder};

    use super::*;

    fn write(directory: &Path, name: &str, text: &[u8]) -> PathBuf {
        let path = directory.join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn read(text: &[u8]) -> Vec<(u64, Vec<String>)> {
        let directory = tempfile::tempdir().unwrap();
        let mut lines = CsvLines::new(Contents::open(&write(directory.path(), "x.csv", text)).unwrap());
        let mut all = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            let fields: Vec<String> =
                line.fields().map(|field| String::from_utf8_lossy(field).into()).collect();
            assert_eq!(fields.len(), line.columns());
            all.push((line.number, fields));
        }
        all
    }

    fn line(number: u64, fields: &[&str]) -> (u64, Vec<String>) {
        (number, fields.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn lines_are_split_and_counted() {
        let unix = read(b"a,b\n\n 1 ,2\n\"3\",\"4,5\"\n6,");
        assert_eq!(
            unix,
            [line(1, &["a", "b"]), line(3, &["1", "2"]), line(4, &["3", "4,5"]), line(5, &["6", ""])]
        );
        assert_eq!(read(b"1,2\r\n\r\n3,4\r\n"), [line(1, &["1", "2"]), line(3, &["3", "4"])]);
        assert_eq!(read(b"\xEF\xBB\xBF1,2\n"), [line(1, &["1", "2"])]);
        assert_eq!(read(b"7\n,\n"), [line(1, &["7"]), line(2, &["", ""])]);
        // A quote that does not end takes in the rest of its line and nothing more.
        assert_eq!(read(b"1,\"2\n3,4\n"), [line(1, &["1", "2"]), line(2, &["3", "4"])]);
        assert_eq!(read(b"1\r2,3\n"), [line(1, &["1\r2", "3"])]);
        assert_eq!(read(b"\n \n"), []);
    }

    /// Contents that would decompress far beyond the limits stop at them.
    #[test]
    fn lines_and_contents_are_bounded() {
        let directory = tempfile::tempdir().unwrap();
        let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
        bomb.write_all(&[b'1'; 100_000]).unwrap();
        let path = write(directory.path(), "long.csv.gz", &bomb.finish().unwrap());
        let mut lines = CsvLines::with_limits(Contents::open(&path).unwrap(), 1_000, 50_000);
        let error = lines.next().err().unwrap();
        assert!(matches!(error, DataError::LongLine { line: 1, bytes_max: 1_000, .. }), "{error}");
        assert_eq!(lines.given, 1_001);

        let mut bomb = GzEncoder::new(Vec::new(), Compression::fast());
        bomb.write_all(&b"1,2\n".repeat(100_000)).unwrap();
        let path = write(directory.path(), "many.csv.gz", &bomb.finish().unwrap());
        let mut lines = CsvLines::with_limits(Contents::open(&path).unwrap(), 1_000, 50_000);
        let error = loop {
            if let Err(error) = lines.next() {
                break error;
            }
        };
        assert!(matches!(error, DataError::TooLarge { bytes_max: 50_000, .. }), "{error}");
        assert!(lines.given < 50_010, "{}", lines.given);
    }
}
