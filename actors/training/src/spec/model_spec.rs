//! What is trained.

use std::ops::Range;

use serde::Serialize;

use super::{
    gpt2_spec::{GPT2_KEYS, Gpt2Spec},
    job_spec::parse_table,
    llama_spec::{LLAMA_KEYS, LlamaSpec},
    sequential_spec::{SEQUENTIAL_KEYS, SequentialSpec},
    spec_error::SpecError,
    table_reader::{Kind, TableReader},
};

/// Hidden layers of a perceptron: deeper ones do not learn without normalisation or shortcuts, which it does not have.
const HIDDEN_LAYERS: Range<usize> = 1..17;
/// Width of a hidden layer: two of the widest already have more parameters between them than a job may.
const HIDDEN_WIDTHS: Range<u64> = 1..65_537;
/// Hidden widths where a job names none.
const HIDDEN_DEFAULT: [usize; 1] = [256];

const KINDS: [Kind; 5] = [
    Kind { name: "lenet", keys: &[] },
    Kind { name: "mlp", keys: &["hidden"] },
    Kind { name: "llama", keys: &LLAMA_KEYS },
    Kind { name: "gpt2", keys: &GPT2_KEYS },
    Kind { name: "sequential", keys: &SEQUENTIAL_KEYS },
];

/// The models this program knows.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ModelSpec {
    /// LeNet-5 with ReLU and max pooling: one-channel images of 32×32, or of 28×28 with a black border of 2.
    Lenet,
    /// A multilayer perceptron with ReLU on flattened images of any shape.
    Mlp {
        /// Widths of the hidden layers, 1 to 16 of them, each 1 to 65,536. Default `[256]`.
        hidden: Vec<usize>,
    },
    /// A language model of the Llama family, with Qwen2 and Mistral.
    Llama(LlamaSpec),
    /// A language model of GPT-2's shape.
    #[serde(rename = "gpt2")]
    Gpt2(Gpt2Spec),
    /// A list of layers on images of any shape.
    Sequential(SequentialSpec),
}

impl ModelSpec {
    pub(super) fn read(root: &TableReader<'_>) -> Result<Self, SpecError> {
        let (table, kind) = root.section_of_kind("model", &[], &KINDS, None)?;
        match kind {
            "lenet" => Ok(Self::Lenet),
            "llama" => LlamaSpec::read(&table).map(Self::Llama),
            "gpt2" => Gpt2Spec::read(&table).map(Self::Gpt2),
            "sequential" => SequentialSpec::read(&table).map(Self::Sequential),
            _ => {
                let hidden = table.integers("hidden", HIDDEN_WIDTHS, HIDDEN_LAYERS)?;
                let widths = hidden.map(|widths| widths.into_iter().map(|width| width as usize).collect());
                Ok(Self::Mlp { hidden: widths.unwrap_or_else(|| HIDDEN_DEFAULT.to_vec()) })
            }
        }
    }

    /// A model from the `[model]` section of a job file alone.
    pub(crate) fn parse(text: &str) -> Result<Self, SpecError> {
        let table = parse_table(text)?;
        Self::read(&TableReader::root(text, table.get_ref(), &["model"])?)
    }

    /// The name of its kind in job files.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Lenet => "lenet",
            Self::Mlp { .. } => "mlp",
            Self::Llama(_) => "llama",
            Self::Gpt2(_) => "gpt2",
            Self::Sequential(_) => "sequential",
        }
    }

    /// Tokens that its table of embeddings knows, and the longest sequence that it takes; `None` for models of images.
    #[must_use]
    pub fn language(&self) -> Option<(usize, usize)> {
        match self {
            Self::Llama(spec) => Some((spec.vocab_size, spec.max_position_embeddings)),
            Self::Gpt2(spec) => Some((spec.vocab_size, spec.n_positions)),
            Self::Lenet | Self::Mlp { .. } | Self::Sequential(_) => None,
        }
    }
}
