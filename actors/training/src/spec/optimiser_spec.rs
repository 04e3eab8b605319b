//! How a mean gradient changes the parameters.

use serde::Serialize;

use super::{
    spec_error::SpecError,
    table_reader::{Kind, TableReader},
};

const KINDS: [Kind; 3] = [
    Kind { name: "sgd", keys: &["momentum"] },
    Kind { name: "adamw", keys: &["beta1", "beta2", "epsilon"] },
    Kind { name: "lion", keys: &["beta1", "beta2"] },
];

/// Which parameters the weight decay is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DecaySpec {
    /// All of them. The default.
    #[default]
    All,
    /// Those of two and more dimensions: not biases and the weights of normalisations.
    Matrices,
}

/// Optimisers and their constants.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum OptimiserSpec {
    /// Stochastic gradient descent with momentum, as PyTorch defines it.
    Sgd {
        /// Finite and above 0. Default 0.02.
        learning_rate: f64,
        /// From 0 to below 1. Default 0.9.
        momentum: f64,
        /// From 0 to 1, added to the gradient times the parameter. Default 0.
        weight_decay: f64,
        /// The gradient is scaled down to this norm where its norm is larger; 0 (the default) for never.
        clip_norm: f64,
    },
    /// Adam with decoupled weight decay, as PyTorch defines it.
    Adamw {
        /// Finite and above 0. Default 0.001.
        learning_rate: f64,
        /// Of the mean of gradients, from 0 to below 1. Default 0.9.
        beta1: f64,
        /// Of the mean of squared gradients, from 0 to below 1. Default 0.999.
        beta2: f64,
        /// Added to the root of the mean of squares, above 0 and at most 1. Default 1e-8.
        epsilon: f64,
        /// From 0 to 1: an update takes `learning_rate · weight_decay` of a parameter away. Default 0.01.
        weight_decay: f64,
        /// The gradient is scaled down to this norm where its norm is larger; 0 (the default) for never.
        clip_norm: f64,
    },
    /// Lion: the sign of a mean of gradients, with decoupled weight decay.
    Lion {
        /// Finite and above 0. Default 0.0001.
        learning_rate: f64,
        /// Of the mean whose sign is taken, from 0 to below 1. Default 0.9.
        beta1: f64,
        /// Of the mean that is kept, from 0 to below 1. Default 0.99.
        beta2: f64,
        /// From 0 to 1: an update takes `learning_rate · weight_decay` of a parameter away. Default 0.1.
        weight_decay: f64,
        /// The gradient is scaled down to this norm where its norm is larger; 0 (the default) for never.
        clip_norm: f64,
    },
}

impl OptimiserSpec {
    pub(super) fn read(root: &TableReader<'_>) -> Result<Self, SpecError> {
        let common = ["learning_rate", "weight_decay", "clip_norm"];
        let (table, kind) = root.section_of_kind("optimiser", &common, &KINDS, Some("sgd"))?;
        // Updates compute in f32: constants must be usable there too.
        let is_rate = |rate: f64| (f64::from(f32::MIN_POSITIVE)..=f64::from(f32::MAX)).contains(&rate);
        let is_fraction = |number: f64| (0.0..1.0).contains(&number) && (number as f32) < 1.0;
        let fraction = |key, default| table.number(key, is_fraction, "a number from 0 to below 1", default);
        let (rate_default, decay_default) = match kind {
            "sgd" => (0.02, 0.0),
            "adamw" => (0.001, 0.01),
            _ => (0.0001, 0.1),
        };
        let learning_rate =
            table.number("learning_rate", is_rate, "a finite number above 0", rate_default)?;
        let is_share = |decay: f64| (0.0..=1.0).contains(&decay);
        let weight_decay = table.number("weight_decay", is_share, "a number from 0 to 1", decay_default)?;
        let is_norm = |norm: f64| norm == 0.0 || is_rate(norm);
        let clip_norm =
            table.number("clip_norm", is_norm, "0 for no clipping, or a finite number above 0", 0.0)?;
        let is_epsilon = |epsilon: f64| (f64::from(f32::MIN_POSITIVE)..=1.0).contains(&epsilon);
        Ok(match kind {
            "sgd" => {
                Self::Sgd { learning_rate, momentum: fraction("momentum", 0.9)?, weight_decay, clip_norm }
            }
            "adamw" => Self::Adamw {
                learning_rate,
                beta1: fraction("beta1", 0.9)?,
                beta2: fraction("beta2", 0.999)?,
                epsilon: table.number("epsilon", is_epsilon, "a number above 0, at most 1", 1e-8)?,
                weight_decay,
                clip_norm,
            },
            _ => Self::Lion {
                learning_rate,
                beta1: fraction("beta1", 0.9)?,
                beta2: fraction("beta2", 0.99)?,
                weight_decay,
                clip_norm,
            },
        })
    }

    /// The learning rate before any schedule.
    #[must_use]
    pub fn learning_rate(&self) -> f64 {
        match self {
            Self::Sgd { learning_rate, .. }
            | Self::Adamw { learning_rate, .. }
            | Self::Lion { learning_rate, .. } => *learning_rate,
        }
    }

    /// The largest norm a gradient keeps; 0 where gradients are never clipped.
    #[must_use]
    pub fn clip_norm(&self) -> f64 {
        match self {
            Self::Sgd { clip_norm, .. } | Self::Adamw { clip_norm, .. } | Self::Lion { clip_norm, .. } => {
                *clip_norm
            }
        }
    }

    /// Numbers that are kept for each parameter beside itself.
    pub(crate) fn moments(&self) -> usize {
        match self {
            Self::Sgd { .. } | Self::Lion { .. } => 1,
            Self::Adamw { .. } => 2,
        }
    }
}
