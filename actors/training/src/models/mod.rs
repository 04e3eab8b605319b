//! The registry of models: which parameters a model has, which data it takes and what it holds in memory. One file per model.

mod gpt2;
pub(crate) mod lenet;
mod llama;
mod mlp;
pub(crate) mod sequential;

use crate::{data_facts::DataFacts, spec::ModelSpec, training_error::TrainingError};

/// Parameters of the largest model: with two moments each its state has 3 GiB.
const PARAMETERS_MAX: u64 = 1 << 28;

/// A parameter that a model declares.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ParameterDeclaration {
    /// The name PyTorch's `state_dict` would have.
    pub(crate) name: String,
    /// The shape PyTorch would have.
    pub(crate) shape: Vec<usize>,
    /// What it is at step 0.
    pub(crate) initial: Initial,
}

/// Initial values of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Initial {
    /// Uniform in `[-bound, bound)`.
    Uniform(f32),
    /// Normal with this standard deviation.
    Normal(f32),
    /// All the same.
    Constant(f32),
}

/// A layer's weight and bias with PyTorch's default for convolutions and fully connected layers: `kaiming_uniform(a = √5)`,
/// which is uniform within ±1/√fan_in, for both. The square root and the division are exactly rounded by IEEE 754.
fn layer(name: &str, shape: Vec<usize>) -> Vec<ParameterDeclaration> {
    let fan_in: usize = shape[1..].iter().product();
    let initial = Initial::Uniform(1.0 / (fan_in as f32).sqrt());
    let outputs = shape[0];
    vec![
        ParameterDeclaration { name: format!("{name}.weight"), shape, initial },
        ParameterDeclaration { name: format!("{name}.bias"), shape: vec![outputs], initial },
    ]
}

/// A parameter with such a name, shape and beginning.
fn parameter(name: String, shape: &[usize], initial: Initial) -> ParameterDeclaration {
    ParameterDeclaration { name, shape: shape.to_vec(), initial }
}

/// Standard deviation of a language model's weights, as in Hugging Face's `initializer_range`.
const DEVIATION: f32 = 0.02;

/// That of weights whose outputs are added to the residual stream, so that its variance does not grow with the depth: Radford et
/// al., "Language models are unsupervised multitask learners" (2019).
fn residual_deviation(blocks: usize) -> f32 {
    DEVIATION / (2.0 * blocks as f32).sqrt()
}

impl ModelSpec {
    /// The parameters of this model for such data, in the order a reader expects them.
    ///
    /// # Errors
    /// [`TrainingError::ModelAndData`] for data that it does not take, [`TrainingError::TooManyParameters`].
    pub(crate) fn declarations(&self, data: &DataFacts) -> Result<Vec<ParameterDeclaration>, TrainingError> {
        self.border(data)?;
        let declarations = match self {
            Self::Lenet => lenet::declarations(data.classes),
            Self::Mlp { hidden } => mlp::declarations(data.pixels(), hidden, data.classes),
            Self::Llama(spec) => llama::declarations(spec),
            Self::Gpt2(spec) => gpt2::declarations(spec),
            Self::Sequential(spec) => sequential::declarations(spec, data)?,
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

    /// Pixels of black border that images need on each side.
    ///
    /// # Errors
    /// [`TrainingError::ModelAndData`] for data that it does not take, [`TrainingError::Vocabulary`], [`TrainingError::Context`].
    pub(crate) fn border(&self, data: &DataFacts) -> Result<usize, TrainingError> {
        let (border, takes) = match self {
            _ if self.language().is_some() != data.tokens => (None, self.takes()),
            Self::Lenet => (lenet::border(data.image_shape), lenet::TAKES),
            _ => ((data.pixels() > 0).then_some(0), self.takes()),
        };
        let unfit = || TrainingError::ModelAndData { model: self.name(), takes, data: data.describe() };
        let border = border.ok_or_else(unfit)?;
        if let Some((vocabulary, positions)) = self.language() {
            if data.classes > vocabulary {
                return Err(TrainingError::Vocabulary { tokens: data.classes, rows: vocabulary });
            }
            if data.pixels() > positions {
                return Err(TrainingError::Context { context: data.pixels(), positions });
            }
        }
        Ok(border)
    }

    fn takes(&self) -> &'static str {
        match self {
            Self::Lenet => lenet::TAKES,
            Self::Mlp { .. } | Self::Sequential(_) => "images of at least one pixel",
            Self::Llama(_) | Self::Gpt2(_) => "text",
        }
    }

    /// About how many numbers the forward and backward pass of one sample hold.
    pub(crate) fn activation_elements(&self, data: &DataFacts) -> u64 {
        match self {
            Self::Lenet => lenet::activation_elements(),
            Self::Mlp { hidden } => mlp::activation_elements(data.pixels(), hidden, data.classes),
            Self::Llama(spec) => llama::activation_elements(spec, data.pixels()),
            Self::Gpt2(spec) => gpt2::activation_elements(spec, data.pixels()),
            Self::Sequential(spec) => sequential::activation_elements(spec, data),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(image_shape: [usize; 3], classes: usize) -> DataFacts {
        DataFacts { image_shape, classes, black: 0.0, bytes: 0, tokens: false }
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

    fn text(context: usize, vocabulary: usize) -> DataFacts {
        DataFacts { tokens: true, ..data([1, 1, context], vocabulary) }
    }

    fn language_models() -> [ModelSpec; 2] {
        ["kind = \"llama\"\nmax_position_embeddings = 64", "kind = \"gpt2\"\nn_positions = 64"].map(|keys| {
            let job =
                format!("name = \"a\"\nsteps = 1\ndata = \"digits\"\n[model]\n{keys}\nvocab_size = 300\n");
            crate::spec::JobSpec::parse(&job).unwrap().model
        })
    }

    #[test]
    fn language_models_take_text_of_their_vocabulary_and_context_and_others_do_not() {
        for model in language_models() {
            assert!(model.declarations(&text(64, 300)).is_ok());
            let error = model.declarations(&data([1, 8, 8], 10)).unwrap_err().to_string();
            assert!(error.contains("takes text, the data set has images of 1×8×8"), "{error}");
            let error = model.declarations(&text(64, 301)).unwrap_err().to_string();
            assert!(error.contains("301") && error.contains("300"), "{error}");
            let error = model.declarations(&text(65, 300)).unwrap_err().to_string();
            assert!(error.contains("65") && error.contains("64"), "{error}");
        }
        let error = ModelSpec::Lenet.declarations(&text(64, 300)).unwrap_err().to_string();
        assert!(error.contains("the data set has text"), "{error}");
    }
}
