//! A language model of the Llama family, by the names that Hugging Face's `config.json` has.

use std::ops::Range;

use serde::Serialize;

use super::{spec_error::SpecError, table_reader::TableReader};

/// Sizes of models: beyond them a model has more parameters than a job may.
pub(super) const VOCABULARIES: Range<u64> = 1..1_048_577;
pub(super) const WIDTHS: Range<u64> = 1..65_537;
pub(super) const LAYERS: Range<u64> = 1..1025;
pub(super) const HEADS: Range<u64> = 1..1025;
/// The longest context: rotary angles of a million positions are exact enough in f32 and their table takes 256 MB.
pub(super) const POSITIONS: Range<u64> = 1..1_048_577;

pub(super) const LLAMA_KEYS: [&str; 14] = [
    "vocab_size",
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "max_position_embeddings",
    "rope_theta",
    "rms_norm_eps",
    "attention_bias",
    "tie_word_embeddings",
    "sliding_window",
    "dropout",
];

/// The shape of a Llama, Qwen2 or Mistral.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LlamaSpec {
    /// Rows of the table of embeddings: at least as many as the tokenizer has ids.
    pub vocab_size: usize,
    /// Width of the residual stream. Default 256.
    pub hidden_size: usize,
    /// Width within the feed-forward layers. Default 4 × `hidden_size`.
    pub intermediate_size: usize,
    /// Blocks. Default 4.
    pub num_hidden_layers: usize,
    /// Query heads. Default 4.
    pub num_attention_heads: usize,
    /// Key and value heads, of which the query heads are a multiple. Default: as many.
    pub num_key_value_heads: usize,
    /// Width of a head, even. Default `hidden_size / num_attention_heads`.
    pub head_dim: usize,
    /// Longest sequence. Default 2,048.
    pub max_position_embeddings: usize,
    /// Base of the rotary angles. Default 10,000.
    pub rope_theta: f64,
    /// Default 1e-5.
    pub rms_norm_eps: f64,
    /// Whether queries, keys and values have a bias, as in Qwen2. Default false.
    pub attention_bias: bool,
    /// Whether the last projection is the embedding. Default false.
    pub tie_word_embeddings: bool,
    /// Tokens that a token attends to, as in Mistral; 0, the default, for all.
    pub sliding_window: usize,
    /// Share of the residual branches' outputs that is dropped in training, from 0 to below 1. Default 0.
    pub dropout: f64,
}

impl LlamaSpec {
    pub(super) fn read(table: &TableReader<'_>) -> Result<Self, SpecError> {
        let size = |key, range: Range<u64>, default: usize| {
            table.integer(key, range, Some(default as u64)).map(|value| value as usize)
        };
        let vocab_size = table.integer("vocab_size", VOCABULARIES, None)? as usize;
        let hidden_size = size("hidden_size", WIDTHS, 256)?;
        let num_attention_heads = size("num_attention_heads", HEADS, 4)?;
        let num_key_value_heads = size("num_key_value_heads", HEADS, num_attention_heads)?;
        if !num_attention_heads.is_multiple_of(num_key_value_heads) {
            let allowed = format!("a divisor of num_attention_heads, which is {num_attention_heads}");
            return Err(table.conflict("num_key_value_heads", num_key_value_heads.to_string(), &allowed));
        }
        let head_dim = size("head_dim", WIDTHS, (hidden_size / num_attention_heads).max(1))?;
        let is_whole = hidden_size.is_multiple_of(num_attention_heads);
        if !head_dim.is_multiple_of(2) || !is_whole && head_dim == hidden_size / num_attention_heads {
            let allowed = "an even number; hidden_size / num_attention_heads where it is not given";
            return Err(table.conflict("head_dim", head_dim.to_string(), allowed));
        }
        Ok(Self {
            vocab_size,
            hidden_size,
            intermediate_size: size("intermediate_size", WIDTHS, 4 * hidden_size)?,
            num_hidden_layers: size("num_hidden_layers", LAYERS, 4)?,
            num_attention_heads,
            num_key_value_heads,
            head_dim,
            max_position_embeddings: size("max_position_embeddings", POSITIONS, 2048)?,
            rope_theta: table.number("rope_theta", is_base, "a number from 1 to 1e12", 10_000.0)?,
            rms_norm_eps: epsilon(table, "rms_norm_eps")?,
            attention_bias: table.boolean("attention_bias", false)?,
            tie_word_embeddings: table.boolean("tie_word_embeddings", false)?,
            sliding_window: size("sliding_window", 0..POSITIONS.end, 0)?,
            dropout: probability(table)?,
        })
    }
}

fn is_base(theta: f64) -> bool {
    (1.0..=1e12).contains(&theta)
}

/// What is added to a variance.
pub(super) fn epsilon(table: &TableReader<'_>, key: &str) -> Result<f64, SpecError> {
    let is_epsilon = |epsilon: f64| (f64::from(f32::MIN_POSITIVE)..=1.0).contains(&epsilon);
    table.number(key, is_epsilon, "a number above 0, at most 1", 1e-5)
}

/// What dropout drops.
pub(super) fn probability(table: &TableReader<'_>) -> Result<f64, SpecError> {
    table.number("dropout", |share| (0.0..1.0).contains(&share), "a number from 0 to below 1", 0.0)
}
