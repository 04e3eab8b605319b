//! The registry of models: which parameters a model has and how it maps images to logits. One file per model.

mod lenet;

use candle_core::{Result, Tensor};

use crate::{parameter_layout::ParameterLayout, spec::ModelSpec};

/// A parameter that a model declares.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ParameterDeclaration {
    /// The name PyTorch's `state_dict` would have.
    pub(crate) name: &'static str,
    /// The shape PyTorch would have.
    pub(crate) shape: Vec<usize>,
    /// Initial values are uniform in `[-bound, bound)`.
    pub(crate) bound: f32,
}

/// The tensors of a model's parameters, found by name.
pub(crate) struct Parameters<'a> {
    layout: &'a ParameterLayout,
    tensors: &'a [Tensor],
}

impl<'a> Parameters<'a> {
    /// `tensors` in the order of `layout`.
    pub(crate) fn new(layout: &'a ParameterLayout, tensors: &'a [Tensor]) -> Self {
        assert_eq!(layout.places().len(), tensors.len(), "one tensor per parameter");
        Self { layout, tensors }
    }

    fn get(&self, name: &str) -> Result<&'a Tensor> {
        match self.layout.places().binary_search_by(|place| place.name.as_str().cmp(name)) {
            Ok(index) => Ok(&self.tensors[index]),
            Err(_) => candle_core::bail!("the model declares no parameter {name}"),
        }
    }
}

impl ModelSpec {
    /// The parameters of this model, in the order a reader expects them.
    pub(crate) fn declarations(self) -> Vec<ParameterDeclaration> {
        match self {
            Self::Lenet => lenet::declarations(),
        }
    }

    /// Logits `[samples, classes]` of `images`, `[samples, channels, height, width]`.
    pub(crate) fn forward(self, parameters: &Parameters<'_>, images: &Tensor) -> Result<Tensor> {
        match self {
            Self::Lenet => lenet::forward(parameters, images),
        }
    }
}
