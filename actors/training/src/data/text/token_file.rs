//! Files of tokens: nanoGPT's, which are nothing but 16-bit tokens, and llm.c's, which have a header of 256 words.

use std::path::Path;

use super::text_error::TextError;
use crate::data::{
    contents::{CONTENTS_BYTES_MAX, Contents},
    data_error::DataError,
};

/// First word of llm.c's files of 16-bit tokens, of version 1 (GPT-2), and of 32-bit tokens, of version 7 (Llama 3).
const FORMATS: [(u32, u32, usize); 2] = [(20_240_520, 1, 2), (20_240_801, 7, 4)];
/// llm.c's header: 256 words of 32 bits.
const HEADER_BYTES: usize = 1024;

/// The tokens of a file. Numbers are little-endian.
pub(super) fn read(path: &Path) -> Result<Vec<u32>, DataError> {
    let bytes = Contents::open(path)?.take(CONTENTS_BYTES_MAX + 1)?;
    if bytes.len() as u64 > CONTENTS_BYTES_MAX {
        return Err(DataError::TooLarge { path: path.to_owned(), bytes_max: CONTENTS_BYTES_MAX });
    }
    if bytes.is_empty() {
        return Err(TextError::Empty { path: path.to_owned() }.into());
    }
    Ok(parse(&bytes).map_err(|reason| TextError::NotTokens { path: path.to_owned(), reason })?)
}

fn parse(bytes: &[u8]) -> Result<Vec<u32>, String> {
    let (words, _) = bytes.as_chunks::<4>();
    let word = |index: usize| words.get(index).map(|word| u32::from_le_bytes(*word));
    let Some((magic, version, token_bytes)) = FORMATS.into_iter().find(|(magic, ..)| word(0) == Some(*magic))
    else {
        return tokens(bytes, 2);
    };
    if word(1) != Some(version) {
        return Err(format!(
            "a header {magic} of version {version} was expected, not {}",
            word(1).unwrap_or(0)
        ));
    }
    let Some(body) = bytes.get(HEADER_BYTES..) else {
        return Err(format!("it ends within its header of {HEADER_BYTES} bytes"));
    };
    let declared = u64::from(word(2).unwrap_or(0));
    let found = body.len() as u64;
    if declared * token_bytes as u64 != found {
        return Err(format!(
            "its header declares {declared} tokens of {token_bytes} bytes, {found} bytes follow"
        ));
    }
    tokens(body, token_bytes)
}

fn tokens(bytes: &[u8], token_bytes: usize) -> Result<Vec<u32>, String> {
    if !bytes.len().is_multiple_of(token_bytes) {
        return Err(format!("{} bytes are no whole number of tokens of {token_bytes} bytes", bytes.len()));
    }
    Ok(match token_bytes {
        2 => bytes.as_chunks().0.iter().map(|token| u32::from(u16::from_le_bytes(*token))).collect(),
        _ => bytes.as_chunks().0.iter().map(|token| u32::from_le_bytes(*token)).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_header(magic: u32, version: u32, count: u32, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        for (index, word) in [magic, version, count].into_iter().enumerate() {
            bytes[4 * index..4 * index + 4].copy_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(body);
        bytes
    }

    #[test]
    fn both_kinds_are_read() {
        assert_eq!(parse(&[1, 0, 0xff, 0xc4]), Ok(vec![1, 50_431]));
        assert_eq!(parse(&with_header(20_240_520, 1, 2, &[1, 0, 2, 1])), Ok(vec![1, 258]));
        assert_eq!(parse(&with_header(20_240_801, 7, 1, &[1, 0, 1, 0])), Ok(vec![65_537]));
    }

    #[test]
    fn what_does_not_fit_is_refused_in_words() {
        for (bytes, words) in [
            (vec![1, 0, 2], "3 bytes are no whole number of tokens of 2 bytes"),
            (
                with_header(20_240_520, 1, u32::MAX, &[0; 4]),
                "its header declares 4294967295 tokens of 2 bytes, 4 bytes follow",
            ),
            (with_header(20_240_520, 2, 2, &[0; 4]), "a header 20240520 of version 1 was expected, not 2"),
            (with_header(20_240_520, 1, 0, &[])[..100].to_vec(), "it ends within its header of 1024 bytes"),
        ] {
            assert_eq!(parse(&bytes), Err(words.to_owned()));
        }
    }
}
