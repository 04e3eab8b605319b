//! Documents out of files: a text, or the field of each line of a JSONL file.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
};

use serde_json::Value;

use super::text_error::TextError;
use crate::data::{
    contents::{CONTENTS_BYTES_MAX, Contents},
    data_error::DataError,
};

/// Longest line of a JSONL file, in bytes: a book of 1,000 pages, escaped.
const LINE_BYTES_MAX: u64 = 16 << 20;
/// What some editors put before the first character of a text in UTF-8.
const BYTE_ORDER_MARK: char = '\u{feff}';
/// A line's fields that an error tells at most.
const SHOWN_FIELDS_MAX: usize = 8;

/// The text of a file, gzip if its name ends in `.gz`.
pub(super) fn read_text(path: &Path) -> Result<String, DataError> {
    let bytes = Contents::take(&mut Contents::open(path)?, CONTENTS_BYTES_MAX + 1)?;
    if bytes.len() as u64 > CONTENTS_BYTES_MAX {
        return Err(DataError::TooLarge { path: path.to_owned(), bytes_max: CONTENTS_BYTES_MAX });
    }
    Ok(checked_text(path, bytes)?)
}

/// Bytes as text that is not empty.
pub(super) fn checked_text(path: &Path, bytes: Vec<u8>) -> Result<String, TextError> {
    let mut text = String::from_utf8(bytes).map_err(|error| not_utf8(path, error.as_bytes(), 0, 1))?;
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len_utf8());
    }
    if text.trim_ascii().is_empty() {
        return Err(TextError::Empty { path: path.to_owned() });
    }
    Ok(text)
}

/// The error at the first byte of `bytes` that is no UTF-8; before them there are `before` bytes, and they begin on `line`.
fn not_utf8(path: &Path, bytes: &[u8], before: u64, line: u64) -> TextError {
    let valid = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
    let lines = bytes[..valid].iter().filter(|byte| **byte == b'\n').count() as u64;
    TextError::NotUtf8 { path: path.to_owned(), offset: before + valid as u64, line: line + lines }
}

/// The texts in `field` of each line of a JSONL file; blank lines and empty texts are skipped.
pub(super) fn read_jsonl(path: &Path, field: &str) -> Result<Vec<String>, DataError> {
    let mut contents = BufReader::new(Contents::open(path)?);
    let (mut documents, mut bytes) = (Vec::new(), Vec::new());
    let (mut line, mut before) = (0, 0);
    loop {
        bytes.clear();
        let read = (&mut contents).take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut bytes);
        let read = read.map_err(|source| contents.get_ref().error(source))? as u64;
        line += 1;
        if read == 0 {
            break;
        }
        if read > LINE_BYTES_MAX {
            let bytes_max = LINE_BYTES_MAX;
            return Err(TextError::LongLine { path: path.to_owned(), line, bytes_max }.into());
        }
        if before + read > CONTENTS_BYTES_MAX {
            return Err(DataError::TooLarge { path: path.to_owned(), bytes_max: CONTENTS_BYTES_MAX });
        }
        let text = std::str::from_utf8(&bytes).map_err(|_| not_utf8(path, &bytes, before, line))?;
        let text = if line == 1 { text.trim_start_matches(BYTE_ORDER_MARK) } else { text };
        if !text.trim_ascii().is_empty() {
            documents.push(document(path, line, text, field)?);
        }
        before += read;
    }
    documents.retain(|document| !document.trim_ascii().is_empty());
    if documents.is_empty() {
        return Err(TextError::Empty { path: path.to_owned() }.into());
    }
    Ok(documents)
}

fn document(path: &Path, line: u64, text: &str, field: &str) -> Result<String, TextError> {
    let path = || path.to_owned();
    let value =
        serde_json::from_str(text).map_err(|source| TextError::NotJson { path: path(), line, source })?;
    let refused =
        |found: String| Err(TextError::NoField { path: path(), line, field: field.to_owned(), found });
    let Value::Object(mut object) = value else { return refused("no object".to_owned()) };
    match object.remove(field) {
        Some(Value::String(text)) => Ok(text),
        Some(_) => refused(format!("the field {field:?} is no string")),
        None => {
            let fields: Vec<String> =
                object.keys().take(SHOWN_FIELDS_MAX).map(|name| format!("{name:?}")).collect();
            let fields = if fields.is_empty() { "none".to_owned() } else { fields.join(", ") };
            refused(format!("the fields are {fields}"))
        }
    }
}
