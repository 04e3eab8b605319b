//! What a model has to know of its data.

/// The shape of a data set, and its size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DataFacts {
    /// Channels, height and width of an image.
    pub image_shape: [usize; 3],
    /// How many classes there are.
    pub classes: usize,
    /// What a black pixel, a zero in the data set's file, is to the model.
    pub black: f32,
    /// Memory that the samples take, in bytes.
    pub bytes: u64,
}

impl DataFacts {
    /// Numbers of one image.
    pub(crate) fn pixels(&self) -> usize {
        self.image_shape.iter().product()
    }
}
