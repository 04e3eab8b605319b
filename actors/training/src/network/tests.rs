//! Whole networks: against PyTorch's numbers, central differences, and themselves computed in another way.

use serde::Deserialize;

use super::{Gradients, Network};
use crate::{
    batch::{Batch, ImageBatch, TokenBatch},
    counter_rng::{CounterRng, Purpose},
    data_facts::DataFacts,
    layers::{IGNORED, KeyValueCache, RowScore, Weights, gradient_check::numbers},
    numbers::Real,
    parameter_layout::ParameterLayout,
    spec::{JobSpec, ModelSpec},
};

const CONTEXT: usize = 6;
const VOCABULARY: usize = 11;

const LLAMA: &str = "kind = \"llama\"\nvocab_size = 11\nhidden_size = 8\nintermediate_size = 12\n\
                     num_hidden_layers = 2\nnum_attention_heads = 4\nnum_key_value_heads = 2\n\
                     max_position_embeddings = 16\nrope_theta = 100\nhead_dim = 4\ndropout = 0.25\n";
const QWEN2: &str = "kind = \"llama\"\nvocab_size = 11\nhidden_size = 8\nintermediate_size = 12\n\
                     num_hidden_layers = 2\nnum_attention_heads = 2\nnum_key_value_heads = 1\n\
                     attention_bias = true\ntie_word_embeddings = true\nmax_position_embeddings = 16\n";
const GPT2: &str = "kind = \"gpt2\"\nvocab_size = 11\nn_positions = 8\nn_embd = 6\nn_layer = 2\nn_head = 2\n\
                    dropout = 0.25\n";
const SEQUENTIAL: &str = "kind = \"sequential\"\nlayers = [\n\
    { kind = \"conv2d\", outputs = 3, kernel = 3, padding = 1 }, \"gelu\", { kind = \"max_pool2d\" },\n\
    { kind = \"conv2d\", outputs = 2, kernel = 2, stride = 2 }, \"tanh\", \"layer_norm\",\n\
    { kind = \"dropout\", probability = 0.25 }, { kind = \"linear\", outputs = 7 }, \"silu\" ]\n";

fn model(keys: &str) -> ModelSpec {
    let job = format!("name = \"a\"\nsteps = 1\ndata = \"digits\"\n[model]\n{keys}");
    JobSpec::parse(&job).unwrap().model
}

fn facts(model: &ModelSpec) -> DataFacts {
    let tokens = model.language().is_some();
    let (image_shape, classes) = if tokens { ([1, 1, CONTEXT], VOCABULARY) } else { ([1, 8, 9], 5) };
    DataFacts { image_shape, classes, tokens, black: 0.0, bytes: 0 }
}

/// Two sequences, one of two documents, with two places at which nothing is asked; or three images.
fn batch(model: &ModelSpec) -> Batch {
    if model.language().is_none() {
        let pixels = numbers(3 * 72, 7).into_iter().map(|value| value as f32).collect();
        return Batch::Images(ImageBatch { pixels, labels: vec![4, 0, 2] });
    }
    Batch::Tokens(TokenBatch {
        context: CONTEXT,
        tokens: vec![1, 2, 3, 3, 10, 0, 5, 5, 5, 9, 8, 7],
        targets: vec![2, 3, IGNORED, 10, 0, 4, 5, 5, 9, 8, 7, IGNORED],
        starts: vec![0, 0, 0, 3, 3, 3, 0, 0, 0, 0, 0, 0],
    })
}

struct Case<T: Real> {
    network: Network<T>,
    layout: ParameterLayout,
    batch: Batch,
}

impl<T: Real> Case<T> {
    fn new(keys: &str, recomputes: bool) -> Self {
        let model = model(keys);
        let facts = facts(&model);
        let layout = ParameterLayout::new(&model.declarations(&facts).unwrap());
        let network = Network::new(&model, &facts, &layout, recomputes);
        Self { network, layout, batch: batch(&model) }
    }

    fn gradient(
        &self,
        parameters: &[T],
        finished: &mut (dyn FnMut(&[std::ops::Range<usize>]) + Send),
    ) -> (Vec<RowScore>, Vec<T>) {
        let mut out = vec![T::of(f64::NAN); parameters.len()];
        let randomness = CounterRng::new(3, Purpose::Dropout, 8);
        let gradients = Gradients { out: &mut out, randomness, finished, scale: 1.0 };
        let scores = self.network.gradient(Weights::Plain(parameters), &self.batch, gradients);
        (scores, out)
    }

    /// The mean loss over each sample's context, summed over the samples.
    fn loss(&self, scores: &[RowScore]) -> f64 {
        scores.iter().map(|score| score.loss).sum::<f64>() / self.batch.rows_per_sample() as f64
    }
}

