//! A language model from a directory as Hugging Face has it, and the text that it writes.

use std::{ops::ControlFlow, path::Path};

use super::sampling::Sampling;
use crate::{
    data::{DataError, Tokenizer},
    data_facts::DataFacts,
    layers::{KeyValueCache, Weights},
    network::Network,
    parameter_layout::ParameterLayout,
    portable::{TOKENIZER_FILE, import_parameters, model_from_directory},
    training_error::TrainingError,
};

/// A character that is not whole yet decodes to this.
const REPLACEMENT: char = '\u{fffd}';

/// A model that can be asked to go on with a text. Computes on the processor.
pub struct LanguageModel {
    network: Network<f32>,
    parameters: Vec<f32>,
    tokenizer: Tokenizer,
    /// Longest text, in tokens.
    positions: usize,
    vocabulary: usize,
}

/// Why a text ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextEnd {
    /// The model said so.
    EndOfText,
    /// It has as many tokens as were asked for.
    TokensMax,
    /// The model's context is full.
    Context,
    /// Whoever reads it does not want more.
    Stopped,
}

impl LanguageModel {
    /// Reads `config.json`, `model.safetensors` and `tokenizer.json` of a directory.
    ///
    /// # Errors
    /// A file that is missing or is not what it should be; an unknown architecture; tensors that contradict the description,
    /// the first with both shapes; a tokenizer that is larger than the table of embeddings; pickles, with the reason.
    pub fn open(directory: &Path) -> Result<Self, TrainingError> {
        let import = |error| TrainingError::Import(Box::new(error));
        let spec = model_from_directory(directory).map_err(import)?;
        let tokenizer = open_tokenizer(directory)?;
        let (vocabulary, positions) = spec.language().unwrap_or_default();
        let tokens = tokenizer.vocabulary() as usize;
        if tokens > vocabulary {
            return Err(TrainingError::Vocabulary { tokens, rows: vocabulary });
        }
        let facts =
            DataFacts { image_shape: [1, 1, positions], classes: tokens, tokens: true, black: 0.0, bytes: 0 };
        let layout = ParameterLayout::new(&spec.declarations(&facts)?);
        let parameters = import_parameters(&layout, directory).map_err(import)?;
        let network = Network::new(&spec, &facts, &layout, false);
        Ok(Self { network, parameters, tokenizer, positions, vocabulary })
    }

    /// Parameters that it has.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.parameters.len()
    }

    /// Goes on with `prompt` for at most `tokens_max` tokens. `write` gets the new text piece by piece, whole characters only, and
    /// may end it.
    ///
    /// # Errors
    /// A prompt that gives no tokens, or more than the model's context has room for; a tokenizer that fails.
    pub fn generate(
        &self,
        prompt: &str,
        tokens_max: usize,
        sampling: &Sampling,
        mut write: impl FnMut(&str) -> ControlFlow<()>,
    ) -> Result<TextEnd, TrainingError> {
        let mut tokens = self.tokenizer.encode(prompt).map_err(|error| failed(error.into()))?;
        if tokens.is_empty() {
            // Nothing was said: a text begins where another one ends.
            tokens.extend(self.tokenizer.end_of_text());
        }
        let room = self.positions;
        if tokens.is_empty() || tokens.len() >= room {
            return Err(TrainingError::Prompt { tokens: tokens.len(), positions: room });
        }
        let mut cache = KeyValueCache::new();
        let (first, mut read, mut said) = (tokens.len(), 0, 0);
        while tokens.len() - first < tokens_max {
            if tokens.len() >= room {
                return Ok(TextEnd::Context);
            }
            let weights = Weights::Plain(&self.parameters);
            let mut logits = self.network.next_logits(weights, &mut cache, &tokens[read..]);
            read = tokens.len();
            // Rows that no token has were never trained.
            logits.truncate((self.tokenizer.vocabulary() as usize).min(self.vocabulary));
            let next = sampling.draw(tokens.len() as u32, &logits);
            if self.tokenizer.end_of_text() == Some(next) {
                return Ok(TextEnd::EndOfText);
            }
            tokens.push(next);
            let text = self.tokenizer.decode(&tokens[first..]).map_err(|error| failed(error.into()))?;
            let whole = text.trim_end_matches(REPLACEMENT).len();
            if whole > said {
                if write(&text[said..whole]).is_break() {
                    return Ok(TextEnd::Stopped);
                }
                said = whole;
            }
        }
        Ok(TextEnd::TokensMax)
    }
}

/// The tokenizer of a directory.
///
/// # Errors
/// A file that is missing or no tokenizer.
pub fn open_tokenizer(directory: &Path) -> Result<Tokenizer, TrainingError> {
    Tokenizer::open(&directory.join(TOKENIZER_FILE), None).map_err(failed)
}

fn failed(source: DataError) -> TrainingError {
    TrainingError::DataSet { name: "tokenizer", source: Box::new(source) }
}
