//! Both optimisers with schedules and clipping, against PyTorch's numbers.

use serde::Deserialize;

use super::{CHUNK_ELEMENTS, Change, Moving, update};
use crate::{
    counter_rng::{CounterRng, Purpose},
    spec::JobSpec,
};

/// Of f32 parameters around 1 after a dozen updates, against f64.
const ERROR_MAX: f64 = 2e-6;
/// Of numbers that are computed in f64 here, too; PyTorch multiplies its learning rates on from step to step.
const ERROR_MAX_F64: f64 = 1e-12;

#[derive(Deserialize)]
struct Reference {
    steps: u64,
    start: Vec<f32>,
    gradients: Vec<Vec<f32>>,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    name: String,
    optimiser: toml::Table,
    schedule: toml::Table,
    rates: Vec<f64>,
    norms: Vec<f64>,
    end: Vec<f64>,
}

impl Case {
    fn spec(&self, steps: u64) -> JobSpec {
        let keys = format!("name = \"a\"\nsteps = {steps}\nmodel = \"lenet\"\ndata = \"digits\"\n");
        let sections = toml::Table::from_iter([
            ("optimiser".to_owned(), self.optimiser.clone().into()),
            ("schedule".to_owned(), self.schedule.clone().into()),
        ]);
        JobSpec::parse(&format!("{keys}{sections}")).unwrap()
    }
}

#[test]
fn updates_equal_those_of_pytorch() {
    let reference: Reference =
        toml::from_str(include_str!("../../tests/fixtures/optimiser_reference.toml")).unwrap();
    assert_eq!(reference.cases.len(), 6);
    for case in &reference.cases {
        let spec = case.spec(reference.steps);
        let mut parameters = reference.start.clone();
        let mut moments = vec![0.0; spec.optimiser.moments() * parameters.len()];
        let mut moderate = false;
        for ((step, gradient), (rate, norm)) in
            (0..).zip(&reference.gradients).zip(case.rates.iter().zip(&case.norms))
        {
            let learning_rate = spec.learning_rate_at(step);
            assert!((learning_rate - rate).abs() < ERROR_MAX_F64, "{} {step}: {learning_rate}", case.name);
            let moving =
                Moving { parameters: &mut parameters, moments: &mut moments, moderate: &mut moderate };
            let found = update(&Change::of(&spec.optimiser, learning_rate, step), moving, gradient).unwrap();
            assert!((found - norm).abs() < ERROR_MAX_F64, "{} {step}: norm {found} {norm}", case.name);
        }
        for (found, wanted) in parameters.iter().zip(&case.end) {
            assert!((f64::from(*found) - wanted).abs() < ERROR_MAX, "{}: {found} {wanted}", case.name);
        }
    }
}

/// Vectors of several chunks are moved as each element alone is: by the same bits.
#[test]
fn cutting_into_chunks_changes_nothing() {
    let elements = 3 * CHUNK_ELEMENTS + 5;
    let numbers = |stream, count| {
        let mut values = vec![0f32; count];
        CounterRng::new(3, Purpose::Initialisation, stream).fill_uniform(1.0, &mut values);
        values
    };
    let gradient = numbers(1, elements);
    for optimiser in ["kind = \"sgd\"\nweight_decay = 0.1", "kind = \"adamw\""] {
        let keys = "name = \"a\"\nsteps = 9\nmodel = \"lenet\"\ndata = \"digits\"\n[optimiser]\n";
        let spec = JobSpec::parse(&format!("{keys}{optimiser}\n")).unwrap();
        let count = spec.optimiser.moments();
        // Means of squares are never negative.
        let moments: Vec<f32> = numbers(2, count * elements).into_iter().map(f32::abs).collect();
        let start = numbers(3, elements);
        for mut moderate in [false, true] {
            let (mut parameters, mut moved) = (start.clone(), moments.clone());
            let moving = Moving { parameters: &mut parameters, moments: &mut moved, moderate: &mut moderate };
            update(&Change::of(&spec.optimiser, 0.1, 4), moving, &gradient).unwrap();
            assert!(moderate);
            for index in (0..elements).step_by(997).chain([elements - 1]) {
                let mut one = [start[index]];
                let mut its: Vec<f32> = (0..count).map(|which| moments[which * elements + index]).collect();
                let moving = Moving { parameters: &mut one, moments: &mut its, moderate: &mut false };
                update(&Change::of(&spec.optimiser, 0.1, 4), moving, &gradient[index..=index]).unwrap();
                assert_eq!(one[0].to_bits(), parameters[index].to_bits(), "parameter {index}");
                for which in 0..count {
                    assert_eq!(its[which].to_bits(), moved[which * elements + index].to_bits(), "{index}");
                }
            }
        }
    }
}