#[test]
fn gradients_of_whole_networks_equal_central_differences_with_dropout() {
    for keys in [LLAMA, QWEN2, GPT2, SEQUENTIAL] {
        let case = Case::<f64>::new(keys, false);
        let parameters = numbers(case.layout.elements(), 1);
        let (_, gradient) = case.gradient(&parameters, &mut |_| {});
        for place in case.layout.places() {
            // The first, the last and some between.
            let step = (place.elements / 5).max(1);
            for element in place.range().step_by(step).chain([place.range().end - 1]) {
                let at = |change: f64| {
                    let mut moved = parameters.clone();
                    moved[element] += change;
                    case.loss(&case.gradient(&moved, &mut |_| {}).0)
                };
                let wanted = (at(1e-5) - at(-1e-5)) / 2e-5;
                let found = gradient[element];
                assert!((found - wanted).abs() < 1e-8, "{} {element}: {found} {wanted}", place.name);
            }
        }
    }
}

#[test]
fn recomputing_changes_no_bit_and_takes_less_memory() {
    for keys in [LLAMA, QWEN2, GPT2, SEQUENTIAL] {
        let (kept, recomputed) = (Case::<f32>::new(keys, false), Case::<f32>::new(keys, true));
        let parameters: Vec<f32> =
            numbers(kept.layout.elements(), 1).into_iter().map(|value| value as f32 * 0.3).collect();
        let (wanted, found) =
            (kept.gradient(&parameters, &mut |_| {}), recomputed.gradient(&parameters, &mut |_| {}));
        assert_eq!(wanted.0, found.0);
        assert!(wanted.1.iter().zip(&found.1).all(|(a, b)| a.to_bits() == b.to_bits()));
        let peaks = [&kept, &recomputed].map(|case| case.network.pool().peak_bytes());
        assert!(keys == SEQUENTIAL || peaks[1] < peaks[0], "{peaks:?}");
    }
}

#[test]
fn places_become_final_once_each_from_the_last_segment_to_the_first() {
    for keys in [LLAMA, QWEN2, GPT2, SEQUENTIAL] {
        let case = Case::<f64>::new(keys, false);
        let mut counts = vec![0; case.layout.elements()];
        let mut calls = Vec::new();
        case.gradient(&numbers(case.layout.elements(), 1), &mut |ranges| {
            ranges.iter().cloned().flatten().for_each(|element| counts[element] += 1);
            calls.push(ranges.to_vec());
        });
        assert!(counts.iter().all(|count| *count == 1));
        if keys == LLAMA {
            let name = |range: &std::ops::Range<usize>| &case.layout.parameter_at(range.start).unwrap().name;
            let firsts: Vec<&str> = calls.iter().map(|ranges| name(&ranges[0]).as_str()).collect();
            let wanted = ["lm_head.weight", "model.norm.weight", "model.layers.1.input_layernorm.weight"];
            assert_eq!(firsts[..3], wanted);
            assert_eq!(firsts[4], "model.embed_tokens.weight");
            // A block's parameters are one range.
            assert_eq!(calls[2].len(), 1);
        }
    }
}

#[test]
fn tokens_one_by_one_get_the_logits_that_they_get_together() {
    for keys in [LLAMA, QWEN2, GPT2] {
        let mut case = Case::<f64>::new(keys, false);
        let tokens = vec![1, 2, 3, 3, 10, 0];
        let targets = vec![IGNORED; 6];
        case.batch = Batch::Tokens(TokenBatch { context: 6, tokens, targets, starts: Vec::new() });
        let parameters = numbers(case.layout.elements(), 1);
        let weights = Weights::Plain(&parameters[..]);
        let together = case.network.logits(weights, &case.batch);
        let mut cache = KeyValueCache::new();
        for (tokens, last) in [(&[1, 2, 3][..], 2), (&[3], 3), (&[10, 0], 5)] {
            let found = case.network.next_logits(weights, &mut cache, tokens);
            let wanted = &together[last * VOCABULARY..][..VOCABULARY];
            assert!(found.iter().zip(wanted).all(|(a, b)| (a - b).abs() < 1e-12), "{keys} {last}");
        }
        assert_eq!(cache.tokens(), 6);
    }
}

#[derive(Deserialize)]
struct Reference {
    names: Vec<String>,
    labels: Vec<u32>,
    logits: Vec<f64>,
    loss_sum: f64,
    gradient: Vec<f64>,
}

