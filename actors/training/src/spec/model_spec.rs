//! What is trained.

use std::ops::Range;

use serde::Serialize;

use super::{
    spec_error::SpecError,
    table_reader::{Kind, TableReader},
};

/// Hidden layers of a perceptron: deeper ones do not learn without normalisation or shortcuts, which it does not have.
const HIDDEN_LAYERS: Range<usize> = 1..17;
/// Width of a hidden layer: two of the widest already have more parameters between them than a job may.
const HIDDEN_WIDTHS: Range<u64> = 1..65_537;
/// Hidden widths where a job names none.
const HIDDEN_DEFAULT: [usize; 1] = [256];

const KINDS: [Kind; 2] = [Kind { name: "lenet", keys: &[] }, Kind { name: "mlp", keys: &["hidden"] }];

/// The models this program knows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum ModelSpec {
    /// LeNet-5 with ReLU and max pooling: one-channel images of 32×32, or of 28×28 with a black border of 2.
    Lenet,
    /// A multilayer perceptron with ReLU on flattened images of any shape.
    Mlp {
        /// Widths of the hidden layers, 1 to 16 of them, each 1 to 65,536. Default `[256]`.
        hidden: Vec<usize>,
    },
}

impl ModelSpec {
    pub(super) fn read(root: &TableReader<'_>) -> Result<Self, SpecError> {
        let (table, kind) = root.section_of_kind("model", &[], &KINDS, None)?;
        if kind == "lenet" {
            return Ok(Self::Lenet);
        }
        let hidden = table.integers("hidden", HIDDEN_WIDTHS, HIDDEN_LAYERS)?;
        Ok(Self::Mlp {
            hidden: match hidden {
                Some(widths) => widths.into_iter().map(|width| width as usize).collect(),
                None => HIDDEN_DEFAULT.to_vec(),
            },
        })
    }

    /// The name of its kind in job files.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Lenet => "lenet",
            Self::Mlp { .. } => "mlp",
        }
    }
}
