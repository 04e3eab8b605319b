//! Models for devices that our own layers do not know: compositions of candle's differentiable operations. Only operations whose
//! backward pass is right and that add nothing atomically are used. They run on any device, so they are checked against
//! our own layers on the processor, without a GPU.

#[cfg(test)]
pub(crate) mod finite_differences;
mod flat;
mod layers;
mod models;
#[cfg(test)]
mod tests;

use candle_core::{DType, Device, Tensor, Var};

use self::models::Parameters;
use crate::{
    batch::{Batch, ImageBatch},
    layers::RowScore,
    parameter_layout::ParameterLayout,
    spec::ModelSpec,
    training_error::TrainingError,
};

/// A model whose parameters are candle's variables on some device.
pub(crate) struct ComposedModel {
    spec: ModelSpec,
    layout: ParameterLayout,
    /// Channels, height and width of an image, with its border.
    image_shape: [usize; 3],
    device: Device,
    variables: Vec<Var>,
}

impl ComposedModel {
    /// The model with these parameters, flat.
    ///
    /// # Errors
    /// [`TrainingError::ModelAndDevice`] for a model that only the processor computes.
    pub(crate) fn new(
        spec: &ModelSpec,
        layout: &ParameterLayout,
        image_shape: [usize; 3],
        device: Device,
        parameters: &[f32],
    ) -> Result<Self, TrainingError> {
        if !matches!(spec, ModelSpec::Lenet | ModelSpec::Mlp { .. }) {
            return Err(TrainingError::ModelAndDevice { model: spec.name() });
        }
        let variables = flat::variables(layout, parameters, &device);
        let variables = variables.map_err(TrainingError::compute("variables"))?;
        Ok(Self { spec: spec.clone(), layout: layout.clone(), image_shape, device, variables })
    }

    /// Gives the variables these parameters.
    pub(crate) fn assign(&self, parameters: &[f32]) -> Result<(), TrainingError> {
        flat::assign(&self.layout, parameters, &self.variables).map_err(TrainingError::compute("variables"))
    }

    /// The scores of a batch's samples; `out` becomes the sum over them of d loss / d parameters.
    pub(crate) fn gradient(&self, batch: &Batch, out: &mut [f32]) -> Result<Vec<RowScore>, TrainingError> {
        let parameters: Vec<Tensor> =
            self.variables.iter().map(|variable| variable.as_tensor().clone()).collect();
        let logits = self.forward(&parameters, batch)?;
        let gradients = layers::cross_entropy_sum(&logits, batch.targets())
            .and_then(|loss| loss.backward())
            .map_err(TrainingError::compute("backward pass"))?;
        flat::collect(&gradients, &self.variables, &self.layout, out)?;
        scores(&logits, batch.targets())
    }

    /// The scores of a batch's samples.
    pub(crate) fn scores(&self, batch: &Batch) -> Result<Vec<RowScore>, TrainingError> {
        scores(&self.detached(batch)?, batch.targets())
    }

    /// The logits of a batch's samples, one row after another.
    pub(crate) fn logits(&self, batch: &Batch) -> Result<Vec<f32>, TrainingError> {
        let logits = self.detached(batch)?.flatten_all().and_then(|logits| logits.to_vec1());
        logits.map_err(TrainingError::compute("logits"))
    }

    fn detached(&self, batch: &Batch) -> Result<Tensor, TrainingError> {
        let parameters: Vec<Tensor> = self.variables.iter().map(Var::as_detached_tensor).collect();
        self.forward(&parameters, batch)
    }

    fn forward(&self, parameters: &[Tensor], batch: &Batch) -> Result<Tensor, TrainingError> {
        let Batch::Images(ImageBatch { pixels, labels }) = batch else {
            return Err(TrainingError::ModelAndDevice { model: self.spec.name() });
        };
        let [channels, height, width] = self.image_shape;
        let images = Tensor::from_slice(pixels, (labels.len(), channels, height, width), &self.device);
        let images = images.map_err(TrainingError::compute("batch"))?;
        let parameters = Parameters::new(&self.layout, parameters);
        let logits = match &self.spec {
            ModelSpec::Mlp { hidden } => models::mlp(hidden.len(), &parameters, &images),
            _ => models::lenet(&parameters, &images),
        };
        logits.map_err(TrainingError::compute("forward pass"))
    }
}

/// The loss of each row, in f64, and whether its first largest logit is the target's.
fn scores(logits: &Tensor, targets: &[u32]) -> Result<Vec<RowScore>, TrainingError> {
    let rows = logits.to_dtype(DType::F64).and_then(|logits| logits.to_vec2::<f64>());
    let rows = rows.map_err(TrainingError::compute("loss"))?;
    let score = |(row, target): (&Vec<f64>, &u32)| {
        let wanted = row[*target as usize];
        let maximum = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = row.iter().map(|logit| libm::exp(logit - maximum)).sum();
        let is_correct = row.iter().position(|logit| *logit == maximum) == Some(*target as usize);
        RowScore { loss: libm::log(sum) - (wanted - maximum), is_correct }
    };
    Ok(rows.iter().zip(targets).map(score).collect())
}
