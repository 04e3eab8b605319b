//! Averages, rounded parameters, recomputed activations and streamed gradients, through a whole session.

use traind_training::Session;

use crate::{job_with, mean_gradient, train};

const OPTIONS: &str = "precision = \"bfloat16\"\nweight_decay_of = \"matrices\"\noptimiser = \"lion\"\n\
                       schedule = { kind = \"wsd\", warmup_steps = 2, decay_steps = 3 }\n\
                       ema = { decay = 0.5 }\nbatch = { micro_batches = 2, micro_batch_size = 8 }\n";

#[test]
fn a_state_with_an_average_and_rounded_parameters_goes_on_elsewhere_by_the_same_bits() {
    let spec = job_with(8, OPTIONS);
    let mut session = Session::start(&spec, "cpu").unwrap();
    train(&mut session, &spec, 3);
    let state = session.state();
    assert_eq!(state.len() as u64, session.state_bytes());
    let mut other = Session::start(&spec, "cpu").unwrap();
    other.restore(&state).unwrap();
    for session in [&mut session, &mut other] {
        train(session, &spec, 3);
    }
    assert_eq!(session.state(), other.state());
    assert_eq!(session.evaluate().unwrap(), other.evaluate().unwrap());
    // Without rounding the gradients are others.
    let plain = job_with(8, &OPTIONS.replace("bfloat16", "float32"));
    let mut plain_session = Session::start(&plain, "cpu").unwrap();
    let (rounded, exact) = (
        mean_gradient(&mut Session::start(&spec, "cpu").unwrap(), &spec).0,
        mean_gradient(&mut plain_session, &plain).0,
    );
    assert_ne!(rounded, exact);
    assert!(plain_session.restore(&state).is_err(), "another precision is another job");
}

/// With a decay of one half the average after one update lies halfway, and what is tested is the average.
#[test]
fn the_average_is_what_is_tested() {
    let optimiser = "optimiser = { kind = \"sgd\", learning_rate = 0.5, momentum = 0 }\n";
    let averaged = job_with(8, &format!("{optimiser}ema = {{ decay = 0.5 }}\n"));
    let halved = job_with(8, &optimiser.replace("0.5", "0.25"));
    let mut sessions = [&averaged, &halved].map(|spec| Session::start(spec, "cpu").unwrap());
    let (gradient, _) = mean_gradient(&mut sessions[0], &averaged);
    let [averaged, halved] = sessions.each_mut().map(|session| {
        session.apply(&gradient).unwrap();
        session.evaluate().unwrap()
    });
    assert!((averaged.loss_sum / halved.loss_sum - 1.0).abs() < 1e-5, "{averaged:?} {halved:?}");
    assert_ne!(sessions[0].parameters(), sessions[1].parameters());
}

#[test]
fn recomputing_activations_is_no_part_of_the_job() {
    let (kept, recomputed) = (job_with(4, ""), job_with(4, "activation_checkpointing = true\n"));
    let mut sessions = [&kept, &recomputed].map(|spec| Session::start(spec, "cpu").unwrap());
    for session in &mut sessions {
        train(session, &kept, 2);
    }
    assert_eq!(sessions[0].state(), sessions[1].state());
}

#[test]
fn gradients_arrive_place_by_place_and_equal_those_that_arrive_together() {
    let spec = job_with(4, "");
    let mut session = Session::start(&spec, "cpu").unwrap();
    let elements = session.layout().elements();
    let (mut whole, mut streamed) = (vec![0f32; elements], vec![0f32; elements]);
    session.gradient(1, &mut whole).unwrap();
    let mut places = Vec::new();
    session.gradient_streamed(1, &mut streamed, |ranges| places.extend_from_slice(ranges)).unwrap();
    assert_eq!(whole, streamed);
    places.sort_by_key(|place| place.start);
    assert_eq!((places[0].start, places[places.len() - 1].end), (0, elements));
    assert!(places.windows(2).all(|pair| pair[0].end == pair[1].start), "{places:?}");
}
