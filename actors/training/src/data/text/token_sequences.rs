//! Tokens packed into sequences of one length: documents one after the other, an end-of-text token after each.

use std::{ops::Range, path::Path};

use super::text_error::TextError;
use crate::data::fingerprint::Fingerprint;

/// Most tokens: their places are numbered with 32 bits.
const TOKENS_MAX: usize = u32::MAX as usize;

/// Tokens of documents that follow each other.
#[derive(Default)]
pub(super) struct Packed {
    tokens: Vec<u32>,
    /// Where each document begins.
    starts: Vec<u32>,
}

impl Packed {
    /// Adds a document, and `end_of_text` after it.
    pub(super) fn push(
        &mut self,
        path: &Path,
        document: &[u32],
        end_of_text: Option<u32>,
    ) -> Result<(), TextError> {
        if self.tokens.len() + document.len() >= TOKENS_MAX {
            return Err(TextError::Long { path: path.to_owned(), tokens_max: TOKENS_MAX as u64 });
        }
        self.starts.push(self.tokens.len() as u32);
        self.tokens.extend_from_slice(document);
        self.tokens.extend(end_of_text);
        Ok(())
    }

    pub(super) fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    fn sequences(&self, length: usize) -> usize {
        self.tokens.len().saturating_sub(1) / length
    }
}

/// Sequences of `length` tokens and their targets, each the token that follows. Training comes first, what is held out then.
/// Tokens that do not fill a sequence at the end of either are left out.
pub(crate) struct TokenSequences {
    length: usize,
    vocabulary: u32,
    training: Packed,
    held_out: Packed,
    /// Whether a document is not to see those before it.
    separate_documents: bool,
}

/// One sequence.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sequence<'a> {
    /// `length` tokens.
    pub(crate) inputs: &'a [u32],
    /// The token after each.
    pub(crate) targets: &'a [u32],
    /// Places in `inputs` where documents begin, ascending and without 0; empty if documents may see each other. A target at
    /// such a place less one is the beginning of another document, which its own tells nothing about.
    pub(crate) starts: Vec<usize>,
}

impl TokenSequences {
    /// Packs what is there. `path` is named in errors.
    pub(super) fn new(
        path: &Path,
        length: usize,
        vocabulary: u32,
        (training, held_out): (Packed, Packed),
        separate_documents: bool,
    ) -> Result<Self, TextError> {
        for (packed, purpose) in [(&training, "to train on"), (&held_out, "to hold out")] {
            if packed.sequences(length) == 0 {
                let (tokens, needed) = (packed.tokens.len() as u64, length as u64 + 1);
                return Err(TextError::Short { path: path.to_owned(), purpose, tokens, needed });
            }
        }
        if training.tokens.len() + held_out.tokens.len() > TOKENS_MAX {
            return Err(TextError::Long { path: path.to_owned(), tokens_max: TOKENS_MAX as u64 });
        }
        Ok(Self { length, vocabulary, training, held_out, separate_documents })
    }

    /// Tokens of a sequence.
    pub(crate) fn length(&self) -> usize {
        self.length
    }

    /// Tokens of the vocabulary.
    pub(crate) fn vocabulary(&self) -> u32 {
        self.vocabulary
    }

    /// Ids of the sequences to train on.
    pub(crate) fn training(&self) -> Range<u32> {
        0..self.training.sequences(self.length) as u32
    }

    /// Ids of the sequences that are held out.
    pub(crate) fn held_out(&self) -> Range<u32> {
        let start = self.training().end;
        start..start + self.held_out.sequences(self.length) as u32
    }

