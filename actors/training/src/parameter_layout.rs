//! Where each parameter lies in the flat vector.

use crate::{models::ParameterDeclaration, spec::DecaySpec};

/// One parameter's place in the flat vector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterPlace {
    /// Its name, as PyTorch would call it, e.g. `conv1.weight`.
    pub name: String,
    /// Its shape; row-major.
    pub shape: Vec<usize>,
    /// Index of its first element in the flat vector.
    pub offset: usize,
    /// How many elements it has: the product of its shape.
    pub elements: usize,
}

impl ParameterPlace {
    /// The elements of this parameter within the flat vector.
    #[must_use]
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.elements
    }
}

/// All parameters of a model in the byte order of their names: the order in which gradients and states are
/// flattened, the same on every node whatever order the model declares them in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterLayout {
    places: Vec<ParameterPlace>,
    elements: usize,
}

impl ParameterLayout {
    pub(crate) fn new(declarations: &[ParameterDeclaration]) -> Self {
        let mut sorted: Vec<&ParameterDeclaration> = declarations.iter().collect();
        sorted.sort_by_key(|declaration| declaration.name.as_str());
        let mut elements = 0;
        let places = sorted
            .into_iter()
            .map(|declaration| {
                let place = ParameterPlace {
                    name: declaration.name.clone(),
                    shape: declaration.shape.clone(),
                    offset: elements,
                    elements: declaration.shape.iter().product(),
                };
                elements += place.elements;
                place
            })
            .collect();
        Self { places, elements }
    }

    /// Length of the flat vector.
    #[must_use]
    pub fn elements(&self) -> usize {
        self.elements
    }

    /// The parameters in the order of the flat vector.
    #[must_use]
    pub fn places(&self) -> &[ParameterPlace] {
        &self.places
    }

    /// The number of the parameter of this name in [`Self::places`].
    pub(crate) fn index(&self, name: &str) -> Option<usize> {
        self.places.binary_search_by(|place| place.name.as_str().cmp(name)).ok()
    }

    /// Places that such a decay is not for, ascending.
    pub(crate) fn lasting_places(&self, decay: DecaySpec) -> Vec<std::ops::Range<usize>> {
        let lasts = |place: &&ParameterPlace| decay == DecaySpec::Matrices && place.shape.len() < 2;
        self.places.iter().filter(lasts).map(ParameterPlace::range).collect()
    }

    /// The parameter of this name.
    pub(crate) fn place(&self, name: &str) -> Option<&ParameterPlace> {
        self.index(name).map(|index| &self.places[index])
    }

    /// The parameter that holds element `index` of the flat vector; `None` beyond its end.
    #[must_use]
    pub fn parameter_at(&self, index: usize) -> Option<&ParameterPlace> {
        self.places.iter().find(|place| place.range().contains(&index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{data_facts::DataFacts, spec::ModelSpec};

    fn layout(model: &ModelSpec) -> ParameterLayout {
        let data = DataFacts { image_shape: [1, 32, 32], classes: 10, black: 0.0, bytes: 0, tokens: false };
        ParameterLayout::new(&model.declarations(&data).unwrap())
    }

    #[test]
    fn parameters_lie_in_the_byte_order_of_their_names_without_gaps() {
        for model in [ModelSpec::Lenet, ModelSpec::Mlp { hidden: vec![3; 12] }] {
            let layout = layout(&model);
            let mut end = 0;
            for pair in layout.places().windows(2) {
                assert!(pair[0].name.as_bytes() < pair[1].name.as_bytes());
            }
            for place in layout.places() {
                assert_eq!(place.offset, end);
                end = place.range().end;
                assert_eq!(layout.parameter_at(place.offset), Some(place));
                assert_eq!(layout.parameter_at(end - 1), Some(place));
            }
            assert_eq!(end, layout.elements());
            assert_eq!(layout.parameter_at(end), None);
        }
    }

    /// 6·25 + 6 + 16·150 + 16 + 120·400 + 120 + 84·120 + 84 + 10·84 + 10.
    #[test]
    fn lenet_has_61_706_parameters() {
        assert_eq!(layout(&ModelSpec::Lenet).elements(), 61_706);
    }

    /// 1024·256 + 256 + 256·10 + 10.
    #[test]
    fn a_perceptron_has_its_layers_parameters() {
        let layout = layout(&ModelSpec::Mlp { hidden: vec![256] });
        let names: Vec<&str> = layout.places().iter().map(|place| place.name.as_str()).collect();
        assert_eq!(names, ["fc1.bias", "fc1.weight", "fc2.bias", "fc2.weight"]);
        assert_eq!(layout.places()[1].shape, [256, 1024]);
        assert_eq!(layout.elements(), 1024 * 256 + 256 + 256 * 10 + 10);
    }
}
