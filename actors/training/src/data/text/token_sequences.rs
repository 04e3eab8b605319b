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

    /// Appends a sequence, which is one of [`Self::training`] or [`Self::held_out`]: its tokens, the token after each, and the
    /// place in it at which each token's document begins. Where documents are separate, the token after a document's last one
    /// is another document's and `ignored` stands instead; where not, no places are appended.
    ///
    /// # Panics
    /// If there is none of this id.
    pub(crate) fn append(
        &self,
        id: u32,
        ignored: u32,
        (tokens, targets, starts): (&mut Vec<u32>, &mut Vec<u32>, &mut Vec<u32>),
    ) {
        let training = self.training().end;
        let (packed, index) =
            if id < training { (&self.training, id) } else { (&self.held_out, id - training) };
        let start = index as usize * self.length;
        let sequence = &packed.tokens[start..start + self.length + 1];
        tokens.extend_from_slice(&sequence[..self.length]);
        targets.extend_from_slice(&sequence[1..]);
        if !self.separate_documents {
            return;
        }
        let first = targets.len() - self.length;
        let mut from = 0;
        for to in documents_within(packed, start, self.length) {
            starts.extend(std::iter::repeat_n(from as u32, to - from));
            targets[first + to - 1] = ignored;
            from = to;
        }
        starts.extend(std::iter::repeat_n(from as u32, self.length - from));
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

/// Where documents begin after the first of `length` tokens from `start` on, and in the one after them, which is only a target.
fn documents_within(packed: &Packed, start: usize, length: usize) -> Vec<usize> {
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
        TokenSequences::new(Path::new("x"), length, 9, (training, packed(&[&[8, 7, 6, 5, 4]])), separate)
            .unwrap()
    }

    fn appended(sequences: &TokenSequences, id: u32) -> [Vec<u32>; 3] {
        let (mut tokens, mut targets, mut starts) = (vec![77], vec![77], vec![77]);
        sequences.append(id, 99, (&mut tokens, &mut targets, &mut starts));
        [tokens, targets, starts].map(|values| values[1..].to_vec())
    }

    /// 1 2 0 3 0 4 5 6 7 8 0, of which the last two do not fill a sequence.
    #[test]
    fn documents_are_packed_and_cut_and_each_target_follows_its_input() {
        let sequences = sequences(4, false);
        assert_eq!((sequences.training(), sequences.held_out()), (0..2, 2..3));
        assert_eq!(appended(&sequences, 0), [vec![1, 2, 0, 3], vec![2, 0, 3, 0], vec![]]);
        assert_eq!(appended(&sequences, 1), [vec![0, 4, 5, 6], vec![4, 5, 6, 7], vec![]]);
        assert_eq!(appended(&sequences, 2), [vec![8, 7, 6, 5], vec![7, 6, 5, 4], vec![]]);
    }

    /// 1 2 0 | 3 0 | 4 5 6 7 8 0: the target after the first five tokens begins the third document.
    #[test]
    fn separate_documents_know_where_they_begin_and_ask_nothing_of_the_next() {
        let sequences = sequences(5, true);
        assert_eq!(
            appended(&sequences, 0),
            [vec![1, 2, 0, 3, 0], vec![2, 0, 99, 0, 99], vec![0, 0, 0, 3, 3]]
        );
        assert_eq!(appended(&sequences, 1), [vec![4, 5, 6, 7, 8], vec![5, 6, 7, 8, 0], vec![0; 5]]);
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
