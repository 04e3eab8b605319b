//! Whole models with the layers of a GPU, computed on the processor, against our own layers.

use candle_core::Device;

use super::Session;
use crate::{layers::Layers, spec::JobSpec};

/// Largest error of a gradient, relative to the largest element of its parameter.
const ERROR_MAX: f64 = 1e-5;

fn start(model: &str, layers: Layers) -> Session {
    let job = format!("name = \"n\"\nseed = 5\nsteps = 4\nmodel = {model}\ndata = \"digits\"\n");
    Session::start_with(&JobSpec::parse(&job).unwrap(), Device::Cpu, layers).unwrap()
}

#[test]
fn gradients_and_evaluations_of_whole_models_equal_those_of_our_own_layers() {
    for model in ["\"lenet\"", "{ kind = \"mlp\", hidden = [40, 20] }"] {
        let mut own = start(model, Layers::PROCESSOR);
        let mut composed = start(model, Layers::COMPOSED);
        let elements = own.layout().elements();
        let (mut wanted, mut found) = (vec![0f32; elements], vec![0f32; elements]);
        for microbatch in 0..3 {
            let own_outcome = own.gradient(microbatch, &mut wanted).unwrap();
            let outcome = composed.gradient(microbatch, &mut found).unwrap();
            assert!((outcome.loss_sum / own_outcome.loss_sum - 1.0).abs() < ERROR_MAX, "{model}");
            for place in own.layout().places() {
                let pairs = wanted[place.range()].iter().zip(&found[place.range()]);
                let error = pairs.map(|(wanted, found)| (wanted - found).abs()).fold(0.0, f32::max);
                let largest =
                    wanted[place.range()].iter().fold(0f32, |largest, value| largest.max(value.abs()));
                let relative = f64::from(error) / f64::from(largest);
                assert!(relative < ERROR_MAX, "{model} {}: {relative:e}", place.name);
            }
        }
        let (own, composed) = (own.evaluate().unwrap(), composed.evaluate().unwrap());
        assert_eq!(composed.total, own.total);
        assert!((composed.loss_sum / own.loss_sum - 1.0).abs() < ERROR_MAX, "{model}");
    }
}

/// The update is the host's, so equal gradients give equal bits whatever computed them.
#[test]
fn equal_gradients_give_equal_states_whatever_the_layers() {
    let mut own = start("\"lenet\"", Layers::PROCESSOR);
    let mut composed = start("\"lenet\"", Layers::COMPOSED);
    let mut gradient = vec![0f32; own.layout().elements()];
    for _ in 0..3 {
        composed.gradient(0, &mut gradient).unwrap();
        own.apply(&gradient).unwrap();
        composed.apply(&gradient).unwrap();
    }
    assert_eq!(own.state(), composed.state());
}
