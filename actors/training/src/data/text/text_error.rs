//! What is wrong with text, tokens or a tokenizer.

use std::{error::Error as StdError, path::PathBuf};

use thiserror::Error;

/// Why text cannot be used. Each names the file and the place in it.
#[derive(Debug, Error)]
pub enum TextError {
    /// Nothing but white space.
    #[error("{} holds no text", .path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// Bytes that are no UTF-8.
    #[error(
        "{}, byte {offset} (line {line}): not UTF-8; `iconv -f LATIN1 -t UTF-8` converts a file of Western Europe",
        .path.display()
    )]
    NotUtf8 {
        /// The file.
        path: PathBuf,
        /// Bytes before the first that is wrong, after decompression.
        offset: u64,
        /// Its line, from 1.
        line: u64,
    },
    /// A line of a JSONL file that is no JSON.
    #[error("{}, line {line}: not JSON", .path.display())]
    NotJson {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// What the parser says.
        #[source]
        source: serde_json::Error,
    },
    /// A line of a JSONL file without the text.
    #[error("{}, line {line}: {found}, but the job's data.field is {field:?}", .path.display())]
    NoField {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// The field that was looked for.
        field: String,
        /// What is there instead.
        found: String,
    },
    /// A line that is longer than any document.
    #[error("{}, line {line}: longer than {bytes_max} bytes, the most a line may have", .path.display())]
    LongLine {
        /// The file.
        path: PathBuf,
        /// Its line, from 1.
        line: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// Too few tokens for one sequence to train on, or to hold out.
    #[error(
        "{} gives {tokens} tokens {purpose}, one sequence needs {needed}: give more text, or set data.sequence_tokens lower",
        .path.display()
    )]
    Short {
        /// The file.
        path: PathBuf,
        /// `to train on` or `to hold out`.
        purpose: &'static str,
        /// Tokens that are there.
        tokens: u64,
        /// Tokens that one sequence takes, with the last one's target.
        needed: u64,
    },
    /// More tokens than positions are numbered.
    #[error("{} gives more than {tokens_max} tokens, the most this program trains on", .path.display())]
    Long {
        /// The file.
        path: PathBuf,
        /// The limit.
        tokens_max: u64,
    },
    /// A file of tokens that is cut off, or has a header that does not fit it.
    #[error("{} is no file of tokens: {reason}", .path.display())]
    NotTokens {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A token beyond the vocabulary.
    #[error(
        "{}, token {index}: {token}, but the vocabulary has {vocabulary} tokens",
        .path.display()
    )]
    TokenOutOfRange {
        /// The file.
        path: PathBuf,
        /// Place of the token in the file, from 0.
        index: u64,
        /// The token.
        token: u32,
        /// Tokens of the vocabulary.
        vocabulary: u32,
    },
    /// The tokenizer's file is none.
    #[error("{} is no tokenizer that this program reads (a tokenizer.json, as Hugging Face has it)", .path.display())]
    NotATokenizer {
        /// The file.
        path: PathBuf,
        /// What the parser says.
        #[source]
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// Documents that would run into each other.
    #[error(
        "{} has no end-of-text token among {}: name its token with data.end_of_text, so that documents do not run into each other",
        .path.display(),
        .known.join(", ")
    )]
    NoEndOfText {
        /// The tokenizer.
        path: PathBuf,
        /// What was looked for.
        known: Vec<String>,
    },
    /// The tokenizer fails on the text.
    #[error("the tokenizer fails on {}", .path.display())]
    Encode {
        /// The text.
        path: PathBuf,
        /// What the tokenizer says.
        #[source]
        source: Box<dyn StdError + Send + Sync>,
    },
    /// A vocabulary that the text is too small for.
    #[error(
        "{} gives a vocabulary of {found} tokens, the job asks for {wanted}: set data.vocabulary to {found}",
        .path.display()
    )]
    SmallVocabulary {
        /// The text.
        path: PathBuf,
        /// Tokens that could be made.
        found: usize,
        /// Tokens that were asked for.
        wanted: usize,
    },
}