    /// A sequence, which is one of [`Self::training`] or [`Self::held_out`].
    ///
    /// # Panics
    /// If there is none of this id.
    pub(crate) fn sequence(&self, id: u32) -> Sequence<'_> {
        let training = self.training().end;
        let (packed, index) =
            if id < training { (&self.training, id) } else { (&self.held_out, id - training) };
        let start = index as usize * self.length;
        let tokens = &packed.tokens[start..start + self.length + 1];
        Sequence {
            inputs: &tokens[..self.length],
            targets: &tokens[1..],
            starts: if self.separate_documents { starts(packed, start, self.length) } else { Vec::new() },
        }
    }

    /// The tokens to train on, and those held out, in the order of the text.
    pub(crate) fn streams(&self) -> (&[u32], &[u32]) {
        (&self.training.tokens, &self.held_out.tokens)
    }

    /// Memory that they take.
    pub(crate) fn bytes(&self) -> u64 {
        let packed = [&self.training, &self.held_out];
        packed.map(|packed| 4 * (packed.tokens.capacity() + packed.starts.capacity()) as u64).iter().sum()
    }

    /// Adds all that decides the sequences.
    pub(crate) fn describe(&self, fingerprint: &mut Fingerprint) {
        fingerprint.number(self.length as u64);
        fingerprint.number(u64::from(self.vocabulary));
        fingerprint.number(u64::from(self.separate_documents));
        for packed in [&self.training, &self.held_out] {
            fingerprint.words(&packed.tokens);
            fingerprint.words(&packed.starts);
        }
    }
}

/// Where documents begin within `length` tokens from `start` on and one more: that one is only a target.
fn starts(packed: &Packed, start: usize, length: usize) -> Vec<usize> {
    let from = packed.starts.partition_point(|other| *other as usize <= start);
    let within = packed.starts[from..].iter().map(|other| *other as usize - start);
    within.take_while(|other| *other <= length).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(documents: &[&[u32]]) -> Packed {
        let mut packed = Packed::default();
        documents.iter().for_each(|document| packed.push(Path::new("x"), document, Some(0)).unwrap());
        packed
    }

    fn sequences(length: usize, separate: bool) -> TokenSequences {
        let training = packed(&[&[1, 2], &[3], &[4, 5, 6, 7, 8]]);
        TokenSequences::new(Path::new("x"), length, 9, (training, packed(&[&[8, 7, 6, 5]])), separate)
            .unwrap()
    }

    /// 1 2 0 3 0 4 5 6 7 8 0, of which the last does not fill a sequence.
    #[test]
    fn documents_are_packed_and_cut_and_each_target_follows_its_input() {
        let sequences = sequences(4, false);
        assert_eq!((sequences.training(), sequences.held_out()), (0..2, 2..3));
        let of = |inputs, targets| Sequence { inputs, targets, starts: Vec::new() };
        assert_eq!(sequences.sequence(0), of(&[1, 2, 0, 3], &[2, 0, 3, 0]));
        assert_eq!(sequences.sequence(1), of(&[0, 4, 5, 6], &[4, 5, 6, 7]));
        assert_eq!(sequences.sequence(2), of(&[8, 7, 6, 5], &[7, 6, 5, 0]));
    }

    #[test]
    fn document_starts_are_those_within_the_sequence_and_its_last_target() {
        let sequences = sequences(5, true);
        // 1 2 0 | 3 0 | and the target after them begins the third document.
        assert_eq!(sequences.sequence(0).starts, [3, 5]);
        assert!(
            sequences.sequence(1).starts.is_empty(),
            "a document that begins with its sequence is no news"
        );
    }

    #[test]
    fn too_few_tokens_are_refused_with_the_number_needed() {
        let refused = |training: &[u32], held_out: &[u32]| {
            let both = (packed(&[training]), packed(&[held_out]));
            TokenSequences::new(Path::new("/d/x"), 4, 9, both, false).err().unwrap().to_string()
        };
        let advice = "one sequence needs 5: give more text, or set data.sequence_tokens lower";
        assert_eq!(refused(&[1, 2, 3], &[1; 9]), format!("/d/x gives 4 tokens to train on, {advice}"));
        assert_eq!(refused(&[1; 9], &[1]), format!("/d/x gives 2 tokens to hold out, {advice}"));
    }
}
