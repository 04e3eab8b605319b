//! The baseline that a language model has to beat: an interpolated bigram model of a job's tokens, its weights tuned on a
//! tenth of the training part: `cargo run --release -p traind-training --example bigram -- JOB.toml`.
//!
//! p(b | a) = l₂ · count(ab) / count(a) + l₁ · count(b) / tokens + (1 - l₂ - l₁) / vocabulary, after Jelinek and Mercer (1980).
//! The weights depend on how often a was seen, in classes by powers of two.

use std::collections::HashMap;

use anyhow::{Context, Result};
use traind_training::{DataSet, JobSpec};

/// Rounds of expectation–maximisation: the weights change by less than 10⁻⁴ in the last.
const ROUNDS: usize = 60;
/// Classes of how often a context was seen: by powers of two, and never.
const CLASSES: usize = 33;
/// Weights of the bigram, the unigram and the uniform model.
type Weights = [f64; 3];

struct Bigram {
    pairs: HashMap<(u32, u32), f64>,
    contexts: Vec<f64>,
    singles: Vec<f64>,
    tokens: f64,
    weights: [Weights; CLASSES],
}

impl Bigram {
    fn count(tokens: &[u32], vocabulary: usize) -> Self {
        let mut pairs = HashMap::new();
        let (mut contexts, mut singles) = (vec![0.0; vocabulary], vec![0.0; vocabulary]);
        for pair in tokens.windows(2) {
            *pairs.entry((pair[0], pair[1])).or_default() += 1.0;
            contexts[pair[0] as usize] += 1.0;
        }
        tokens.iter().for_each(|token| singles[*token as usize] += 1.0);
        Self { pairs, contexts, singles, tokens: tokens.len() as f64, weights: [[0.6, 0.3, 0.1]; CLASSES] }
    }

    fn class(&self, context: u32) -> usize {
        let seen = self.contexts[context as usize] as u32;
        (u32::BITS - seen.leading_zeros()) as usize
    }

    /// What each of the three models gives `next`.
    fn parts(&self, context: u32, next: u32) -> [f64; 3] {
        let seen = self.contexts[context as usize];
        let pair = self.pairs.get(&(context, next)).copied().unwrap_or(0.0);
        let bigram = if seen > 0.0 { pair / seen } else { 0.0 };
        [bigram, self.singles[next as usize] / self.tokens, 1.0 / self.singles.len() as f64]
    }

    /// Expectation–maximisation of the weights on tokens that were not counted.
    fn tune(&mut self, tokens: &[u32]) {
        for _ in 0..ROUNDS {
            let mut shares = [[1e-9; 3]; CLASSES];
            for pair in tokens.windows(2) {
                let class = self.class(pair[0]);
                let parts = self.parts(pair[0], pair[1]);
                let weighted: Weights = std::array::from_fn(|part| parts[part] * self.weights[class][part]);
                let sum: f64 = weighted.iter().sum();
                shares[class].iter_mut().zip(weighted).for_each(|(share, part)| *share += part / sum);
            }
            for (weights, shares) in self.weights.iter_mut().zip(shares) {
                let sum: f64 = shares.iter().sum();
                *weights = shares.map(|share| share / sum);
            }
        }
    }

    /// Mean cross-entropy of each token given the one before, in nats.
    fn loss(&self, pairs: impl Iterator<Item = (u32, u32)>) -> f64 {
        let (mut sum, mut count) = (0.0, 0.0);
        for (context, next) in pairs {
            let weights = self.weights[self.class(context)];
            let probability: f64 = self.parts(context, next).iter().zip(weights).map(|(p, w)| p * w).sum();
            sum -= probability.ln();
            count += 1.0;
        }
        sum / count
    }
}

fn main() -> Result<()> {
    let path = std::env::args().nth(1).context("usage: bigram JOB.toml")?;
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let data = DataSet::open(&JobSpec::parse(&text)?.data)?;
    let (training, held_out) = data.token_streams().context("the job's data are no text")?;
    let vocabulary = data.classes();
    // Tuned on the last tenth of the training part with the counts of the rest, then counted again with all of it.
    let (counted, tuned) = training.split_at(training.len() / 10 * 9);
    let mut model = Bigram::count(counted, vocabulary);
    model.tune(tuned);
    let weights = model.weights;
    let model = Bigram { weights, ..Bigram::count(training, vocabulary) };
    // The very targets that a job tests: whole sequences.
    let length = data.image_shape()[2];
    let tested = (held_out.len() - 1) / length * length;
    let loss = model.loss(held_out[..=tested].windows(2).map(|pair| (pair[0], pair[1])));
    println!(
        "{} tokens to train on, {} held out, of which {tested} are tested; vocabulary {vocabulary}",
        training.len(),
        held_out.len()
    );
    println!("interpolated bigram: held-out loss {loss:.4} nats a token, perplexity {:.1}", loss.exp());
    let bytes: usize = data.tokenizer().map_or(Ok(0), |own| own.decode(held_out).map(|text| text.len()))?;
    println!("{:.3} bytes a token", bytes as f64 / held_out.len() as f64);
    Ok(())
}
