//! The example job learns.

use traind_training::{JobSpec, Session};

use crate::{job, train};

#[test]
fn lenet_reads_at_least_96_of_100_held_out_digits() {
    let spec = job(200);
    let mut session = Session::start(&spec, "cpu").unwrap();
    let before = session.evaluate().unwrap();
    assert_eq!(before.total, 359);
    assert!(before.accuracy() < 0.3, "untrained: {before:?}");
    let loss = train(&mut session, &spec, spec.steps);
    let after = session.evaluate().unwrap();
    println!("loss {loss:.5}, held out {after:?}, accuracy {:.4}", after.accuracy());
    assert_eq!(session.step(), spec.steps);
    assert!(after.accuracy() >= 0.96, "{after:?}");
    assert!(after.loss_mean() < before.loss_mean() && loss < 0.1, "loss {loss}, {after:?}");
}

/// The shipped job for the perceptron, by AdamW with warm-up, cosine and clipping.
#[test]
fn the_perceptron_reads_at_least_96_of_100_held_out_digits() {
    let spec = JobSpec::parse(include_str!("../../../../configs/jobs/mlp-digits.toml")).unwrap();
    let mut session = Session::start(&spec, "cpu").unwrap();
    let loss = train(&mut session, &spec, spec.steps);
    let after = session.evaluate().unwrap();
    println!("loss {loss:.5}, held out {after:?}, accuracy {:.4}", after.accuracy());
    assert!(after.accuracy() >= 0.96 && loss < 0.02, "loss {loss}, {after:?}");
}

/// The shipped job for a network that is a list of layers.
#[test]
fn a_list_of_layers_reads_at_least_97_of_100_held_out_digits() {
    let spec = JobSpec::parse(include_str!("../../../../configs/jobs/sequential-digits.toml")).unwrap();
    let mut session = Session::start(&spec, "cpu").unwrap();
    let loss = train(&mut session, &spec, spec.steps);
    let after = session.evaluate().unwrap();
    println!("loss {loss:.5}, held out {after:?}, accuracy {:.4}", after.accuracy());
    assert!(after.accuracy() >= 0.97 && loss < 0.05, "loss {loss}, {after:?}");
}
