//! Training a byte-level BPE on the text of a job.

use std::{collections::HashSet, path::Path};

use tokenizers::{
    AddedToken, TokenizerImpl,
    models::bpe::{BPE, BpeTrainer},
    normalizers::NormalizerWrapper,
    pre_tokenizers::byte_level::ByteLevel,
};

use super::{text_error::TextError, tokenizer::Tokenizer, tokenizer_cache};

/// The first token of every vocabulary that is trained here; it follows each document.
pub(super) const END_OF_TEXT: &str = "<|endoftext|>";
/// Separates this hash from all others; the number changes when the same text gives another tokenizer.
const DOMAIN: &str = "traind byte-level BPE 1";

/// The tokenizer of `vocabulary` tokens that `documents` give, as GPT-2's: bytes, then merges of the most frequent pairs, of
/// equally frequent ones the lowest first. A pure function of its arguments. `path` is named in errors.
pub(super) fn train(path: &Path, documents: &[&str], vocabulary: u32) -> Result<Tokenizer, TextError> {
    let key = key(documents, vocabulary);
    let read = |json| Tokenizer::from_json(path, json, Some(END_OF_TEXT));
    if let Some(tokenizer) = tokenizer_cache::load(&key).and_then(|json| read(json).ok()) {
        return Ok(tokenizer);
    }
    let json = trained_json(path, documents, vocabulary as usize)?;
    tokenizer_cache::keep(&key, &json);
    read(json)
}

fn trained_json(path: &Path, documents: &[&str], vocabulary: usize) -> Result<Vec<u8>, TextError> {
    let failed = |source| TextError::Encode { path: path.to_owned(), source };
    let byte_level = || ByteLevel::new(false, false, true);
    let mut tokenizer: TokenizerImpl<BPE, NormalizerWrapper, ByteLevel, ByteLevel, ByteLevel> =
        TokenizerImpl::new(BPE::default());
    tokenizer.with_pre_tokenizer(Some(byte_level())).with_decoder(Some(byte_level()));
    let alphabet: HashSet<char> = ByteLevel::alphabet().into_iter().collect();
    let mut trainer = BpeTrainer::builder()
        .vocab_size(vocabulary)
        .show_progress(false)
        .initial_alphabet(alphabet)
        .special_tokens(vec![AddedToken::from(END_OF_TEXT, true)])
        .build();
    let lines = documents.iter().flat_map(|document| document.split_inclusive('\n'));
    tokenizer.train(&mut trainer, lines).map_err(failed)?;
    let found = tokenizer.get_vocab_size(true);
    if found != vocabulary {
        return Err(TextError::SmallVocabulary { path: path.to_owned(), found, wanted: vocabulary });
    }
    Ok(tokenizer.to_string(true).map_err(failed)?.into_bytes())
}

/// BLAKE3 of all that decides the tokenizer.
fn key(documents: &[&str], vocabulary: u32) -> blake3::Hash {
    let mut hasher = blake3::Hasher::new_derive_key(DOMAIN);
    hasher.update(&vocabulary.to_le_bytes());
    for document in documents {
        hasher.update(&(document.len() as u64).to_le_bytes());
        hasher.update(document.as_bytes());
    }
    hasher.finalize()
}
