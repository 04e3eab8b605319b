//! The state at step 0.

use crate::{
    counter_rng::{CounterRng, Purpose},
    large_vector::zeros,
    models::{Initial, ParameterDeclaration},
    parameter_layout::ParameterLayout,
    shared_vectors::SharedVectors,
    spec::JobSpec,
    state::{State, fingerprint},
};

/// Each parameter from its own stream of random numbers, named by its name, so that it does not depend on the others; the
/// moments zero.
pub(crate) fn initial_state(
    spec: &JobSpec,
    declarations: &[ParameterDeclaration],
    layout: &ParameterLayout,
) -> State {
    let mut parameters = zeros(layout.elements());
    for declaration in declarations {
        let place = layout.places().iter().find(|place| place.name == declaration.name);
        let place = place.expect("the layout is made from the same declarations");
        let stream = stream_of(&declaration.name);
        let rng = CounterRng::new(spec.seed, Purpose::Initialisation, stream);
        let out = &mut parameters[place.range()];
        match declaration.initial {
            Initial::Uniform(bound) => rng.fill_uniform(bound, out),
            Initial::Normal(deviation) => rng.fill_normal(deviation, out),
            Initial::Constant(value) => out.fill(value),
        }
    }
    state_at_start(spec, parameters)
}

/// These parameters, before any update.
pub(crate) fn state_at_start(spec: &JobSpec, parameters: Vec<f32>) -> State {
    let mut moments = zeros(spec.kept_vectors() * parameters.len());
    if spec.ema.is_some() {
        let average = moments.len() - parameters.len();
        moments[average..].copy_from_slice(&parameters);
    }
    let vectors = SharedVectors::new(parameters, moments);
    State { fingerprint: fingerprint(spec), step: 0, vectors, moderate: false }
}

/// The first eight bytes of the name's BLAKE3.
fn stream_of(name: &str) -> u64 {
    let hash = blake3::hash(name.as_bytes());
    let first = hash.as_bytes().first_chunk().expect("a BLAKE3 hash has 32 bytes");
    u64::from_le_bytes(*first)
}
