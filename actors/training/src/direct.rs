//! Training without a data set, a schedule of samples or a swarm: whoever calls brings each batch. For programs that want the
//! engine alone, for benchmarks, and, in f64, for checks of its numbers.

use crate::{
    batch::{Batch, ImageBatch, TokenBatch},
    counter_rng::{CounterRng, Purpose},
    data_facts::DataFacts,
    layers::{IGNORED, KeyValueCache, Weights},
    network::{Gradients, Network},
    numbers::Real,
    optimiser::{Change, Moving, NotFinite, update},
    parameter_layout::ParameterLayout,
    session::initial_state,
    spec::JobSpec,
    training_error::TrainingError,
};

/// Samples and what the model should say of them, borrowed.
#[derive(Clone, Copy, Debug)]
pub enum DirectBatch<'a> {
    /// Images and a class each.
    Images {
        /// `[samples, channels, height, width]`, as the model takes them.
        pixels: &'a [f32],
        /// A class each.
        labels: &'a [u32],
    },
    /// Sequences of tokens, and the token that follows each.
    Tokens {
        /// Tokens of a sequence.
        context: usize,
        /// `[samples, context]`.
        tokens: &'a [u32],
        /// `[samples, context]`; `u32::MAX` where nothing is asked.
        targets: &'a [u32],
    },
}

/// A model, its optimiser and their state, in f32 or f64.
pub struct DirectTraining<T: Real> {
    spec: JobSpec,
    facts: DataFacts,
    layout: ParameterLayout,
    network: Network<T>,
    parameters: Vec<T>,
    moments: Vec<T>,
    moderate: bool,
    gradient: Vec<T>,
    step: u64,
}

impl<T: Real> DirectTraining<T> {
    /// The job's model at step 0, for such data. Of the job, `data` and `batch` are not used.
    ///
    /// # Errors
    /// A model that does not take such data, or is too large.
    pub fn new(spec: &JobSpec, facts: &DataFacts) -> Result<Self, TrainingError> {
        let declarations = spec.model.declarations(facts)?;
        let layout = ParameterLayout::new(&declarations);
        let state = initial_state(spec, &declarations, &layout);
        let wide = |values: &[f32]| values.iter().map(|value| T::of(f64::from(*value))).collect();
        Ok(Self {
            spec: spec.clone(),
            facts: *facts,
            network: Network::new(&spec.model, facts, &layout, spec.activation_checkpointing),
            parameters: wide(&state.vectors.parameters),
            moments: wide(&state.vectors.moments),
            moderate: false,
            gradient: vec![T::ZERO; layout.elements()],
            layout,
            step: 0,
        })
    }

    /// Names, shapes and places of the parameters.
    #[must_use]
    pub fn layout(&self) -> &ParameterLayout {
        &self.layout
    }

    /// The parameters, in the order of the layout.
    #[must_use]
    pub fn parameters(&self) -> &[T] {
        &self.parameters
    }

    /// The gradient of the last step's mean loss, in the order of the layout.
    #[must_use]
    pub fn gradient(&self) -> &[T] {
        &self.gradient
    }

    /// Begins with other parameters, in the order of the layout.
    ///
    /// # Errors
    /// [`TrainingError::Length`].
    pub fn set_parameters(&mut self, parameters: &[f32]) -> Result<(), TrainingError> {
        let (found, expected) = (parameters.len(), self.parameters.len());
        if found != expected {
            return Err(TrainingError::Length { what: "parameters", found, expected });
        }
        self.parameters.iter_mut().zip(parameters).for_each(|(to, from)| *to = T::of(f64::from(*from)));
        Ok(())
    }

    /// One update by the mean loss of a batch; that loss, before the update, in nats.
    ///
    /// # Errors
    /// [`TrainingError::Batch`]; [`TrainingError::NotFinite`], and then nothing has changed.
    pub fn step(&mut self, batch: DirectBatch<'_>) -> Result<f64, TrainingError> {
        let loss = self.backward(batch)?;
        self.apply()?;
        Ok(loss)
    }

