//! From text to tokens and back: a `tokenizer.json` as Hugging Face has it, read or trained here.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use super::text_error::TextError;
use crate::data::{contents::Contents, data_error::DataError};

/// Longest `tokenizer.json`, in bytes: the largest in use (256,000 tokens) have 35 MB.
const FILE_BYTES_MAX: u64 = 128 << 20;
/// Most text that is encoded at once, in bytes: the library keeps some hundred bytes for each.
const PIECE_BYTES_MAX: usize = 1 << 20;
/// Names that tokenizers give the token after a document, the likeliest first.
const END_OF_TEXT: [&str; 5] = ["<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<|im_end|>"];

/// A tokenizer and the file it is.
pub struct Tokenizer {
    /// For errors: the file, or the text it was trained on.
    path: PathBuf,
    json: Vec<u8>,
    inner: tokenizers::Tokenizer,
    vocabulary: u32,
    end_of_text: Option<u32>,
}

impl Tokenizer {
    /// Reads a `tokenizer.json`. `end_of_text` names the token that follows a document; by default it is the first of the
    /// usual names that the tokenizer has.
    ///
    /// # Errors
    /// A file that cannot be read, is too long, or is no tokenizer; a tokenizer that does not have `end_of_text`.
    pub fn open(path: &Path, end_of_text: Option<&str>) -> Result<Self, DataError> {
        let json = Contents::open(path)?.take(FILE_BYTES_MAX + 1)?;
        if json.len() as u64 > FILE_BYTES_MAX {
            return Err(DataError::TooLarge { path: path.to_owned(), bytes_max: FILE_BYTES_MAX });
        }
        Ok(Self::from_json(path, json, end_of_text)?)
    }

    /// [`Self::open`] of bytes that are at hand.
    pub(crate) fn from_json(
        path: &Path,
        json: Vec<u8>,
        end_of_text: Option<&str>,
    ) -> Result<Self, TextError> {
        let refused = |source| TextError::NotATokenizer { path: path.to_owned(), source };
        // The library is written for files of friends: a panic of its own is a refusal here.
        let parse = || tokenizers::Tokenizer::from_bytes(&json);
        let mut inner = catch_unwind(AssertUnwindSafe(parse))
            .map_err(|_panicked| refused(None))?
            .map_err(|source| refused(Some(source)))?;
        // Whole documents are wanted, and nothing that was not in them.
        inner.with_truncation(None).map_err(|source| refused(Some(source)))?;
        inner.with_padding(None);
        let largest = inner.get_vocab(true).into_values().max().ok_or_else(|| refused(None))?;
        let vocabulary = largest.checked_add(1).ok_or_else(|| refused(None))?;
        let end = match end_of_text {
            Some(name) => Some(inner.token_to_id(name).ok_or_else(|| {
                let known = vec![format!("{name:?}")];
                TextError::NoEndOfText { path: path.to_owned(), known }
            })?),
            None => END_OF_TEXT.iter().find_map(|name| inner.token_to_id(name)),
        };
        Ok(Self { path: path.to_owned(), json, inner, vocabulary, end_of_text: end })
    }

    /// One more than its largest token: what an embedding must have at least.
    #[must_use]
    pub fn vocabulary(&self) -> u32 {
        self.vocabulary
    }

    /// The token after a document, if it has one.
    #[must_use]
    pub fn end_of_text(&self) -> Option<u32> {
        self.end_of_text
    }

    /// [`Self::end_of_text`], which documents need that follow each other.
    pub(super) fn required_end_of_text(&self) -> Result<u32, TextError> {
        self.end_of_text.ok_or_else(|| TextError::NoEndOfText {
            path: self.path.clone(),
            known: END_OF_TEXT.map(str::to_owned).to_vec(),
        })
    }

    /// The file, byte by byte.
    #[must_use]
    pub fn json(&self) -> &[u8] {
        &self.json
    }

    /// The tokens of `text`, without any that mark its beginning or end. A text of more than 1 MiB is encoded in pieces that end
    /// at a line's end.
    ///
    /// # Errors
    /// What the library says; it names the tokenizer's file.
    pub fn encode(&self, text: &str) -> Result<Vec<u32>, TextError> {
        let mut tokens = Vec::new();
        for piece in pieces(text) {
            let encode = || self.inner.encode_fast(piece, false);
            let failed = |source| TextError::Encode { path: self.path.clone(), source };
            let encoding = catch_unwind(AssertUnwindSafe(encode))
                .map_err(|_panicked| failed("the library panicked".into()))?
                .map_err(failed)?;
            tokens.extend_from_slice(encoding.get_ids());
        }
        Ok(tokens)
    }

    /// The text of tokens, as far as they have any; special ones have none.
    ///
    /// # Errors
    /// What the library says.
    pub fn decode(&self, tokens: &[u32]) -> Result<String, TextError> {
        let failed = |source| TextError::Encode { path: self.path.clone(), source };
        catch_unwind(AssertUnwindSafe(|| self.inner.decode(tokens, true)))
            .map_err(|_panicked| failed("the library panicked".into()))?
            .map_err(failed)
    }
}

/// `text` in pieces of at most [`PIECE_BYTES_MAX`], cut after a line's end where there is one, else between characters.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let mut end = rest.len();
        if end > PIECE_BYTES_MAX {
            end = rest.floor_char_boundary(PIECE_BYTES_MAX);
            end = rest[..end].rfind('\n').map_or(end, |line| line + 1);
        }
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_at_lines_and_nothing_is_lost() {
        assert_eq!(pieces("").count(), 0);
        assert_eq!(pieces("a\nb").collect::<Vec<_>>(), ["a\nb"]);
        let line = "é".repeat(999) + "\n";
        let text = line.repeat(1_500);
        let cut: Vec<&str> = pieces(&text).collect();
        assert!(
            cut.len() > 2 && cut.iter().all(|piece| piece.len() <= PIECE_BYTES_MAX && piece.ends_with('\n'))
        );
        assert_eq!(cut.concat(), text);
        let text = "é".repeat(PIECE_BYTES_MAX);
        assert_eq!(pieces(&text).collect::<String>(), text);
    }
}
