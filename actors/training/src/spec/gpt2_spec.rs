//! A language model of GPT-2's shape, by the names that Hugging Face's `config.json` has.

use serde::Serialize;

use super::{
    llama_spec::{HEADS, LAYERS, POSITIONS, VOCABULARIES, WIDTHS, epsilon, probability},
    spec_error::SpecError,
    table_reader::TableReader,
};
use crate::layers::Elementwise;

pub(super) const GPT2_KEYS: [&str; 9] = [
    "vocab_size",
    "n_positions",
    "n_embd",
    "n_layer",
    "n_head",
    "n_inner",
    "activation_function",
    "layer_norm_epsilon",
    "dropout",
];

/// The function within GPT-2's feed-forward layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Gpt2Activation {
    /// GELU by a hyperbolic tangent, which GPT-2 was trained with.
    #[serde(rename = "gelu_new")]
    GeluNew,
    /// GELU by the error function.
    #[serde(rename = "gelu")]
    Gelu,
    /// ReLU.
    #[serde(rename = "relu")]
    Relu,
}

impl Gpt2Activation {
    /// By its name in `config.json`.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        match name {
            "gelu_new" | "gelu_pytorch_tanh" => Some(Self::GeluNew),
            "gelu" => Some(Self::Gelu),
            "relu" => Some(Self::Relu),
            _ => None,
        }
    }

    pub(crate) fn elementwise(self) -> Elementwise {
        match self {
            Self::GeluNew => Elementwise::GeluTanh,
            Self::Gelu => Elementwise::Gelu,
            Self::Relu => Elementwise::Relu,
        }
    }
}

/// The shape of a GPT-2.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Gpt2Spec {
    /// Rows of the table of embeddings: at least as many as the tokenizer has ids.
    pub vocab_size: usize,
    /// Longest sequence. Default 1,024.
    pub n_positions: usize,
    /// Width of the residual stream, a multiple of `n_head`. Default 256.
    pub n_embd: usize,
    /// Blocks. Default 4.
    pub n_layer: usize,
    /// Attention heads. Default 4.
    pub n_head: usize,
    /// Width within the feed-forward layers. Default 4 × `n_embd`.
    pub n_inner: usize,
    /// Default `gelu_new`.
    pub activation_function: Gpt2Activation,
    /// Default 1e-5.
    pub layer_norm_epsilon: f64,
    /// Share of the embeddings and of the residual branches' outputs that is dropped in training, from 0 to below 1. Default 0.
    pub dropout: f64,
}

impl Gpt2Spec {
    pub(super) fn read(table: &TableReader<'_>) -> Result<Self, SpecError> {
        let size = |key, range, default: usize| {
            table.integer(key, range, Some(default as u64)).map(|value| value as usize)
        };
        let n_embd = size("n_embd", WIDTHS, 256)?;
        let n_head = size("n_head", HEADS, 4)?;
        if !n_embd.is_multiple_of(n_head) {
            let allowed = format!("a multiple of n_head, which is {n_head}");
            return Err(table.conflict("n_embd", n_embd.to_string(), &allowed));
        }
        let functions = "\"gelu_new\", \"gelu\", \"relu\"";
        Ok(Self {
            vocab_size: table.integer("vocab_size", VOCABULARIES, None)? as usize,
            n_positions: size("n_positions", POSITIONS, 1024)?,
            n_embd,
            n_layer: size("n_layer", LAYERS, 4)?,
            n_head,
            n_inner: size("n_inner", WIDTHS, 4 * n_embd)?,
            activation_function: table.string(
                "activation_function",
                Gpt2Activation::parse,
                functions,
                Some(Gpt2Activation::GeluNew),
            )?,
            layer_norm_epsilon: epsilon(table, "layer_norm_epsilon")?,
            dropout: probability(table)?,
        })
    }
}
