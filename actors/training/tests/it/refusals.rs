//! What a session refuses, and that it stays as it was.

use traind_training::{JobSpec, ModelSpec, Session, TrainingError};

use crate::fixtures::csv;
use crate::{job, job_with, train};

const HEADER_BYTES: usize = 60;

/// A session whose first weights are so large that the forward pass overflows.
fn overflowing() -> Session {
    let mut session = Session::start(&job(4), "cpu").unwrap();
    let mut bytes = session.state();
    let elements = session.layout().elements();
    for value in bytes[HEADER_BYTES..HEADER_BYTES + 4 * elements].chunks_exact_mut(4) {
        value.copy_from_slice(&1e38f32.to_le_bytes());
    }
    session.restore(&bytes).unwrap();
    session
}

#[test]
fn a_loss_that_is_not_finite_names_step_micro_batch_and_samples() {
    let mut session = overflowing();
    let mut gradient = vec![0f32; session.layout().elements()];
    let error = session.gradient(2, &mut gradient).unwrap_err();
    let expected = session.microbatch_samples(0, 2);
    match &error {
        TrainingError::NotFinite { what, step: 0, microbatch: Some(2), samples } => {
            assert_eq!((what.as_str(), samples), ("loss", &expected));
        }
        other => panic!("{other}"),
    }
    let text = format!("the loss is not finite at step 0, micro-batch 2, samples {expected:?}");
    assert_eq!(error.to_string(), text);
    assert!(!session.evaluate().unwrap().loss_mean().is_finite());
}

#[test]
fn a_mean_gradient_or_an_update_that_is_not_finite_is_refused() {
    let spec = job(4);
    let mut session = Session::start(&spec, "cpu").unwrap();
    train(&mut session, &spec, 1);
    let before = session.state();
    let fc2 = session.layout().places().iter().find(|place| place.name == "fc2.weight").unwrap().offset;
    for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
        let mut gradient = vec![0f32; session.layout().elements()];
        gradient[fc2] = bad;
        let error = session.apply(&gradient).unwrap_err().to_string();
        assert_eq!(error, "the mean gradient of fc2.weight is not finite at step 1");
    }
    // Finite, but twice in a row the momentum overflows.
    let mut gradient = vec![0f32; session.layout().elements()];
    gradient[fc2] = f32::MAX;
    session.apply(&gradient).unwrap();
    let after = session.state();
    let error = session.apply(&gradient).unwrap_err().to_string();
    assert_eq!(error, "the update of fc2.weight is not finite at step 2");
    assert!(session.state() == after && after != before);
}

#[test]
fn unknown_devices_micro_batches_and_lengths_are_refused() {
    let error = Session::start(&job(1), "cuda:0").err().unwrap();
    assert_eq!(error.to_string(), "unknown device \"cuda:0\", this build knows \"cpu\"");
    let mut session = Session::start(&job(1), "cpu").unwrap();
    let elements = session.layout().elements();
    let error = session.gradient(12, &mut vec![0f32; elements]).unwrap_err();
    assert!(matches!(error, TrainingError::NoSuchMicrobatch { microbatch: 12, micro_batches: 12 }));
    for length in [0, elements - 1, elements + 1] {
        let error = session.gradient(0, &mut vec![0f32; length]).unwrap_err();
        assert!(matches!(error, TrainingError::Length { found, .. } if found == length));
        let error = session.apply(&vec![0f32; length]).unwrap_err();
        assert!(matches!(error, TrainingError::Length { found, .. } if found == length));
    }
    assert_eq!(session.step(), 0);
}

/// Sessions live on a thread of their own.
#[test]
fn a_session_can_move_to_another_thread() {
    let mut session = Session::start(&job(1), "cpu").unwrap();
    let there = std::thread::spawn(move || {
        let mut gradient = vec![0f32; session.layout().elements()];
        session.gradient(0, &mut gradient).unwrap()
    });
    assert_eq!(there.join().unwrap().samples, 8);
}

/// AdamW's squares of gradients overflow long before the gradients do.
#[test]
fn an_update_of_adamw_that_overflows_leaves_the_state_as_it_was() {
    let spec = job_with(4, "optimiser = \"adamw\"\n");
    let mut session = Session::start(&spec, "cpu").unwrap();
    train(&mut session, &spec, 2);
    let before = session.state();
    let fc2 = session.layout().places().iter().find(|place| place.name == "fc2.weight").unwrap().offset;
    let mut gradient = vec![0.5f32; session.layout().elements()];
    gradient[fc2] = 1e30;
    let error = session.apply(&gradient).unwrap_err().to_string();
    assert_eq!(error, "the update of fc2.weight is not finite at step 2");
    assert!(session.state() == before, "a refused update left traces");
    gradient[fc2] = 1.0;
    session.apply(&gradient).unwrap();
}

/// Inputs whose products overflow: the job would fail in its first step, so it does not start, and says where.
#[test]
fn a_first_gradient_that_is_not_finite_names_the_parameters() {
    let row = |class: u8| format!("3e38,-3e38,3e38,{class}\n");
    let text: String = [0, 1, 0, 1, 0].map(row).concat();
    let (_directory, _, data) = csv("x.csv", text.as_bytes(), "");
    let spec = JobSpec { data, model: ModelSpec::Mlp { hidden: vec![256] }, ..job(4) };
    let Err(error) = Session::start(&spec, "cpu") else { panic!("it started") };
    let expected = "the first gradients of 4 of the model's parameters are not finite: fc1.bias, fc1.weight, fc2.bias, fc2.weight";
    assert_eq!(error.to_string(), expected);
}
