//! D2: in every epoch of the data each sample is used exactly once.

use traind_training::{Session, TrainingError};

use crate::job_with;

#[test]
fn each_epoch_uses_each_training_sample_once_across_steps_and_micro_batches() -> Result<(), TrainingError> {
    for (micro_batches, size) in [(12u32, 8u32), (5, 7), (1, 1000), (3, 1)] {
        let more = format!("[batch]\nmicro_batches = {micro_batches}\nmicro_batch_size = {size}\n");
        let session = Session::start(&job_with(1000, &more), "cpu")?;
        let epoch = session.epoch_samples();
        let wanted: Vec<u32> = (0..1797).filter(|sample| sample % 5 != 4).collect();
        assert_eq!(wanted.len(), epoch);
        let mut used = Vec::new();
        let mut step = 0;
        while used.len() < 3 * epoch {
            for microbatch in 0..micro_batches {
                let samples = session.microbatch_samples(step, microbatch);
                assert_eq!(samples.len(), size as usize);
                used.extend(samples);
            }
            step += 1;
        }
        let mut orders = Vec::new();
        for epoch in used.chunks_exact(epoch) {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, wanted, "{micro_batches} micro-batches of {size}");
            orders.push(epoch.to_vec());
        }
        assert_ne!(orders[0], orders[1], "epochs are shuffled anew");
        assert_ne!(orders[0], wanted, "epochs are shuffled");
    }
    Ok(())
}
