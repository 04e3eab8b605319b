//! The held-out samples, whole and in slices.

use traind_training::{Session, TrainingError};

use crate::{job, job_with, train};

#[test]
fn slices_add_up_to_the_whole() -> Result<(), TrainingError> {
    let spec = job_with(30, "[batch]\nmicro_batch_size = 4\n");
    let mut session = Session::start(&spec, "cpu")?;
    train(&mut session, &spec, 30);
    let whole = session.evaluate()?;
    assert_eq!((whole.total, session.evaluate_slice(0, 1)?), (359, whole));
    assert!(whole.correct > 100 && whole.correct < whole.total, "{whole:?}");
    for slices in [2u32, 3, 7, 100, 359, 1000] {
        let (mut correct, mut total, mut loss_sum) = (0, 0, 0.0);
        for slice in 0..slices {
            let part = session.evaluate_slice(slice, slices)?;
            let size =
                359 * (u64::from(slice) + 1) / u64::from(slices) - 359 * u64::from(slice) / u64::from(slices);
            assert_eq!(part.total, size, "slice {slice} of {slices}");
            correct += part.correct;
            total += part.total;
            loss_sum += part.loss_sum;
        }
        assert_eq!((correct, total), (whole.correct, whole.total), "{slices} slices");
        // The samples' losses are equal bit by bit; their f64 sum is grouped otherwise.
        assert!((loss_sum - whole.loss_sum).abs() < 1e-12 * whole.loss_sum, "{slices}: {loss_sum}");
    }
    Ok(())
}

#[test]
fn slices_that_do_not_exist_are_refused() -> Result<(), TrainingError> {
    let mut session = Session::start(&job(1), "cpu")?;
    for (slice, slices) in [(0, 0), (1, 1), (7, 3)] {
        let error = session.evaluate_slice(slice, slices).unwrap_err();
        assert_eq!(error.to_string(), format!("no slice {slice} of {slices}"));
    }
    Ok(())
}