    /// The mean loss of a batch, in nats, and its gradient in [`Self::gradient`].
    ///
    /// # Errors
    /// [`TrainingError::Batch`].
    pub fn backward(&mut self, batch: DirectBatch<'_>) -> Result<f64, TrainingError> {
        let batch = self.checked(batch)?;
        let samples = batch.samples() as f64;
        let gradients = Gradients {
            out: &mut self.gradient,
            scale: 1.0 / samples,
            randomness: CounterRng::new(self.spec.seed, Purpose::Dropout, self.step),
            finished: &mut |_| {},
        };
        let scores = self.network.gradient(Weights::Plain(&self.parameters), &batch, gradients);
        let sum: f64 = scores.iter().map(|score| score.loss).sum();
        Ok(sum / samples / batch.rows_per_sample() as f64)
    }

    /// One update by the gradient of the last [`Self::backward`].
    ///
    /// # Errors
    /// [`TrainingError::NotFinite`], and then nothing has changed.
    pub fn apply(&mut self) -> Result<(), TrainingError> {
        let change = Change {
            optimiser: &self.spec.optimiser,
            learning_rate: self.spec.learning_rate_at(self.step),
            step: self.step,
            average_decay: self.spec.ema.map(|ema| ema.decay),
            lasting_places: &self.layout.lasting_places(self.spec.weight_decay_of),
        };
        let Self { parameters, moments, moderate, .. } = self;
        let result = update(&change, Moving { parameters, moments, moderate }, &self.gradient);
        result.map_err(|not_finite| {
            let (what, index) = match not_finite {
                NotFinite::Gradient { index } => ("gradient", index),
                NotFinite::Update { index } => ("update", index),
            };
            let name = self.layout.parameter_at(index).map_or("no parameter", |place| place.name.as_str());
            let what = format!("{what} of {name}");
            TrainingError::NotFinite { what, step: self.step, microbatch: None, samples: Vec::new() }
        })?;
        self.step += 1;
        Ok(())
    }

    /// The logits of each row of a batch, one after another.
    ///
    /// # Errors
    /// [`TrainingError::Batch`].
    pub fn logits(&self, batch: DirectBatch<'_>) -> Result<Vec<T>, TrainingError> {
        let batch = self.checked(batch)?;
        Ok(self.network.logits(Weights::Plain(&self.parameters), &batch))
    }

    /// Begins a text: the decoder gives the logits of what follows it.
    pub fn decoder(&self) -> Decoder<'_, T> {
        Decoder { training: self, cache: KeyValueCache::new() }
    }

    /// The most bytes of activations and their gradients that existed at once in the steps so far.
    #[must_use]
    pub fn activation_peak_bytes(&self) -> usize {
        self.network.pool().peak_bytes()
    }

    fn checked(&self, batch: DirectBatch<'_>) -> Result<Batch, TrainingError> {
        let refuse = |reason: String| Err(TrainingError::Batch { reason });
        let (batch, classes) = match batch {
            DirectBatch::Images { pixels, labels } => {
                let border = 2 * self.spec.model.border(&self.facts)?;
                let [channels, height, width] = self.facts.image_shape;
                let wanted = labels.len() * channels * (height + border) * (width + border);
                if self.facts.tokens || pixels.len() != wanted || labels.is_empty() {
                    return refuse(format!("{} pixels for {} labels", pixels.len(), labels.len()));
                }
                let batch = ImageBatch { pixels: pixels.to_vec(), labels: labels.to_vec() };
                (Batch::Images(batch), self.facts.classes)
            }
            DirectBatch::Tokens { context, tokens, targets } => {
                let Some((vocabulary, positions)) = self.spec.model.language() else {
                    return refuse("tokens for a model of images".to_owned());
                };
                let is_whole = context > 0 && tokens.len().is_multiple_of(context) && !tokens.is_empty();
                if !is_whole || tokens.len() != targets.len() || context > positions {
                    let (tokens, targets) = (tokens.len(), targets.len());
                    return refuse(format!("{tokens} tokens in sequences of {context}, {targets} targets"));
                }
                if let Some(token) = tokens.iter().find(|token| **token as usize >= vocabulary) {
                    return refuse(format!("token {token} of a vocabulary of {vocabulary}"));
                }
                let (tokens, targets) = (tokens.to_vec(), targets.to_vec());
                (Batch::Tokens(TokenBatch { context, tokens, targets, starts: Vec::new() }), vocabulary)
            }
        };
        let is_bad = |target: &&u32| **target != IGNORED && **target as usize >= classes;
        match batch.targets().iter().find(is_bad) {
            Some(target) => refuse(format!("target {target} of {classes} classes")),
            None => Ok(batch),
        }
    }
}

