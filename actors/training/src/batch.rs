//! What a micro-batch gives to a model.

/// Samples and what the model should say of them.
#[derive(Clone, Debug)]
pub(crate) enum Batch {
    /// Images and a class each.
    Images(ImageBatch),
    /// Sequences of tokens and the token after each.
    Tokens(TokenBatch),
}

/// Images, normalised.
#[derive(Clone, Debug, Default)]
pub(crate) struct ImageBatch {
    /// `[samples, channels, height, width]`.
    pub(crate) pixels: Vec<f32>,
    /// The class of each.
    pub(crate) labels: Vec<u32>,
}

/// Sequences of one length.
#[derive(Clone, Debug, Default)]
pub(crate) struct TokenBatch {
    /// Tokens of a sequence.
    pub(crate) context: usize,
    /// `[samples, context]`.
    pub(crate) tokens: Vec<u32>,
    /// `[samples, context]`: what follows each token; [`IGNORED`](crate::layers::IGNORED) where nothing is asked.
    pub(crate) targets: Vec<u32>,
    /// `[samples, context]`: the place in its sequence at which each token's document begins. A token attends to none before,
    /// and positions count from there. Empty where each sequence is one document.
    pub(crate) starts: Vec<u32>,
}

impl Batch {
    /// What is asked, row by row.
    pub(crate) fn targets(&self) -> &[u32] {
        match self {
            Self::Images(images) => &images.labels,
            Self::Tokens(tokens) => &tokens.targets,
        }
    }

    /// What each row's loss is divided by: a sample of many tokens costs the mean over its context, ignored ones included, so
    /// that all samples of all micro-batches count alike.
    pub(crate) fn rows_per_sample(&self) -> usize {
        match self {
            Self::Images(_) => 1,
            Self::Tokens(tokens) => tokens.context,
        }
    }

    /// How many samples there are.
    pub(crate) fn samples(&self) -> usize {
        self.targets().len() / self.rows_per_sample().max(1)
    }
}
