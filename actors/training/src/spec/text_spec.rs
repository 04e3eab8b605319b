//! Text and tokens as the data of a job.

use std::{ops::Range, path::PathBuf};

use serde::Serialize;

use super::{
    SpecError,
    data_spec::{ABSOLUTE, parse_path},
    table_reader::{Kind, TableReader},
};

/// Tokens of a sequence: longer ones need more memory than a small node has.
const SEQUENCE_TOKENS: Range<u32> = 2..32_769;
const SEQUENCE_TOKENS_DEFAULT: u32 = 128;
/// Tokens of a vocabulary that is trained: 256 bytes and the end of a text at least; beyond the largest in use training takes
/// hours.
const VOCABULARIES: Range<u64> = 257..262_145;
const VOCABULARY_DEFAULT: u32 = 4096;
/// Share that is held out where a job does not say.
const HELD_OUT_DEFAULT: f64 = 0.1;
/// Longest name of a field or of a token, in bytes: they appear in errors.
const NAME_BYTES_MAX: usize = 100;

const COMMON: [&str; 3] = ["sequence_tokens", "held_out", "tokenizer"];

/// The forms of text, and the keys each has.
pub(super) const TEXT_KINDS: [Kind; 4] = [
    Kind { name: "novel", keys: &["sequence_tokens", "held_out", "tokenizer", "vocabulary", "end_of_text"] },
    Kind {
        name: "text",
        keys: &[
            "path",
            "held_out_path",
            "sequence_tokens",
            "held_out",
            "tokenizer",
            "vocabulary",
            "end_of_text",
        ],
    },
    Kind {
        name: "jsonl",
        keys: &[
            "path",
            "held_out_path",
            "field",
            "sequence_tokens",
            "held_out",
            "tokenizer",
            "vocabulary",
            "end_of_text",
            "separate_documents",
        ],
    },
    Kind {
        name: "tokens",
        keys: &["path", "held_out_path", "sequence_tokens", "held_out", "tokenizer", "vocabulary"],
    },
];

/// Where text comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum TextKind {
    /// A novel of 120,000 words that is part of the program.
    Novel,
    /// A text in UTF-8, one document.
    Text,
    /// A JSON object in each line, one document each.
    Jsonl,
    /// Tokens of 16 or 32 bits.
    Tokens,
}

/// Text or tokens, and how they become sequences.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TextSpec {
    /// Where it comes from.
    pub kind: TextKind,
    /// The file, absolute; gzip if its name ends in `.gz`. The novel has none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// A file like `path` that is held out whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_out_path: Option<PathBuf>,
    /// jsonl: which field of an object is the text. Default `text`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub field: Option<String>,
    /// Without `held_out_path`: the share at the end that is held out, above 0, at most 0.5. Default 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_out: Option<f64>,
    /// Tokens of a sequence, which is a sample: 2 to 32,768. Default 128.
    pub sequence_tokens: u32,
    /// A `tokenizer.json`, absolute.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tokenizer: Option<PathBuf>,
    /// Without `tokenizer`: tokens of a tokenizer that is trained on the training part, 257 to 262,144, default 4096; of a file
    /// of tokens, how many there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vocabulary: Option<u32>,
    /// With `tokenizer`: the name of the token after a document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_of_text: Option<String>,
    /// jsonl: whether a document does not see those before it in its sequence. Default false.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub separate_documents: bool,
}

impl TextKind {
    /// Its name in job files.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Novel => "novel",
            Self::Text => "text",
            Self::Jsonl => "jsonl",
            Self::Tokens => "tokens",
        }
    }
}

impl TextSpec {
    /// The novel, as `data = "novel"` means it.
    #[must_use]
    pub fn novel() -> Self {
        Self {
            kind: TextKind::Novel,
            path: None,
            held_out_path: None,
            field: None,
            held_out: Some(HELD_OUT_DEFAULT),
            sequence_tokens: SEQUENCE_TOKENS_DEFAULT,
            tokenizer: None,
            vocabulary: Some(VOCABULARY_DEFAULT),
            end_of_text: None,
            separate_documents: false,
        }
    }

