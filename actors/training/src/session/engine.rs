//! What computes gradients: our own layers on the processor, compositions of candle's operations on another device.

use candle_core::Device;
use half::bf16;

use super::batch::Border;
use crate::{
    batch::Batch,
    composed::ComposedModel,
    data_facts::DataFacts,
    layers::{RowScore, Weights},
    network::{Gradients, Network},
    numbers::for_rows,
    parameter_layout::ParameterLayout,
    spec::{JobSpec, PrecisionSpec},
    training_error::TrainingError,
};

/// A model on its device.
pub(super) enum Engine {
    /// Reads the parameters where the state has them, unless it reads them rounded.
    Processor { network: Box<Network<f32>>, rounded: Option<Vec<bf16>> },
    /// Has copies of them.
    Composed(Box<ComposedModel>),
}

/// Parameters to test: the state's, or an average of them.
#[derive(Clone, Copy)]
pub(super) struct Tested<'a> {
    pub(super) parameters: &'a [f32],
    pub(super) average: Option<&'a [f32]>,
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
            let network = Box::new(Network::new(&spec.model, facts, layout, spec.activation_checkpointing));
            let is_rounded = spec.precision == PrecisionSpec::Bfloat16;
            let rounded = is_rounded.then(|| vec![bf16::ZERO; parameters.len()]);
            let mut engine = Self::Processor { network, rounded };
            engine.assign(parameters)?;
            return Ok(engine);
        }
        if spec.precision != PrecisionSpec::Float32 {
            return Err(TrainingError::PrecisionAndDevice);
        }
        let [channels, height, width] = facts.image_shape;
        let image_shape = [channels, height + 2 * border.width, width + 2 * border.width];
        ComposedModel::new(&spec.model, layout, image_shape, device, parameters)
            .map(|model| Self::Composed(Box::new(model)))
    }

    /// Takes over new parameters.
    pub(super) fn assign(&mut self, parameters: &[f32]) -> Result<(), TrainingError> {
        match self {
            Self::Processor { rounded, .. } => {
                if let Some(rounded) = rounded {
                    for_rows(rounded, 1, |first, out| {
                        for (out, value) in out.iter_mut().zip(&parameters[first..]) {
                            *out = bf16::from_f32(*value);
                        }
                    });
                }
                Ok(())
            }
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
            Self::Processor { network, rounded } => {
                Ok(network.gradient(weights(parameters, rounded.as_deref()), batch, gradients))
            }
            Self::Composed(model) => {
                let scores = model.gradient(batch, gradients.out)?;
                (gradients.finished)(std::slice::from_ref(&(0..parameters.len())));
                Ok(scores)
            }
        }
    }

    /// The scores of a batch's rows.
    pub(super) fn scores(&self, tested: Tested<'_>, batch: &Batch) -> Result<Vec<RowScore>, TrainingError> {
        match self {
            Self::Processor { network, rounded } => {
                Ok(network.scores(tested.weights(rounded.as_deref()), batch))
            }
            Self::Composed(model) => tested.on(model, || model.scores(batch)),
        }
    }

    /// The logits of a batch's rows.
    pub(super) fn logits(&self, tested: Tested<'_>, batch: &Batch) -> Result<Vec<f32>, TrainingError> {
        match self {
            Self::Processor { network, rounded } => {
                Ok(network.logits(tested.weights(rounded.as_deref()), batch))
            }
            Self::Composed(model) => tested.on(model, || model.logits(batch)),
        }
    }
}

fn weights<'a>(parameters: &'a [f32], rounded: Option<&'a [bf16]>) -> Weights<'a, f32> {
    rounded.map_or(Weights::Plain(parameters), Weights::Half)
}

impl<'a> Tested<'a> {
    /// An average is read as it is.
    fn weights(self, rounded: Option<&'a [bf16]>) -> Weights<'a, f32> {
        self.average.map_or_else(|| weights(self.parameters, rounded), Weights::Plain)
    }

    /// Gives the model the average while `work` goes on.
    fn on<R>(
        self,
        model: &ComposedModel,
        work: impl FnOnce() -> Result<R, TrainingError>,
    ) -> Result<R, TrainingError> {
        let Some(average) = self.average else { return work() };
        model.assign(average)?;
        let result = work();
        model.assign(self.parameters)?;
        result
    }
}
