//! The registry of models: which parameters a model has and how it maps images to logits. One file per model.

mod lenet;
mod mlp;

use candle_core::{Result, Tensor};

use crate::{
    data_facts::DataFacts, layers::Layers, parameter_layout::ParameterLayout, spec::ModelSpec,
    training_error::TrainingError,
};

/// Parameters of the largest model: with two moments each its state has 3 GiB.
const PARAMETERS_MAX: u64 = 1 << 28;

/// A parameter that a model declares.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ParameterDeclaration {
    /// The name PyTorch's `state_dict` would have.
    pub(crate) name: String,
    /// The shape PyTorch would have.
    pub(crate) shape: Vec<usize>,
    /// Initial values are uniform in `[-bound, bound)`.
    pub(crate) bound: f32,
}

/// The tensors of a model's parameters, found by name, and the layers that compute with them.
pub(crate) struct Parameters<'a> {
    layout: &'a ParameterLayout,
    tensors: &'a [Tensor],
    layers: Layers,
}

impl<'a> Parameters<'a> {
    /// `tensors` in the order of `layout`, all on one device.
    pub(crate) fn new(layout: &'a ParameterLayout, tensors: &'a [Tensor], layers: Layers) -> Self {
        assert_eq!(layout.places().len(), tensors.len(), "one tensor per parameter");
        Self { layout, tensors, layers }
    }

    fn get(&self, name: &str) -> Result<&'a Tensor> {
        match self.layout.places().binary_search_by(|place| place.name.as_str().cmp(name)) {
            Ok(index) => Ok(&self.tensors[index]),
            Err(_) => candle_core::bail!("the model declares no parameter {name}"),
        }
    }
}

/// A layer's weight and bias with PyTorch's default for convolutions and fully connected layers: `kaiming_uniform(a = √5)`,
/// which is uniform within ±1/√fan_in, for both. The square root and the division are exactly rounded by IEEE 754.
fn layer(name: &str, shape: Vec<usize>) -> Vec<ParameterDeclaration> {
    let fan_in: usize = shape[1..].iter().product();
    let bound = 1.0 / (fan_in as f32).sqrt();
    let outputs = shape[0];
    vec![
        ParameterDeclaration { name: format!("{name}.weight"), shape, bound },
        ParameterDeclaration { name: format!("{name}.bias"), shape: vec![outputs], bound },
    ]
}

impl ModelSpec {
    /// The parameters of this model for such data, in the order a reader expects them.
    ///
    /// # Errors
    /// [`TrainingError::ModelAndData`] for images that it does not take, [`TrainingError::TooManyParameters`].
    pub(crate) fn declarations(
        &self,
        data: &DataFacts,
    ) -> std::result::Result<Vec<ParameterDeclaration>, TrainingError> {
        self.border(data)?;
        let declarations = match self {
            Self::Lenet => lenet::declarations(data.classes),
            Self::Mlp { hidden } => mlp::declarations(data.pixels(), hidden, data.classes),
        };
        let parameters =
            declarations.iter().map(|declaration| declaration.shape.iter().product::<usize>() as u64);
        match parameters.sum() {
            parameters if parameters > PARAMETERS_MAX => {
                Err(TrainingError::TooManyParameters { parameters, parameters_max: PARAMETERS_MAX })
            }
            _ => Ok(declarations),
        }
    }

    /// Pixels of black border that images need on each side before [`Self::forward`].
    ///
    /// # Errors
    /// [`TrainingError::ModelAndData`] for images that it does not take.
    pub(crate) fn border(&self, data: &DataFacts) -> std::result::Result<usize, TrainingError> {
        let (border, takes) = match self {
            Self::Lenet => (lenet::border(data.image_shape), lenet::TAKES),
            Self::Mlp { .. } => ((data.pixels() > 0).then_some(0), "images of at least one pixel"),
        };
        border.ok_or(TrainingError::ModelAndData { model: self.name(), takes, image_shape: data.image_shape })
    }

    /// Logits `[samples, classes]` of `images`, `[samples, channels, height, width]`.
    pub(crate) fn forward(&self, parameters: &Parameters<'_>, images: &Tensor) -> Result<Tensor> {
        match self {
            Self::Lenet => lenet::forward(parameters, images),
            Self::Mlp { hidden } => mlp::forward(hidden, parameters, images),
        }
    }

    /// About how many numbers the forward and backward pass of one sample hold.
    pub(crate) fn activation_elements(&self, data: &DataFacts) -> u64 {
        match self {
            Self::Lenet => lenet::activation_elements(),
            Self::Mlp { hidden } => mlp::activation_elements(data.pixels(), hidden, data.classes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(image_shape: [usize; 3], classes: usize) -> DataFacts {
        DataFacts { image_shape, classes, black: 0.0, bytes: 0 }
    }

    #[test]
    fn lenet_takes_two_sizes_and_any_number_of_classes() {
        assert_eq!(ModelSpec::Lenet.border(&data([1, 32, 32], 10)).unwrap(), 0);
        assert_eq!(ModelSpec::Lenet.border(&data([1, 28, 28], 10)).unwrap(), 2);
        let declarations = ModelSpec::Lenet.declarations(&data([1, 28, 28], 47)).unwrap();
        let last = declarations.iter().find(|declaration| declaration.name == "fc3.weight").unwrap();
        assert_eq!(last.shape, [47, 84]);
        for shape in [[3, 32, 32], [1, 8, 8], [1, 32, 28], [1, 1, 64]] {
            let error = ModelSpec::Lenet.declarations(&data(shape, 10)).unwrap_err().to_string();
            let [channels, height, width] = shape;
            assert_eq!(
                error,
                format!(
                    "model lenet takes images of 1×32×32 or 1×28×28, the data set has images of \
                     {channels}×{height}×{width}"
                )
            );
        }
    }

    #[test]
    fn a_model_that_no_node_could_hold_is_refused_before_it_is_made() {
        let wide = ModelSpec::Mlp { hidden: vec![65_536; 16] };
        let error = wide.declarations(&data([3, 1000, 1000], 10)).unwrap_err();
        assert!(
            matches!(error, TrainingError::TooManyParameters { parameters, parameters_max: PARAMETERS_MAX }
            if parameters > 200_000_000_000)
        );
        assert!(ModelSpec::Mlp { hidden: vec![4096; 8] }.declarations(&data([1, 28, 28], 10)).is_ok());
    }
}