/// A text that grows token by token, with the keys and values of those before.
pub struct Decoder<'a, T: Real> {
    training: &'a DirectTraining<T>,
    cache: KeyValueCache<T>,
}

impl<T: Real> Decoder<'_, T> {
    /// Adds tokens, at least one; the logits of the token after the last of them.
    ///
    /// # Errors
    /// [`TrainingError::Batch`] for a model without tokens, none, an unknown one, or more than the context holds.
    pub fn feed(&mut self, tokens: &[u32]) -> Result<Vec<T>, TrainingError> {
        let refuse = |reason: String| Err(TrainingError::Batch { reason });
        let Some((vocabulary, positions)) = self.training.spec.model.language() else {
            return refuse("tokens for a model of images".to_owned());
        };
        if tokens.is_empty() || self.cache.tokens() + tokens.len() > positions {
            let all = self.cache.tokens() + tokens.len();
            return refuse(format!(
                "{all} tokens, {} of them new, the model takes at most {positions}",
                tokens.len()
            ));
        }
        if let Some(token) = tokens.iter().find(|token| **token as usize >= vocabulary) {
            return refuse(format!("token {token} of a vocabulary of {vocabulary}"));
        }
        let Self { training, cache } = self;
        Ok(training.network.next_logits(Weights::Plain(&training.parameters), cache, tokens))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn training(model: &str, image_shape: [usize; 3], tokens: bool) -> DirectTraining<f64> {
        let head = "name = \"a\"\nsteps = 9\ndata = \"digits\"\n[model]\n";
        let spec = JobSpec::parse(&format!("{head}{model}")).unwrap();
        let facts = DataFacts { image_shape, classes: 7, tokens, black: 0.0, bytes: 0 };
        DirectTraining::new(&spec, &facts).unwrap()
    }

    #[test]
    fn batches_that_do_not_fit_are_refused_before_anything_is_computed() {
        let text = "kind = \"llama\"\nvocab_size = 7\nhidden_size = 8\nmax_position_embeddings = 4\n";
        let mut llama = training(text, [1, 1, 4], true);
        let tokens = |context, tokens, targets| DirectBatch::Tokens { context, tokens, targets };
        for (batch, expected) in [
            (tokens(4, &[0, 1, 2, 7], &[1, 2, 3, 4]), "token 7 of a vocabulary of 7"),
            (tokens(4, &[0, 1, 2, 6], &[1, 2, 3, 8]), "target 8 of 7 classes"),
            (tokens(4, &[0, 1, 2], &[1, 2, 3]), "3 tokens in sequences of 4, 3 targets"),
            (tokens(5, &[0; 5], &[0; 5]), "5 tokens in sequences of 5"),
            (tokens(0, &[], &[]), "0 tokens in sequences of 0"),
            (DirectBatch::Images { pixels: &[0.0; 4], labels: &[1] }, "4 pixels for 1 labels"),
        ] {
            let error = llama.step(batch).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
        let mut decoder = llama.decoder();
        assert!(decoder.feed(&[]).is_err() && decoder.feed(&[7]).is_err());
        assert_eq!(decoder.feed(&[1, 2, 3]).unwrap().len(), 7);
        let error = decoder.feed(&[1, 2]).unwrap_err().to_string();
        assert!(error.contains("5 tokens, 2 of them new, the model takes at most 4"), "{error}");
        let mut mlp = training("kind = \"mlp\"\n", [1, 2, 2], false);
        assert!(mlp.step(tokens(4, &[0; 4], &[0; 4])).is_err() && mlp.decoder().feed(&[1]).is_err());
        let loss = mlp.step(DirectBatch::Images { pixels: &[0.5; 8], labels: &[1, 6] }).unwrap();
        assert!(loss.is_finite());
    }
}
