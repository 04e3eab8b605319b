//! What an export has to know of the data that the model was trained on.

use crate::{
    data::{DataSet, DataSummary, Normalisation},
    data_facts::DataFacts,
    spec::ModelSpec,
};

/// The shape of the data, and how its values became the model's input.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ExportFacts {
    /// Channels, height and width of a sample.
    pub image_shape: [usize; 3],
    /// How many classes there are.
    pub classes: usize,
    /// What was done to every value; `None` if the data are not at hand.
    pub normalisation: Option<Normalisation>,
}

impl ExportFacts {
    /// As a model wants them.
    pub(super) fn data_facts(&self, model: &ModelSpec) -> DataFacts {
        // Neither the parameters' shapes nor the file depend on a black that is not known.
        let black = self.normalisation.map_or(0.0, |normalisation| normalisation.apply(0.0));
        DataFacts {
            image_shape: self.image_shape,
            classes: self.classes,
            black,
            bytes: 0,
            tokens: model.language().is_some(),
        }
    }
}

impl From<&DataSet> for ExportFacts {
    fn from(data: &DataSet) -> Self {
        let normalisation = Some(data.normalisation());
        Self { image_shape: data.image_shape(), classes: data.classes(), normalisation }
    }
}

/// What was agreed on when the job was submitted; it does not tell the normalisation.
impl From<&DataSummary> for ExportFacts {
    fn from(summary: &DataSummary) -> Self {
        Self { image_shape: summary.shape, classes: summary.classes, normalisation: None }
    }
}
