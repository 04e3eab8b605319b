//! What a model has to know of its data.

/// The shape of a data set, and its size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DataFacts {
    /// Channels, height and width of an image; of text `[1, 1, tokens of a sequence]`.
    pub image_shape: [usize; 3],
    /// How many classes there are; of text how many ids the tokenizer has.
    pub classes: usize,
    /// Whether samples are sequences of tokens.
    pub tokens: bool,
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

    /// What the data set has, for people.
    pub(crate) fn describe(&self) -> String {
        let [channels, height, width] = self.image_shape;
        if self.tokens {
            format!("text in sequences of {width} tokens")
        } else {
            format!("images of {channels}×{height}×{width}")
        }
    }
}
