//! Text: read, turned into tokens, split into what is trained on and what is held out, packed into sequences.

mod documents;
mod text_error;
mod token_file;
mod token_sequences;
mod tokenizer;
mod tokenizer_cache;
mod train_bpe;

use std::path::{Path, PathBuf};

use self::token_sequences::{Packed, TokenSequences};
pub use self::{text_error::TextError, tokenizer::Tokenizer, tokenizer_cache::set_tokenizer_cache};
use super::{data_error::DataError, fingerprint::Fingerprint};
use crate::spec::{TextKind, TextSpec};

const NOVEL: &[u8] = include_bytes!("../../../data/austen_prideprejudice.txt");
/// What errors call the embedded novel.
const NOVEL_NAME: &str = "the embedded novel";

/// Sequences of tokens, and the tokenizer that made them, where one is known.
pub(super) struct Text {
    pub(super) sequences: TokenSequences,
    pub(super) tokenizer: Option<Tokenizer>,
}

/// The documents to train on, and those held out.
type Documents = (Vec<String>, Vec<String>);

impl Text {
    /// The files that the job names.
    pub(super) fn files(spec: &TextSpec) -> Vec<PathBuf> {
        [&spec.path, &spec.held_out_path, &spec.tokenizer].into_iter().flatten().cloned().collect()
    }

    pub(super) fn load(spec: &TextSpec) -> Result<Self, DataError> {
        if spec.kind == TextKind::Tokens { load_tokens(spec) } else { load_documents(spec) }
    }

    /// Adds all that decides the sequences and what they mean.
    pub(super) fn describe(&self, fingerprint: &mut Fingerprint) {
        self.sequences.describe(fingerprint);
        fingerprint.bytes(self.tokenizer.as_ref().map_or(&[], Tokenizer::json));
    }

    /// Memory that it takes.
    pub(super) fn bytes(&self) -> u64 {
        // The library's tables take some times the length of the file they are read from.
        self.sequences.bytes()
            + self.tokenizer.as_ref().map_or(0, |tokenizer| 4 * tokenizer.json().len() as u64)
    }
}

fn load_documents(spec: &TextSpec) -> Result<Text, DataError> {
    let path = spec.path.as_deref().unwrap_or(Path::new(NOVEL_NAME));
    let (training, held_out) = read_documents(spec, path)?;
    let tokenizer = match (&spec.tokenizer, spec.vocabulary) {
        (Some(file), _) => Tokenizer::open(file, spec.end_of_text.as_deref())?,
        (None, vocabulary) => {
            let documents: Vec<&str> = training.iter().map(String::as_str).collect();
            train_bpe::train(path, &documents, vocabulary.unwrap_or_default())?
        }
    };
    let is_joined = training.len() > 1 || held_out.len() > 1;
    let end_of_text =
        if is_joined { Some(tokenizer.required_end_of_text()?) } else { tokenizer.end_of_text() };
    let pack = |documents: Vec<String>| -> Result<Packed, DataError> {
        let mut packed = Packed::default();
        for document in documents {
            packed.push(path, &tokenizer.encode(&document)?, end_of_text)?;
        }
        Ok(packed)
    };
    let packed = (pack(training)?, pack(held_out)?);
    let length = spec.sequence_tokens as usize;
    let vocabulary = tokenizer.vocabulary();
    let sequences = TokenSequences::new(path, length, vocabulary, packed, spec.separate_documents)?;
    Ok(Text { sequences, tokenizer: Some(tokenizer) })
}

/// Reads a text, or with `field` the lines of a JSONL file, as a job would; how many documents there are.
///
/// # Errors
/// With the file, and the line of what is wrong.
pub fn check_documents(path: &Path, field: Option<&str>) -> Result<u64, DataError> {
    match field {
        Some(field) => documents::read_jsonl(path, field).map(|documents| documents.len() as u64),
        None => documents::read_text(path).map(|_text| 1),
    }
}

fn read_documents(spec: &TextSpec, path: &Path) -> Result<Documents, DataError> {
    let read = |path: &Path| match &spec.field {
        Some(field) => documents::read_jsonl(path, field),
        None => documents::read_text(path).map(|text| vec![text]),
    };
    let all = match spec.kind {
        TextKind::Novel => vec![documents::checked_text(path, NOVEL.to_vec())?],
        _ => read(path)?,
    };
    match (&spec.held_out_path, spec.held_out) {
        (Some(held_out), _) => Ok((all, read(held_out)?)),
        (None, share) => Ok(split(all, share.unwrap_or_default())),
    }
}

/// Holds out the last documents, or the end of the only one: about `share` of the whole.
fn split(mut documents: Vec<String>, share: f64) -> Documents {
    let kept = |whole: usize| whole - ((whole as f64 * share) as usize).clamp(1, whole);
    if documents.len() > 1 {
        let held_out = documents.split_off(kept(documents.len()).max(1));
        return (documents, held_out);
    }
    let mut text = documents.pop().unwrap_or_default();
    let cut = text.floor_char_boundary(kept(text.len()));
    // Behind the line that the cut falls on, if it ends.
    let cut =
        text[cut..].find('\n').map(|line| cut + line + 1).filter(|cut| *cut < text.len()).unwrap_or(cut);
    let held_out = text.split_off(cut);
    (vec![text], vec![held_out])
}

fn load_tokens(spec: &TextSpec) -> Result<Text, DataError> {
    let path = spec.path.as_deref().unwrap_or(Path::new(""));
    let tokenizer = spec.tokenizer.as_deref().map(|file| Tokenizer::open(file, None)).transpose()?;
    let mut training = token_file::read(path)?;
    let held_out = match (&spec.held_out_path, spec.held_out) {
        (Some(held_out), _) => token_file::read(held_out)?,
        (None, share) => {
            let held_out = (training.len() as f64 * share.unwrap_or_default()) as usize;
            training.split_off(training.len() - held_out)
        }
    };
    let largest = training.iter().chain(&held_out).copied().max().unwrap_or(0);
    let named = tokenizer.as_ref().map(Tokenizer::vocabulary).or(spec.vocabulary);
    let vocabulary = named.unwrap_or_else(|| largest.saturating_add(1));
    let places = [(path, &training), (spec.held_out_path.as_deref().unwrap_or(path), &held_out)];
    for (file, tokens) in places {
        if let Some(at) = tokens.iter().position(|token| *token >= vocabulary) {
            // What was cut off a file counts from its beginning.
            let before = if spec.held_out_path.is_none() && std::ptr::eq(tokens, &held_out) {
                training.len()
            } else {
                0
            };
            let (index, token) = ((before + at) as u64, tokens[at]);
            return Err(TextError::TokenOutOfRange { path: file.to_owned(), index, token, vocabulary }.into());
        }
    }
    let pack = |file: &Path, tokens: &[u32]| -> Result<Packed, TextError> {
        let mut packed = Packed::default();
        packed.push(file, tokens, None)?;
        Ok(packed)
    };
    let packed = (pack(path, &training)?, pack(path, &held_out)?);
    let sequences = TokenSequences::new(path, spec.sequence_tokens as usize, vocabulary, packed, false)?;
    Ok(Text { sequences, tokenizer })
}
