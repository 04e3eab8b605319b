//! One TOML file: every key and value is checked with its line before `config` sees it.

use std::io::Read as _;
use std::ops::Range;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::error::SettingsError;
use super::keys::{KEYS, KeySpec};
use super::layer::Entry;
use super::nearest::nearest;
use super::origin::Place;
use super::value::Value;

/// Longest settings file, bytes: some dozens of keys and their comments stay far below.
pub(super) const FILE_BYTES_MAX: u64 = 1 << 20;

/// Reads and checks `path`; every value with its line.
pub(super) fn read(path: &Path) -> Result<Vec<Entry>, SettingsError> {
    let unreadable = |source| SettingsError::Unreadable { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(unreadable)?;
    let mut bytes = Vec::new();
    file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > FILE_BYTES_MAX {
        return Err(SettingsError::TooLong { path: path.to_owned(), bytes_max: FILE_BYTES_MAX });
    }
    let text = String::from_utf8(bytes).map_err(|error| {
        let line = 1 + error.as_bytes()[..error.utf8_error().valid_up_to()]
            .iter()
            .filter(|&&byte| byte == b'\n')
            .count();
        let place = Place::File { path: path.to_owned(), line };
        SettingsError::Syntax { place, message: "not UTF-8".into() }
    })?;
    check(&text, path)
}

/// Checks every key and value of `text`.
fn check(text: &str, path: &Path) -> Result<Vec<Entry>, SettingsError> {
    let table = DeTable::parse(text).map_err(|error| SettingsError::Syntax {
        place: place(text, path, error.span()),
        message: error.message().to_owned(),
    })?;
    let mut entries = Vec::new();
    check_table(text, path, "", table.get_ref(), &mut entries)?;
    Ok(entries)
}

fn check_table(
    text: &str,
    path: &Path,
    prefix: &str,
    table: &DeTable<'_>,
    entries: &mut Vec<Entry>,
) -> Result<(), SettingsError> {
    for (name, value) in table {
        let key = format!("{prefix}{}", name.get_ref());
        if let Some(spec) = KeySpec::find(&key) {
            let found = Value::from_toml(value.get_ref());
            let place = place(text, path, Some(value.span()));
            entries.push(Entry::checked(spec, found, place)?);
            continue;
        }
        let section = format!("{key}.");
        match value.get_ref() {
            DeValue::Table(inner) if is_section(&section) => {
                check_table(text, path, &section, inner, entries)?
            }
            found if is_section(&section) => {
                return Err(SettingsError::BadValue {
                    place: place(text, path, Some(value.span())),
                    key,
                    found: Value::from_toml(found).describe(),
                    allowed: "a table of settings".into(),
                });
            }
            _ => return Err(unknown_key(place(text, path, Some(name.span())), key)),
        }
    }
    Ok(())
}

/// The error for a key that no setting has.
pub(super) fn unknown_key(place: Place, key: String) -> SettingsError {
    let names = KEYS.iter().map(|spec| spec.name);
    let sections = KEYS.iter().filter_map(|spec| spec.name.split_once('.')).map(|(section, _)| section);
    let nearest = nearest(&key, names.chain(sections)).map(str::to_owned);
    SettingsError::UnknownKey { place, key, nearest }
}

fn is_section(section: &str) -> bool {
    KEYS.iter().any(|spec| spec.name.starts_with(section))
}

fn place(text: &str, path: &Path, span: Option<Range<usize>>) -> Place {
    let start = span.map_or(0, |span| span.start).min(text.len());
    let line = 1 + text.as_bytes()[..start].iter().filter(|&&byte| byte == b'\n').count();
    Place::File { path: path.to_owned(), line }
}
