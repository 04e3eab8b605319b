//! Whole models of a GPU, computed on the processor, against our own layers.

use candle_core::Device;

use super::ComposedModel;
use crate::{
    batch::{Batch, ImageBatch},
    counter_rng::{CounterRng, Purpose},
    data_facts::DataFacts,
    layers::Weights,
    network::{Gradients, Network},
    parameter_layout::ParameterLayout,
    spec::ModelSpec,
};

/// Largest error of a gradient, relative to the largest element of its parameter.
const ERROR_MAX: f64 = 1e-5;

fn numbers(count: usize, bound: f32, stream: u64) -> Vec<f32> {
    let mut values = vec![0f32; count];
    CounterRng::new(11, Purpose::Initialisation, stream).fill_uniform(bound, &mut values);
    values
}

#[test]
fn gradients_and_scores_of_whole_models_equal_those_of_our_own_layers() {
    let data = DataFacts { image_shape: [1, 32, 32], classes: 10, black: 0.0, bytes: 0, tokens: false };
    for model in [ModelSpec::Lenet, ModelSpec::Mlp { hidden: vec![40, 20] }] {
        let layout = ParameterLayout::new(&model.declarations(&data).unwrap());
        let parameters = numbers(layout.elements(), 0.1, 1);
        let batch =
            Batch::Images(ImageBatch { pixels: numbers(5 * 1024, 1.0, 2), labels: vec![0, 3, 9, 3, 1] });
        let composed =
            ComposedModel::new(&model, &layout, data.image_shape, Device::Cpu, &parameters).unwrap();
        let own = Network::<f32>::new(&model, &data, &layout, false);
        let (mut wanted, mut found) = (vec![f32::NAN; layout.elements()], vec![0f32; layout.elements()]);
        let gradients = Gradients {
            out: &mut wanted,
            randomness: CounterRng::new(0, Purpose::Dropout, 0),
            finished: &mut |_| {},
            scale: 1.0,
        };
        let weights = Weights::Plain(&parameters);
        let own_scores = own.gradient(weights, &batch, gradients);
        let scores = composed.gradient(&batch, &mut found).unwrap();
        assert_eq!(composed.scores(&batch).unwrap(), scores);
        assert_eq!(own.scores(weights, &batch), own_scores);
        for (own, composed) in own_scores.iter().zip(&scores) {
            assert!((own.loss / composed.loss - 1.0).abs() < ERROR_MAX);
            assert_eq!(own.is_correct, composed.is_correct);
        }
        for place in layout.places() {
            let pairs = || wanted[place.range()].iter().zip(&found[place.range()]);
            let error = pairs().map(|(wanted, found)| (wanted - found).abs()).fold(0.0, f32::max);
            let largest = pairs().fold(0f32, |largest, (wanted, _)| largest.max(wanted.abs()));
            let relative = f64::from(error) / f64::from(largest);
            assert!(relative < ERROR_MAX, "{}: {relative:e}", place.name);
        }
        let logits = own.logits(weights, &batch);
        let composed = composed.logits(&batch).unwrap();
        assert!(logits.iter().zip(&composed).all(|(own, other)| (own - other).abs() < 1e-5));
    }
}
