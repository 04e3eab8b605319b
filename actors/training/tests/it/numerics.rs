//! Whole trainings against PyTorch's, from the same initial parameters: `make_numerics_reference.py` made the numbers.

use std::{collections::BTreeMap, path::Path};

use serde_json::Value;
use traind_training::{DataFacts, DirectBatch, DirectTraining, JobSpec, Real, import_parameters};

const STEPS: usize = 200;
const SAMPLES: usize = 4;
const CONTEXT: usize = 16;
const VOCABULARY: usize = 61;
/// Relative, in float64.
const ERROR_MAX_F64: f64 = 1e-6;
/// Relative, of the first steps in float32.
const ERROR_MAX_F32: f64 = 1e-4;
const STEPS_F32: usize = 20;
/// Relative to the largest logit.
const LOGIT_ERROR_MAX: f64 = 1e-5;
/// Of the differences that two ways to round a loss of order one to f32 can always have.
const ROUNDING: f64 = 1e-6;

struct Case {
    name: &'static str,
    model: &'static str,
    is_text: bool,
}

const CASES: [Case; 3] = [
    Case {
        name: "llama",
        model: "kind = \"llama\"\nvocab_size = 61\nhidden_size = 32\nintermediate_size = 48\n\
                num_hidden_layers = 2\nnum_attention_heads = 4\nnum_key_value_heads = 2\n\
                max_position_embeddings = 16\n[optimiser]\nkind = \"adamw\"\nlearning_rate = 3e-3\n",
        is_text: true,
    },
    Case {
        name: "gpt2",
        model: "kind = \"gpt2\"\nvocab_size = 61\nn_positions = 16\nn_embd = 32\nn_layer = 2\nn_head = 4\n\
                [optimiser]\nkind = \"adamw\"\nlearning_rate = 3e-3\n",
        is_text: true,
    },
    Case {
        name: "lenet",
        model: "kind = \"lenet\"\n[optimiser]\nlearning_rate = 0.02\nmomentum = 0.9\n",
        is_text: false,
    },
];

struct Made {
    pixels: Vec<f32>,
    tokens: Vec<u32>,
    targets: Vec<u32>,
}

impl Made {
    /// The formulas of `make_numerics_reference.py`.
    fn new(step: usize, is_text: bool) -> Self {
        let small = |value: usize| u32::try_from(value).unwrap();
        if !is_text {
            let pixel = |index: usize| {
                let value = (index * 37 + step * 101 + index / 1024 * 17) % 251;
                value as f32 / 128.0 - 1.0
            };
            let targets = (0..SAMPLES).map(|row| small((step * 3 + row * 7) % 10)).collect();
            return Self { pixels: (0..SAMPLES * 1024).map(pixel).collect(), tokens: Vec::new(), targets };
        }
        let token = |row: usize, place: usize| {
            small((step * 7 + row * 31 + place * place + place * (step % 5 + 1)) % VOCABULARY)
        };
        let rows = |shift: usize| {
            let row = |row| (0..CONTEXT).map(move |place| token(row, place + shift));
            (0..SAMPLES).flat_map(row).collect()
        };
        Self { pixels: Vec::new(), tokens: rows(0), targets: rows(1) }
    }

    fn batch(&self, is_text: bool) -> DirectBatch<'_> {
        if is_text {
            DirectBatch::Tokens { context: CONTEXT, tokens: &self.tokens, targets: &self.targets }
        } else {
            DirectBatch::Images { pixels: &self.pixels, labels: &self.targets }
        }
    }
}

/// The losses of all steps; the beginning of the first step's logits.
fn train<T: Real>(case: &Case) -> (Vec<f64>, Vec<f64>) {
    let head = "name = \"a\"\nsteps = 1000\ndata = \"digits\"\n[model]\n";
    let spec = JobSpec::parse(&format!("{head}{}", case.model)).unwrap();
    let (image_shape, classes) = if case.is_text { ([1, 1, CONTEXT], VOCABULARY) } else { ([1, 32, 32], 10) };
    let facts = DataFacts { image_shape, classes, tokens: case.is_text, black: 0.0, bytes: 0 };
    let mut training = DirectTraining::<T>::new(&spec, &facts).unwrap();
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let path = fixtures.join(format!("numerics_{}.safetensors", case.name));
    let parameters = import_parameters(training.layout(), &path).unwrap();
    training.set_parameters(&parameters).unwrap();
    let logits = training.logits(Made::new(0, case.is_text).batch(case.is_text)).unwrap();
    let losses =
        (0..STEPS).map(|step| training.step(Made::new(step, case.is_text).batch(case.is_text)).unwrap());
    (losses.collect(), logits.into_iter().map(Real::wide).collect())
}

fn reference() -> BTreeMap<String, BTreeMap<String, Vec<f64>>> {
    let value: Value = serde_json::from_str(include_str!("../fixtures/numerics_reference.json")).unwrap();
    serde_json::from_value(value).unwrap()
}

fn relative(found: f64, wanted: f64) -> f64 {
    (found / wanted - 1.0).abs()
}

#[test]
fn losses_in_float64_equal_those_of_pytorch() {
    let reference = reference();
    for case in &CASES {
        let wanted = &reference[case.name];
        let (losses, logits) = train::<f64>(case);
        let errors = losses.iter().zip(&wanted["float64"]).map(|(found, wanted)| relative(*found, *wanted));
        let worst = errors.fold(0.0, f64::max);
        println!("{} float64: worst relative error of {STEPS} losses {worst:e}", case.name);
        assert!(worst <= ERROR_MAX_F64, "{}: {worst:e}", case.name);
        assert_logits(case.name, &logits, &wanted["first_logits"]);
    }
}

#[test]
fn losses_in_float32_equal_those_of_pytorch_as_long_as_pytorchs_own_precisions_agree() {
    let reference = reference();
    for case in &CASES {
        let wanted = &reference[case.name];
        let (losses, logits) = train::<f32>(case);
        assert_logits(case.name, &logits, &wanted["first_logits"]);
        let (wide, narrow) = (&wanted["float64"], &wanted["float32"]);
        let (mut gap, mut worst) = (ROUNDING, 0f64);
        for (step, found) in losses.iter().enumerate() {
            gap = gap.max(relative(narrow[step], wide[step]));
            let error = relative(*found, wide[step]);
            worst = worst.max(error / gap);
            assert!(step >= STEPS_F32 || error <= ERROR_MAX_F32, "{} {step}: {error:e}", case.name);
            assert!(error <= 2.0 * gap, "{} {step}: {error:e}, PyTorch's own gap {gap:e}", case.name);
        }
        println!("{} float32: at most {worst:.2} of PyTorch's own gap {gap:e}", case.name);
    }
}

fn assert_logits(name: &str, found: &[f64], wanted: &[f64]) {
    let largest = wanted.iter().fold(0f64, |largest, value| largest.max(value.abs()));
    let count = wanted.len().min(found.len());
    let pairs = found[..count].iter().zip(&wanted[..count]);
    let worst = pairs.map(|(found, wanted)| (found - wanted).abs()).fold(0.0, f64::max) / largest;
    assert!(count >= 40 && worst <= LOGIT_ERROR_MAX, "{name}: {worst:e} of {count} logits");
}
