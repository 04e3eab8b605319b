//! What computes gradients: our own layers on the processor, compositions of candle's operations on another device.

use candle_core::Device;

use super::batch::Border;
use crate::{
    batch::Batch,
    composed::ComposedModel,
    data_facts::DataFacts,
    layers::{RowScore, Weights},
    network::{Gradients, Network},
    parameter_layout::ParameterLayout,
    spec::JobSpec,
    training_error::TrainingError,
};

/// A model on its device.
pub(super) enum Engine {
    /// Reads the parameters where the state has them.
    Processor(Box<Network<f32>>),
    /// Has copies of them.
    Composed(Box<ComposedModel>),
}

impl Engine {
    pub(super) fn new(
        spec: &JobSpec,
        facts: &DataFacts,
        border: Border,
        layout: &ParameterLayout,
        device: Device,
        parameters: &[f32],
    ) -> Result<Self, TrainingError> {
        if device.is_cpu() {
            let network = Network::new(&spec.model, facts, layout, spec.activation_checkpointing);
            return Ok(Self::Processor(Box::new(network)));
        }
        let [channels, height, width] = facts.image_shape;
        let image_shape = [channels, height + 2 * border.width, width + 2 * border.width];
        ComposedModel::new(&spec.model, layout, image_shape, device, parameters)
            .map(|model| Self::Composed(Box::new(model)))
    }

    /// Takes over new parameters.
    pub(super) fn assign(&self, parameters: &[f32]) -> Result<(), TrainingError> {
        match self {
            Self::Processor(_) => Ok(()),
            Self::Composed(model) => model.assign(parameters),
        }
    }

    /// The scores of a batch's rows; the sum over its samples of d loss / d parameters.
    pub(super) fn gradient(
        &self,
        parameters: &[f32],
        batch: &Batch,
        gradients: Gradients<'_, f32>,
    ) -> Result<Vec<RowScore>, TrainingError> {
        match self {
            Self::Processor(network) => Ok(network.gradient(Weights::Plain(parameters), batch, gradients)),
            Self::Composed(model) => {
                let scores = model.gradient(batch, gradients.out)?;
                (gradients.finished)(&[0..parameters.len()]);
                Ok(scores)
            }
        }
    }

    /// The scores of a batch's rows.
    pub(super) fn scores(&self, parameters: &[f32], batch: &Batch) -> Result<Vec<RowScore>, TrainingError> {
        match self {
            Self::Processor(network) => Ok(network.scores(Weights::Plain(parameters), batch)),
            Self::Composed(model) => model.scores(batch),
        }
    }

    /// The logits of a batch's rows.
    pub(super) fn logits(&self, parameters: &[f32], batch: &Batch) -> Result<Vec<f32>, TrainingError> {
        match self {
            Self::Processor(network) => Ok(network.logits(Weights::Plain(parameters), batch)),
            Self::Composed(model) => model.logits(batch),
        }
    }
}
