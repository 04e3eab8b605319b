//! Equal jobs have equal bits, whatever else the process did.

use traind_training::{Session, TrainingError, state_bytes};

use crate::{job, job_with, train};

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

#[test]
fn two_sessions_give_the_same_gradients_in_any_order() -> Result<(), TrainingError> {
    let spec = job(10);
    let (mut first, mut second) = (Session::start(&spec, "cpu")?, Session::start(&spec, "cpu")?);
    train(&mut first, &spec, 2);
    train(&mut second, &spec, 2);
    let mut forwards = vec![vec![0f32; first.layout().elements()]; 12];
    let mut backwards = forwards.clone();
    let outcomes: Vec<_> =
        (0..12).map(|number| first.gradient(number, &mut forwards[number as usize])).collect();
    for number in (0..12).rev() {
        let outcome = second.gradient(number, &mut backwards[number as usize])?;
        assert_eq!(Some(outcome), outcomes[number as usize].as_ref().ok().copied());
    }
    for (number, (forwards, backwards)) in forwards.iter().zip(&backwards).enumerate() {
        assert_eq!(bits(forwards), bits(backwards), "micro-batch {number}");
    }
    assert_ne!(bits(&forwards[0]), bits(&forwards[1]));
    Ok(())
}

#[test]
fn the_seed_decides_the_first_state_and_nothing_else_does() -> Result<(), TrainingError> {
    let first = Session::start(&job(10), "cpu")?;
    let same = Session::start(&job_with(99, "[batch]\nmicro_batches = 3\n"), "cpu")?;
    assert_eq!(bits(first.parameters()), bits(same.parameters()));
    let mut other = job(10);
    other.seed = 43;
    let other = Session::start(&other, "cpu")?;
    let differing = first.parameters().iter().zip(other.parameters()).filter(|(a, b)| a != b).count();
    assert!(differing > first.layout().elements() * 9 / 10, "{differing}");
    assert_eq!(first.state_bytes(), first.state().len() as u64);
    assert_eq!(state_bytes(&job(10), first.data_facts())?, first.state_bytes());
    Ok(())
}

/// PyTorch's default bound is 1/√fan_in for weights and biases alike.
#[test]
fn initial_parameters_fill_their_bounds() -> Result<(), TrainingError> {
    let session = Session::start(&job(1), "cpu")?;
    for (layer, fan_in) in [("conv1", 25.0), ("conv2", 150.0), ("fc1", 400.0), ("fc2", 120.0), ("fc3", 84.0)]
    {
        let bound = 1.0 / f32::sqrt(fan_in);
        for place in session.layout().places().iter().filter(|place| place.name.starts_with(layer)) {
            let values = &session.parameters()[place.range()];
            let largest = values.iter().fold(0f32, |largest, value| largest.max(value.abs()));
            assert!(largest <= bound && largest > 0.5 * bound, "{}: {largest} of {bound}", place.name);
        }
    }
    Ok(())
}