    /// Reads the keys of the form `kind`; `None` if text has no such form.
    pub(super) fn read(table: &TableReader<'_>, kind: &str) -> Option<Result<Self, SpecError>> {
        let kinds = [TextKind::Novel, TextKind::Text, TextKind::Jsonl, TextKind::Tokens];
        let kind = kinds.into_iter().find(|other| other.name() == kind)?;
        Some(Self::read_kind(table, kind))
    }

    fn read_kind(table: &TableReader<'_>, kind: TextKind) -> Result<Self, SpecError> {
        debug_assert!(TEXT_KINDS.iter().all(|kind| COMMON.iter().all(|key| kind.keys.contains(key))));
        let has_file = kind != TextKind::Novel;
        let path = |key| optional_path(table, key);
        let held_out_path = if has_file { path("held_out_path")? } else { None };
        let tokenizer = path("tokenizer")?;
        if held_out_path.is_some() && table.has("held_out") {
            return Err(table.conflict("held_out", "set".to_owned(), "only without held_out_path"));
        }
        let end_of_text = optional_name(table, "end_of_text")?;
        if end_of_text.is_some() && tokenizer.is_none() {
            let allowed = "only with data.tokenizer: a tokenizer that is trained has its own";
            return Err(table.conflict("end_of_text", "set".to_owned(), allowed));
        }
        Ok(Self {
            kind,
            path: if has_file { Some(table.string("path", parse_path, ABSOLUTE, None)?) } else { None },
            held_out: match held_out_path {
                Some(_) => None,
                None => Some(read_share(table)?),
            },
            held_out_path,
            field: match kind {
                TextKind::Jsonl => Some(optional_name(table, "field")?.unwrap_or_else(|| "text".to_owned())),
                _ => None,
            },
            sequence_tokens: table.integer_u32(
                "sequence_tokens",
                SEQUENCE_TOKENS,
                SEQUENCE_TOKENS_DEFAULT,
            )?,
            vocabulary: read_vocabulary(table, kind, tokenizer.is_some())?,
            tokenizer,
            end_of_text,
            separate_documents: kind == TextKind::Jsonl && table.boolean("separate_documents", false)?,
        })
    }
}

fn read_share(table: &TableReader<'_>) -> Result<f64, SpecError> {
    let is_share = |share: f64| share > 0.0 && share <= 0.5;
    table.number("held_out", is_share, "a number above 0, at most 0.5", HELD_OUT_DEFAULT)
}

/// Files of tokens may have any vocabulary, or leave it to the largest token.
fn read_vocabulary(
    table: &TableReader<'_>,
    kind: TextKind,
    has_tokenizer: bool,
) -> Result<Option<u32>, SpecError> {
    if has_tokenizer {
        return match table.has("vocabulary") {
            true => Err(table.conflict("vocabulary", "set".to_owned(), "only without data.tokenizer")),
            false => Ok(None),
        };
    }
    let (range, default) = match kind {
        TextKind::Tokens if !table.has("vocabulary") => return Ok(None),
        TextKind::Tokens => (2..VOCABULARIES.end, None),
        _ => (VOCABULARIES, Some(u64::from(VOCABULARY_DEFAULT))),
    };
    let vocabulary = table.integer("vocabulary", range, default)?;
    Ok(Some(u32::try_from(vocabulary).expect("the range lies within u32")))
}

fn optional_path(table: &TableReader<'_>, key: &str) -> Result<Option<PathBuf>, SpecError> {
    if table.has(key) { table.string(key, parse_path, ABSOLUTE, None).map(Some) } else { Ok(None) }
}

