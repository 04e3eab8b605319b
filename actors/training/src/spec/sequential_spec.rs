//! A model as a list of layers.

use std::ops::Range;

use serde::Serialize;

use super::{
    spec_error::SpecError,
    table_reader::{Kind, TableReader},
};

pub(super) const SEQUENTIAL_KEYS: [&str; 1] = ["layers"];
/// Deeper networks want shortcuts, which a list has not.
const LAYERS: Range<usize> = 1..129;
const OUTPUTS: Range<u64> = 1..65_537;
const KERNELS: Range<u64> = 1..33;
const PADDINGS: Range<u64> = 0..33;

const KINDS: [Kind; 10] = [
    Kind { name: "linear", keys: &["outputs"] },
    Kind { name: "conv2d", keys: &["outputs", "kernel", "stride", "padding"] },
    Kind { name: "max_pool2d", keys: &["size"] },
    Kind { name: "mean_pool2d", keys: &["size"] },
    Kind { name: "layer_norm", keys: &[] },
    Kind { name: "dropout", keys: &["probability"] },
    Kind { name: "relu", keys: &[] },
    Kind { name: "gelu", keys: &[] },
    Kind { name: "silu", keys: &[] },
    Kind { name: "tanh", keys: &[] },
];

/// Layers from the first to the last; a linear layer with as many outputs as there are classes follows by itself.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SequentialSpec {
    /// 1 to 128 of them.
    pub layers: Vec<LayerSpec>,
}

/// One layer of a list. A layer for flat inputs flattens what it gets.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum LayerSpec {
    /// Fully connected.
    Linear {
        /// 1 to 65,536.
        outputs: usize,
    },
    /// Convolution with square kernels.
    #[serde(rename = "conv2d")]
    Conv2d {
        /// Channels, 1 to 65,536.
        outputs: usize,
        /// Rows and columns of the kernel, 1 to 32.
        kernel: usize,
        /// Pixels between its places, 1 to 32. Default 1.
        stride: usize,
        /// Zeros on each side, 0 to 32. Default 0.
        padding: usize,
    },
    /// Maxima of windows.
    #[serde(rename = "max_pool2d")]
    MaxPool2d {
        /// Rows and columns of a window, 1 to 32. Default 2.
        size: usize,
    },
    /// Means of windows.
    #[serde(rename = "mean_pool2d")]
    MeanPool2d {
        /// Rows and columns of a window, 1 to 32. Default 2.
        size: usize,
    },
    /// Layer normalisation over all numbers of a sample.
    LayerNorm,
    /// Drops numbers in training.
    Dropout {
        /// From 0 to below 1. Default 0.5.
        probability: f64,
    },
    /// `max(x, 0)`.
    Relu,
    /// `x · Φ(x)`.
    Gelu,
    /// `x · sigmoid(x)`.
    Silu,
    /// The hyperbolic tangent.
    Tanh,
}

impl SequentialSpec {
    pub(super) fn read(table: &TableReader<'_>) -> Result<Self, SpecError> {
        let layers = table.list_of_kinds("layers", &KINDS, LAYERS)?;
        let layers = layers.iter().map(|(table, kind)| LayerSpec::read(table, kind));
        Ok(Self { layers: layers.collect::<Result<_, _>>()? })
    }
}

impl LayerSpec {
    fn read(table: &TableReader<'_>, kind: &str) -> Result<Self, SpecError> {
        let size = |key, range: Range<u64>, default: Option<u64>| {
            table.integer(key, range, default).map(|value| value as usize)
        };
        Ok(match kind {
            "linear" => Self::Linear { outputs: size("outputs", OUTPUTS, None)? },
            "conv2d" => Self::Conv2d {
                outputs: size("outputs", OUTPUTS, None)?,
                kernel: size("kernel", KERNELS, None)?,
                stride: size("stride", KERNELS, Some(1))?,
                padding: size("padding", PADDINGS, Some(0))?,
            },
            "max_pool2d" => Self::MaxPool2d { size: size("size", KERNELS, Some(2))? },
            "mean_pool2d" => Self::MeanPool2d { size: size("size", KERNELS, Some(2))? },
            "layer_norm" => Self::LayerNorm,
            "dropout" => {
                let is_share = |share: f64| (0.0..1.0).contains(&share);
                let allowed = "a number from 0 to below 1";
                Self::Dropout { probability: table.number("probability", is_share, allowed, 0.5)? }
            }
            "relu" => Self::Relu,
            "gelu" => Self::Gelu,
            "silu" => Self::Silu,
            _ => Self::Tanh,
        })
    }
}
