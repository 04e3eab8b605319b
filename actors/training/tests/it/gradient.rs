//! Gradients against the f64 reference.

use traind_training::Session;

use crate::{
    job, mean_gradient,
    reference::{DigitImages, loss_and_gradient},
    train,
};

/// Largest relative error of the mean gradient, in the Euclidean norm.
const RELATIVE_ERROR_MAX: f64 = 1e-6;

fn norm(values: impl Iterator<Item = f64>) -> f64 {
    values.map(|value| value * value).sum::<f64>().sqrt()
}

fn parameters_f64(session: &Session) -> Vec<f64> {
    session.parameters().iter().map(|value| f64::from(*value)).collect()
}

/// At the first state and after 30 steps, when gradients are small and largely cancel.
#[test]
fn the_mean_gradient_equals_the_f64_reference() {
    let spec = job(40);
    let images = DigitImages::load();
    let mut session = Session::start(&spec, "cpu").unwrap();
    for steps in [0, 30] {
        train(&mut session, &spec, steps);
        let (found, found_loss) = mean_gradient(&mut session, &spec);
        let parameters = parameters_f64(&session);
        let mut wanted = vec![0.0; parameters.len()];
        let (mut wanted_loss, mut samples) = (0.0, 0.0);
        for microbatch in 0..spec.batch.micro_batches {
            for sample in session.microbatch_samples(session.step(), microbatch) {
                let (image, label) = (images.image(sample), images.label(sample));
                let (loss, gradient) = loss_and_gradient(&parameters, session.layout(), &image, label);
                wanted.iter_mut().zip(gradient).for_each(|(sum, value)| *sum += value);
                wanted_loss += loss;
                samples += 1.0;
            }
        }
        wanted.iter_mut().for_each(|value| *value /= samples);
        wanted_loss /= samples;
        assert!((found_loss - wanted_loss).abs() < 1e-6 * wanted_loss, "{found_loss} {wanted_loss}");
        for place in session.layout().places() {
            let (found, wanted) = (&found[place.range()], &wanted[place.range()]);
            let difference = norm(found.iter().zip(wanted).map(|(found, wanted)| f64::from(*found) - wanted));
            let error = difference / norm(wanted.iter().copied());
            println!("step {}: {} relative error {error:.1e}", session.step(), place.name);
            assert!(error <= RELATIVE_ERROR_MAX, "{}: {error}", place.name);
        }
    }
}

/// The reference itself, in coordinates of every parameter.
#[test]
fn the_reference_equals_central_differences() {
    let images = DigitImages::load();
    let session = Session::start(&job(1), "cpu").unwrap();
    let parameters = parameters_f64(&session);
    let (image, label) = (images.image(7), images.label(7));
    let layout = session.layout();
    let (_, gradient) = loss_and_gradient(&parameters, layout, &image, label);
    let step = 1e-6;
    let mut compared = 0;
    for place in layout.places() {
        for index in place.range().step_by(place.elements.div_ceil(7)) {
            let at = |change: f64| {
                let mut moved = parameters.clone();
                moved[index] += change;
                loss_and_gradient(&moved, layout, &image, label).0
            };
            let wanted = (at(step) - at(-step)) / (2.0 * step);
            assert!((gradient[index] - wanted).abs() < 1e-8, "{} {index}", place.name);
            compared += usize::from(gradient[index] != 0.0);
        }
    }
    assert!(compared > 30, "only {compared} of the compared elements are not zero");
}
