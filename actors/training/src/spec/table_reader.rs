//! Reads one TOML table key by key and says exactly what is wrong, and where.

use std::ops::Range;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::spec_error::{Problem, SpecError};

/// Most edits (insertions, deletions, replacements, swaps) between an unknown key and the one it was meant to be.
const EDITS_MAX: usize = 3;

/// A table of the file whose keys are all known.
pub(super) struct TableReader<'a> {
    text: &'a str,
    /// Path of the table: empty for the whole file.
    path: String,
    start: usize,
    table: Option<&'a DeTable<'a>>,
}

/// One form of a section: its name, and the keys that not every form has.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    pub(super) name: &'static str,
    pub(super) keys: &'static [&'static str],
}

impl<'a> TableReader<'a> {
    /// The whole file; a key that is not in `known` is refused.
    pub(super) fn root(
        text: &'a str,
        table: &'a DeTable<'a>,
        known: &[&'static str],
    ) -> Result<Self, SpecError> {
        let reader = Self { text, path: String::new(), start: 0, table: Some(table) };
        reader.refuse_unknown(known)?;
        Ok(reader)
    }

    /// The table under `key`; if it is absent every key in it has its default.
    pub(super) fn section(&self, key: &'static str, known: &[&'static str]) -> Result<Self, SpecError> {
        let reader = match self.get(key) {
            None => Self { text: self.text, path: self.path_of(key), start: self.start, table: None },
            Some(value) => self.table_at(value, self.path_of(key), key, "a table")?,
        };
        reader.refuse_unknown(known)?;
        Ok(reader)
    }

    fn table_at(
        &self,
        value: &'a Spanned<DeValue<'a>>,
        path: String,
        key: &str,
        allowed: &str,
    ) -> Result<Self, SpecError> {
        match value.get_ref() {
            DeValue::Table(table) => {
                Ok(Self { text: self.text, path, start: value.span().start, table: Some(table) })
            }
            other => Err(self.wrong_type(key, value.span(), other, allowed)),
        }
    }

    /// The elements of a list under `key`, each of one of several kinds: a table whose key `kind` names it, or the name alone.
    pub(super) fn list_of_kinds(
        &self,
        key: &'static str,
        kinds: &[Kind],
        lengths: Range<usize>,
    ) -> Result<Vec<(Self, &'static str)>, SpecError> {
        let allowed = format!("a list of {} to {} tables, each with a kind", lengths.start, lengths.end - 1);
        let Some(value) = self.get(key) else { return Err(self.missing(key, &allowed)) };
        let DeValue::Array(array) = value.get_ref() else {
            return Err(self.wrong_type(key, value.span(), value.get_ref(), &allowed));
        };
        if !lengths.contains(&array.len()) {
            return Err(self.not_allowed(key, value.span(), format!("a list of {}", array.len()), &allowed));
        }
        let read = |(index, value): (usize, &'a Spanned<DeValue<'a>>)| {
            self.of_kind(value, format!("{}[{index}]", self.path_of(key)), key, &[], kinds, None)
        };
        array.iter().enumerate().map(read).collect()
    }

