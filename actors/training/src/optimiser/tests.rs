//! Both optimisers with schedules and clipping, against PyTorch's numbers.

use serde::Deserialize;

use super::{Before, CHUNK_ELEMENTS, Change, Moving, NotFinite, update, update_from};
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

/// Written beside what was, an update has the same bits, and what was stays; with an average, lasting places and clipping, in
/// chunks, runs and blocks of every kind.
#[test]
fn an_update_beside_what_was_is_that_in_place() {
    let keys = "name = \"a\"\nsteps = 9\nmodel = \"lenet\"\ndata = \"digits\"\n";
    for optimiser in [
        "{ kind = \"adamw\", learning_rate = 0.1, clip_norm = 0.5 }",
        "{ kind = \"lion\", learning_rate = 0.1 }",
        "{ kind = \"sgd\", learning_rate = 0.1, momentum = 0.9 }",
    ] {
        let spec = JobSpec::parse(&format!("{keys}optimiser = {optimiser}\n")).unwrap();
        let elements = 40 * CHUNK_ELEMENTS + 1234;
        for average_decay in [None, Some(0.9)] {
            let kept = spec.optimiser.moments() + usize::from(average_decay.is_some());
            let mut values = vec![0.0f32; (kept + 2) * elements];
            CounterRng::new(3, Purpose::Initialisation, 1).fill_uniform(1.0, &mut values);
            let (gradient, values) = values.split_at(elements);
            let (parameters, moments) = values.split_at(elements);
            let moments: Vec<f32> = moments.iter().map(|value| value.abs()).collect();
            let change = Change {
                optimiser: &spec.optimiser,
                learning_rate: 0.1,
                step: 4,
                average_decay,
                lasting_places: &[3..5, 1000..1030, CHUNK_ELEMENTS - 1..CHUNK_ELEMENTS + 1],
            };
            for mut moderate in [false, true] {
                let (mut in_place, mut its) = (parameters.to_vec(), moments.clone());
                let moving = Moving { parameters: &mut in_place, moments: &mut its, moderate: &mut true };
                let norm = update(&change, moving, gradient).unwrap();
                let (mut beside, mut others) = (vec![f32::NAN; elements], vec![7.0; moments.len()]);
                let moving =
                    Moving { parameters: &mut beside, moments: &mut others, moderate: &mut moderate };
                let before = Before { parameters, moments: &moments };
                assert_eq!(update_from(&change, Some(before), moving, gradient), Ok(norm));
                assert!(moderate && beside == in_place && others == its, "{optimiser} {average_decay:?}");
                assert!(beside != parameters);
            }
            // It looks at what was before it writes.
            let (mut beside, mut others) = (vec![0.0; elements], vec![0.0; moments.len()]);
            let moving = Moving { parameters: &mut beside, moments: &mut others, moderate: &mut false };
            let mut bad = parameters.to_vec();
            bad[77] = f32::INFINITY;
            let before = Before { parameters: &bad, moments: &moments };
            let found = update_from(&change, Some(before), moving, gradient);
            assert_eq!(found, Err(NotFinite::Update { index: 77 }));
            assert!(beside.iter().chain(&others).all(|value| *value == 0.0));
        }
    }
}