/// The formula of `make_mlp_reference.py`.
fn formula(count: usize, factor: usize) -> Vec<f64> {
    (0..count).map(|index| ((index * factor) % 101) as f64 / 101.0 - 0.5).collect()
}

#[test]
fn a_perceptrons_logits_loss_and_gradients_equal_those_of_pytorch() {
    let reference: Reference =
        toml::from_str(include_str!("../../tests/fixtures/mlp_reference.toml")).unwrap();
    let model = ModelSpec::Mlp { hidden: vec![5, 4] };
    let facts = DataFacts { image_shape: [1, 2, 3], classes: 3, tokens: false, black: 0.0, bytes: 0 };
    let layout = ParameterLayout::new(&model.declarations(&facts).unwrap());
    assert!(layout.places().iter().map(|place| &place.name).eq(&reference.names));
    let parameters = formula(layout.elements(), 37);
    let pixels: Vec<f32> = formula(4 * 6, 29).into_iter().map(|value| value as f32).collect();
    let batch = Batch::Images(ImageBatch { pixels, labels: reference.labels.clone() });
    let case = Case { network: Network::<f64>::new(&model, &facts, &layout, false), layout, batch };
    let (scores, gradient) = case.gradient(&parameters, &mut |_| {});
    let logits = case.network.logits(Weights::Plain(&parameters), &case.batch);
    let pairs = logits.iter().zip(&reference.logits).chain(gradient.iter().zip(&reference.gradient));
    for (index, (found, wanted)) in pairs.enumerate() {
        // The pixels' rounding to f32.
        assert!((found - wanted).abs() < 1e-7, "{index}: {found} {wanted}");
    }
    assert_eq!((logits.len(), gradient.len()), (reference.logits.len(), reference.gradient.len()));
    assert!((case.loss(&scores) - reference.loss_sum).abs() < 1e-7);
}

const LENET_LAYERS: &str = "kind = \"sequential\"\nlayers = [\n\
    { kind = \"conv2d\", outputs = 6, kernel = 5 }, \"max_pool2d\", \"relu\",\n\
    { kind = \"conv2d\", outputs = 16, kernel = 5 }, \"max_pool2d\", \"relu\",\n\
    { kind = \"linear\", outputs = 120 }, \"relu\", { kind = \"linear\", outputs = 84 }, \"relu\" ]\n";

#[test]
fn lenet_as_a_list_of_layers_has_the_gradients_of_the_built_in_one_bit_by_bit() {
    let facts = DataFacts { image_shape: [1, 32, 32], classes: 10, tokens: false, black: 0.0, bytes: 0 };
    let pixels: Vec<f32> = numbers(4 * 1024, 5).into_iter().map(|value| value as f32).collect();
    let case = |model: &ModelSpec| {
        let layout = ParameterLayout::new(&model.declarations(&facts).unwrap());
        let network = Network::<f32>::new(model, &facts, &layout, false);
        let batch = Batch::Images(ImageBatch { pixels: pixels.clone(), labels: vec![9, 0, 3, 3] });
        Case { network, layout, batch }
    };
    let (built_in, listed) = (case(&ModelSpec::Lenet), case(&model(LENET_LAYERS)));
    let elements = built_in.layout.elements();
    assert_eq!(listed.layout.elements(), elements);
    let parameters: Vec<f32> = numbers(elements, 1).into_iter().map(|value| value as f32 * 0.2).collect();
    // The same layers, called by their numbers in the list.
    let names = [("conv1", "0"), ("conv2", "3"), ("fc1", "6"), ("fc2", "8"), ("fc3", "10")];
    let parts = names.iter().flat_map(|pair| ["weight", "bias"].map(|part| (pair, part)));
    let range = |case: &Case<f32>, name: &str, part: &str| {
        let name = format!("{name}.{part}");
        case.layout.places().iter().find(|place| place.name == name).unwrap().range()
    };
    let pairs: Vec<_> =
        parts.map(|((a, b), part)| (range(&built_in, a, part), range(&listed, b, part))).collect();
    let mut moved = vec![f32::NAN; elements];
    for (from, to) in &pairs {
        moved[to.clone()].copy_from_slice(&parameters[from.clone()]);
    }
    let wanted = built_in.gradient(&parameters, &mut |_| {});
    let found = listed.gradient(&moved, &mut |_| {});
    assert_eq!(wanted.0, found.0);
    for (from, to) in pairs {
        let bits = |values: &[f32]| values.iter().map(|value| value.to_bits()).collect::<Vec<u32>>();
        assert!(wanted.1[from.clone()].iter().any(|value| *value != 0.0), "nothing is compared");
        assert_eq!(bits(&wanted.1[from]), bits(&found.1[to]));
    }
}