fn optional_name(table: &TableReader<'_>, key: &str) -> Result<Option<String>, SpecError> {
    let parse = |name: &str| ((1..=NAME_BYTES_MAX).contains(&name.len())).then(|| name.to_owned());
    if table.has(key) {
        table.string(key, parse, "a name of 1 to 100 bytes", None).map(Some)
    } else {
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{DataSpec, JobSpec};

    const KEYS: &str = "name = \"a\"\nsteps = 1\nmodel = \"mlp\"\n";

    fn parse(data: &str) -> Result<DataSpec, SpecError> {
        JobSpec::parse(&format!("{KEYS}{data}\n")).map(|spec| spec.data)
    }

    fn file(kind: TextKind) -> TextSpec {
        TextSpec { kind, path: Some("/d/x".into()), ..TextSpec::novel() }
    }

    #[test]
    fn every_form_is_read_and_reads_back() {
        let field = |field: &str| Some(field.to_owned());
        for (text, expected) in [
            ("data = \"novel\"", TextSpec::novel()),
            (
                "data = { kind = \"novel\", vocabulary = 512, sequence_tokens = 64, held_out = 0.25 }",
                TextSpec {
                    vocabulary: Some(512),
                    sequence_tokens: 64,
                    held_out: Some(0.25),
                    ..TextSpec::novel()
                },
            ),
            ("data = { kind = \"text\", path = \"/d/x\" }", file(TextKind::Text)),
            (
                "data = { kind = \"text\", path = \"/d/x\", tokenizer = \"/t.json\", end_of_text = \"</s>\", \
                 held_out_path = \"/d/y\" }",
                TextSpec {
                    tokenizer: Some("/t.json".into()),
                    vocabulary: None,
                    end_of_text: Some("</s>".to_owned()),
                    held_out_path: Some("/d/y".into()),
                    held_out: None,
                    ..file(TextKind::Text)
                },
            ),
            (
                "data = { kind = \"jsonl\", path = \"/d/x\" }",
                TextSpec { field: field("text"), ..file(TextKind::Jsonl) },
            ),
            (
                "data = { kind = \"jsonl\", path = \"/d/x\", field = \"body\", separate_documents = true }",
                TextSpec { field: field("body"), separate_documents: true, ..file(TextKind::Jsonl) },
            ),
            (
                "data = { kind = \"tokens\", path = \"/d/x\" }",
                TextSpec { vocabulary: None, ..file(TextKind::Tokens) },
            ),
            (
                "data = { kind = \"tokens\", path = \"/d/x\", vocabulary = 2 }",
                TextSpec { vocabulary: Some(2), ..file(TextKind::Tokens) },
            ),
        ] {
            assert_eq!(parse(text), Ok(DataSpec::Text(expected)), "{text}");
            let spec = JobSpec::parse(&format!("{KEYS}{text}\n")).unwrap();
            assert_eq!(JobSpec::parse(&toml::to_string(&spec).unwrap()), Ok(spec), "{text}");
        }
    }

    #[test]
    fn what_is_not_allowed_is_refused_with_line_and_key() {
        for (text, expected) in [
            ("[data]\nkind = \"text\"", format!("line 4: `data.path` is missing (allowed: {ABSOLUTE})")),
            (
                "[data]\nkind = \"text\"\npath = \"novel.txt\"",
                format!("line 6: `data.path` is \"novel.txt\" (allowed: {ABSOLUTE})"),
            ),
            (
                "[data]\nkind = \"novel\"\nvocabulary = 256",
                "line 6: `data.vocabulary` is 256 (allowed: a whole number from 257 to 262144)".to_owned(),
            ),
            (
                "[data]\nkind = \"novel\"\nheld_out = 0.6",
                "line 6: `data.held_out` is 0.6 (allowed: a number above 0, at most 0.5)".to_owned(),
            ),
            (
                "[data]\nkind = \"novel\"\nsequence_tokens = 1",
                "line 6: `data.sequence_tokens` is 1 (allowed: a whole number from 2 to 32768)".to_owned(),
            ),
            (
                "[data]\nkind = \"novel\"\ntokenizer = \"/t.json\"\nvocabulary = 512",
                "line 7: `data.vocabulary` is set (allowed: only without data.tokenizer)".to_owned(),
            ),
            (
                "[data]\nkind = \"text\"\npath = \"/x\"\nheld_out_path = \"/y\"\nheld_out = 0.1",
                "line 8: `data.held_out` is set (allowed: only without held_out_path)".to_owned(),
            ),
            (
                "[data]\nkind = \"text\"\npath = \"/x\"\nfield = \"text\"",
                "line 7: `data.field` belongs to kind \"jsonl\", not to \"text\" (allowed: kind, path, \
                 held_out_path, sequence_tokens, held_out, tokenizer, vocabulary, end_of_text)"
                    .to_owned(),
            ),
            (
                "[data]\nkind = \"text\"\npath = \"/x\"\nend_of_text = \"</s>\"",
                "line 7: `data.end_of_text` is set (allowed: only with data.tokenizer: a tokenizer that is \
                 trained has its own)"
                    .to_owned(),
            ),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), expected, "{text}");
        }
    }
}