    /// The section under `key` that has one of several forms, and the name of that form: a table whose key `kind` names it,
    /// or the name alone, which is short for a table with nothing else in it. A key of another form is refused.
    pub(super) fn section_of_kind(
        &self,
        key: &'static str,
        common: &[&'static str],
        kinds: &[Kind],
        default: Option<&'static str>,
    ) -> Result<(Self, &'static str), SpecError> {
        match (self.get(key), default) {
            (Some(value), _) => self.of_kind(value, self.path_of(key), key, common, kinds, default),
            (None, None) => Err(self.missing(key, &names_of(kinds))),
            (None, Some(default)) => {
                let nothing =
                    Self { text: self.text, path: self.path_of(key), start: self.start, table: None };
                Ok((nothing, default))
            }
        }
    }

    fn of_kind(
        &self,
        value: &'a Spanned<DeValue<'a>>,
        path: String,
        key: &str,
        common: &[&'static str],
        kinds: &[Kind],
        default: Option<&'static str>,
    ) -> Result<(Self, &'static str), SpecError> {
        let names = names_of(kinds);
        let parse = |name: &str| kinds.iter().map(|kind| kind.name).find(|kind| *kind == name);
        if let DeValue::String(name) = value.get_ref() {
            let kind = parse(name)
                .ok_or_else(|| self.not_allowed(key, value.span(), format!("{name:?}"), &names))?;
            return Ok((Self { text: self.text, path, start: value.span().start, table: None }, kind));
        }
        let table = self.table_at(value, path, key, &format!("{names}, or a table"))?;
        let mut known = [&["kind"][..], common].concat();
        for key in kinds.iter().flat_map(|kind| kind.keys) {
            if !known.contains(key) {
                known.push(*key);
            }
        }
        table.refuse_unknown(&known)?;
        let kind = table.string("kind", parse, &names, default)?;
        table.refuse_keys_of_others(common, kinds, kind)?;
        Ok((table, kind))
    }

    /// A whole number in `range`.
    pub(super) fn integer(
        &self,
        key: &str,
        range: Range<u64>,
        default: Option<u64>,
    ) -> Result<u64, SpecError> {
        let allowed = format!("a whole number from {} to {}", range.start, range.end - 1);
        let Some(value) = self.get(key) else {
            return default.ok_or_else(|| self.missing(key, &allowed));
        };
        self.integer_of(key, value, &range, &allowed)
    }

    /// `true` or `false`.
    pub(super) fn boolean(&self, key: &str, default: bool) -> Result<bool, SpecError> {
        let Some(value) = self.get(key) else { return Ok(default) };
        match value.get_ref() {
            DeValue::Boolean(boolean) => Ok(*boolean),
            other => Err(self.wrong_type(key, value.span(), other, "true or false")),
        }
    }

    /// A list of whole numbers, each in `range`, as many as `lengths` allows; `None` where the key is absent.
    pub(super) fn integers(
        &self,
        key: &str,
        range: Range<u64>,
        lengths: Range<usize>,
    ) -> Result<Option<Vec<u64>>, SpecError> {
        let (shortest, longest) = (lengths.start, lengths.end - 1);
        let count =
            if shortest == longest { shortest.to_string() } else { format!("{shortest} to {longest}") };
        let allowed = format!("a list of {count} whole numbers from {} to {}", range.start, range.end - 1);
        let Some(value) = self.get(key) else { return Ok(None) };
        let DeValue::Array(array) = value.get_ref() else {
            return Err(self.wrong_type(key, value.span(), value.get_ref(), &allowed));
        };
        if !lengths.contains(&array.len()) {
            let found = format!("a list of {}", array.len());
            return Err(self.not_allowed(key, value.span(), found, &allowed));
        }
        let numbers = array.iter().map(|value| self.integer_of(key, value, &range, &allowed));
        numbers.collect::<Result<_, _>>().map(Some)
    }

    fn integer_of(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        range: &Range<u64>,
        allowed: &str,
    ) -> Result<u64, SpecError> {
        let DeValue::Integer(integer) = value.get_ref() else {
            return Err(self.wrong_type(key, value.span(), value.get_ref(), allowed));
        };
        match u64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(self.not_allowed(key, value.span(), integer.to_string(), allowed)),
        }
    }

    /// [`Self::integer`] for ranges within u32.
    pub(super) fn integer_u32(&self, key: &str, range: Range<u32>, default: u32) -> Result<u32, SpecError> {
        let range = u64::from(range.start)..u64::from(range.end);
        let number = self.integer(key, range, Some(u64::from(default)))?;
        Ok(u32::try_from(number).expect("the range lies within u32"))
    }

    /// A number for which `is_allowed`; a whole number is a number too.
    pub(super) fn number(
        &self,
        key: &str,
        is_allowed: impl Fn(f64) -> bool,
        allowed: &str,
        default: f64,
    ) -> Result<f64, SpecError> {
        let Some(value) = self.get(key) else { return Ok(default) };
        let (text, number) = match value.get_ref() {
            DeValue::Float(float) => (float.to_string(), float.as_str().parse::<f64>().ok()),
            DeValue::Integer(integer) => {
                let number = i64::from_str_radix(integer.as_str(), integer.radix()).ok();
                (integer.to_string(), number.map(|number| number as f64))
            }
            other => return Err(self.wrong_type(key, value.span(), other, allowed)),
        };
        match number {
            Some(number) if is_allowed(number) => Ok(number),
            _ => Err(self.not_allowed(key, value.span(), text, allowed)),
        }
    }

    /// A string that `parse` accepts.
    pub(super) fn string<T>(
        &self,
        key: &str,
        parse: impl Fn(&str) -> Option<T>,
        allowed: &str,
        default: Option<T>,
    ) -> Result<T, SpecError> {
        let Some(value) = self.get(key) else {
            return default.ok_or_else(|| self.missing(key, allowed));
        };
        let DeValue::String(string) = value.get_ref() else {
            return Err(self.wrong_type(key, value.span(), value.get_ref(), allowed));
        };
        parse(string).ok_or_else(|| self.not_allowed(key, value.span(), format!("{string:?}"), allowed))
    }

    /// Whether the key is there.
    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// An error at a key whose value is well-formed but does not fit another key's.
    pub(super) fn conflict(&self, key: &str, value: String, allowed: &str) -> SpecError {
        let span = self.get(key).map_or(self.start..self.start, Spanned::span);
        self.not_allowed(key, span, value, allowed)
    }

    fn get(&self, key: &str) -> Option<&'a Spanned<DeValue<'a>>> {
        self.table?.get(key)
    }

    fn refuse_unknown(&self, known: &[&'static str]) -> Result<(), SpecError> {
        // The table is ordered by key; the first mistake in the file is the one to report.
        let keys = self.table.into_iter().flat_map(DeTable::keys);
        let unknown = keys.filter(|key| !known.contains(&key.get_ref().as_ref()));
        let Some(key) = unknown.min_by_key(|key| key.span().start) else { return Ok(()) };
        let likeness = |candidate: &&&str| strsim::damerau_levenshtein(key.get_ref(), candidate);
        let meant = known
            .iter()
            .min_by_key(likeness)
            .filter(|candidate| likeness(candidate) <= EDITS_MAX.min(candidate.len() / 2))
            .map(|candidate| self.path_of(candidate));
        Err(SpecError {
            line: self.line(key.span().start),
            key: self.path_of(key.get_ref()),
            problem: Problem::UnknownKey { meant },
            allowed: known.join(", "),
        })
    }

    fn refuse_keys_of_others(
        &self,
        common: &[&'static str],
        kinds: &[Kind],
        kind: &'static str,
    ) -> Result<(), SpecError> {
        let own: Vec<&str> =
            kinds.iter().filter(|other| other.name == kind).flat_map(|own| own.keys).copied().collect();
        let allowed = [&["kind"][..], common, &own].concat();
        let keys = self.table.into_iter().flat_map(DeTable::keys);
        let foreign = keys.filter(|key| !allowed.contains(&key.get_ref().as_ref()));
        let Some(key) = foreign.min_by_key(|key| key.span().start) else { return Ok(()) };
        let owners = kinds.iter().filter(|other| other.keys.contains(&key.get_ref().as_ref()));
        let problem = Problem::OfAnotherKind { kind, owners: owners.map(|owner| owner.name).collect() };
        Err(self.error(key.get_ref(), key.span().start, problem, &allowed.join(", ")))
    }

    fn missing(&self, key: &str, allowed: &str) -> SpecError {
        self.error(key, self.start, Problem::Missing, allowed)
    }

    fn wrong_type(&self, key: &str, span: Range<usize>, found: &DeValue<'_>, allowed: &str) -> SpecError {
        self.error(key, span.start, Problem::WrongType(found.type_str()), allowed)
    }

    fn not_allowed(&self, key: &str, span: Range<usize>, value: String, allowed: &str) -> SpecError {
        self.error(key, span.start, Problem::NotAllowed(value), allowed)
    }

    fn error(&self, key: &str, at: usize, problem: Problem, allowed: &str) -> SpecError {
        SpecError { line: self.line(at), key: self.path_of(key), problem, allowed: allowed.to_owned() }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    fn line(&self, at: usize) -> usize {
        line_of(self.text, at)
    }
}

/// The names of kinds, for people.
fn names_of(kinds: &[Kind]) -> String {
    let names: Vec<String> = kinds.iter().map(|kind| format!("{:?}", kind.name)).collect();
    names.join(", ")
}

/// The line, from 1, that byte `at` of `text` lies on.
pub(super) fn line_of(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}
