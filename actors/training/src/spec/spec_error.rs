//! What is wrong with a job file.

use std::fmt;

use thiserror::Error;

/// One mistake in a job file: where it is, which key it concerns and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub struct SpecError {
    /// Line of the file, from 1. A missing key is reported where its table begins.
    pub line: usize,
    /// Full path of the key, e.g. `batch.micro_batches`; empty where the text is no TOML.
    pub key: String,
    /// What is wrong.
    pub problem: Problem,
    /// What is allowed, for people.
    pub allowed: String,
}

/// The kinds of mistakes in a job file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The text is no TOML; what the parser says.
    Syntax(String),
    /// No such key, and the known key that is most like it, if any is.
    UnknownKey {
        /// The key that was perhaps meant.
        meant: Option<String>,
    },
    /// A key without a default is absent.
    Missing,
    /// Another type of value; the type that was found.
    WrongType(&'static str),
    /// A value that is not allowed; the value.
    NotAllowed(String),
    /// A key that other kinds of this section have.
    OfAnotherKind {
        /// The kind that the section has.
        kind: &'static str,
        /// The kinds that have this key.
        owners: Vec<&'static str>,
    },
}

impl fmt::Display for SpecError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, key, problem, allowed } = self;
        write!(formatter, "line {line}: ")?;
        match problem {
            Problem::Syntax(message) => write!(formatter, "not valid TOML: {}", message.replace('\n', ", "))?,
            Problem::UnknownKey { meant: Some(meant) } => {
                write!(formatter, "unknown key `{key}`, did you mean `{meant}`?")?;
            }
            Problem::UnknownKey { meant: None } => write!(formatter, "unknown key `{key}`")?,
            Problem::Missing => write!(formatter, "`{key}` is missing")?,
            Problem::WrongType(found) => write!(formatter, "`{key}` is of type {found}")?,
            Problem::NotAllowed(value) => write!(formatter, "`{key}` is {value}")?,
            Problem::OfAnotherKind { kind, owners } => {
                let owners: Vec<String> = owners.iter().map(|owner| format!("{owner:?}")).collect();
                let owners = match owners.split_last() {
                    Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
                    _ => owners.concat(),
                };
                write!(formatter, "`{key}` belongs to kind {owners}, not to {kind:?}")?;
            }
        }
        write!(formatter, " (allowed: {allowed})")
    }
}
