//! A language model from a directory as Hugging Face has it, and the text that it writes.

use std::{fs, ops::ControlFlow, path::Path};

use serde_json::{Map, Value};

use super::{hugging_face, sampling::Sampling};
use crate::{
    data::{DataError, Tokenizer},
    data_facts::DataFacts,
    layers::{KeyValueCache, Weights},
    network::Network,
    parameter_layout::ParameterLayout,
    portable::{CONFIG_FILE, PortableError, TOKENIZER_FILE, import_parameters},
    spec::ModelSpec,
    training_error::TrainingError,
};

/// Longest `config.json` that is read, in bytes: those in use have some kilobytes.
const CONFIG_BYTES_MAX: u64 = 1 << 20;
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
        let spec = model_of_directory(directory).map_err(import)?;
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

/// The model that the `config.json` of a directory describes.
///
/// # Errors
/// A file that is missing, too long, or no description of a model that is computed here.
pub fn model_of_directory(directory: &Path) -> Result<ModelSpec, PortableError> {
    let path = directory.join(CONFIG_FILE);
    let io = |source| PortableError::Io { operation: "read", path: path.clone(), source };
    let refused = |problem: String| PortableError::Config { path: path.clone(), problem };
    let length = fs::metadata(&path).map_err(io)?.len();
    if length > CONFIG_BYTES_MAX {
        return Err(refused(format!("{length} bytes, more than {CONFIG_BYTES_MAX}")));
    }
    let bytes = fs::read(&path).map_err(io)?;
    let config: Map<String, Value> =
        serde_json::from_slice(&bytes).map_err(|error| refused(format!("not JSON: {error}")))?;
    hugging_face::model_of(&path, &config)
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
