//! Softmax cross-entropy, summed over the samples. Computed in f64 with a software exponential and logarithm, so that no
//! system library's choice of them decides bits.

use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor, WithDType};

use super::{contiguous, for_element_type};

/// The sum over samples of `-ln softmax(logits)[target]`, a scalar. `logits` `[samples, classes]`, one target class per
/// sample.
pub(super) fn cross_entropy_sum(logits: &Tensor, targets: &[u32]) -> Result<Tensor> {
    check(logits.shape(), targets)?;
    logits.contiguous()?.apply_op1(CrossEntropySum { targets: targets.to_vec() })
}

/// The loss of each sample, in f64; not differentiable.
pub(crate) fn cross_entropy_losses(logits: &Tensor, targets: &[u32]) -> Result<Vec<f64>> {
    check(logits.shape(), targets)?;
    let rows = logits.to_dtype(DType::F64)?.to_vec2::<f64>()?;
    Ok(rows.iter().zip(targets).map(|(row, target)| Softmax::of(row).loss(row[*target as usize])).collect())
}

/// Fails unless there is one target per sample and each is a class.
pub(super) fn check(logits: &Shape, targets: &[u32]) -> Result<()> {
    let (samples, classes) = logits.dims2()?;
    if samples != targets.len() || targets.iter().any(|target| *target as usize >= classes) {
        candle_core::bail!("cross-entropy of {logits:?} with {} targets", targets.len());
    }
    Ok(())
}

/// The normaliser of one row of logits: its maximum and the sum of `exp(logit - maximum)`.
struct Softmax {
    maximum: f64,
    sum: f64,
}

impl Softmax {
    fn of(row: &[f64]) -> Self {
        let maximum = row.iter().fold(f64::NEG_INFINITY, |maximum, logit| maximum.max(*logit));
        Self { maximum, sum: row.iter().map(|logit| libm::exp(logit - maximum)).sum() }
    }

    fn loss(&self, target_logit: f64) -> f64 {
        libm::log(self.sum) - (target_logit - self.maximum)
    }

    fn probability(&self, logit: f64) -> f64 {
        libm::exp(logit - self.maximum) / self.sum
    }
}

struct CrossEntropySum {
    targets: Vec<u32>,
}

impl CustomOp1 for CrossEntropySum {
    fn name(&self) -> &'static str {
        "cross-entropy-sum"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let classes = layout.shape().dims2()?.1;
        for_element_type!(logits, T => {
            let mut sum = 0.0;
            for (row, target) in contiguous::<T>(logits, layout)?.chunks_exact(classes).zip(&self.targets) {
                let row: Vec<f64> = row.iter().map(|logit| logit.to_f64()).collect();
                sum += Softmax::of(&row).loss(row[*target as usize]);
            }
            Ok((T::to_cpu_storage_owned(vec![T::from_f64(sum)]), Shape::from(())))
        })
    }

    fn bwd(&self, logits: &Tensor, _sum: &Tensor, gradient: &Tensor) -> Result<Option<Tensor>> {
        let op = CrossEntropyGradient { targets: &self.targets };
        logits.apply_op1_no_bwd(&op)?.broadcast_mul(gradient).map(Some)
    }
}

struct CrossEntropyGradient<'a> {
    targets: &'a [u32],
}

impl CustomOp1 for CrossEntropyGradient<'_> {
    fn name(&self) -> &'static str {
        "cross-entropy-gradient"
    }

    fn cpu_fwd(&self, logits: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let classes = layout.shape().dims2()?.1;
        for_element_type!(logits, T => {
            let logits = contiguous::<T>(logits, layout)?;
            let mut output = Vec::with_capacity(logits.len());
            for (row, target) in logits.chunks_exact(classes).zip(self.targets) {
                let row: Vec<f64> = row.iter().map(|logit| logit.to_f64()).collect();
                let softmax = Softmax::of(&row);
                for (class, logit) in (0u32..).zip(&row) {
                    let wanted = if class == *target { 1.0 } else { 0.0 };
                    output.push(T::from_f64(softmax.probability(*logit) - wanted));
                }
            }
            Ok((T::to_cpu_storage_owned(output), layout.shape().clone()))
        })
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::layers::finite_differences::{assert_gradients, input};

    #[test]
    fn gradients_equal_central_differences() {
        assert_gradients(&[input(&[4, 5], 1)], |tensors| cross_entropy_sum(&tensors[0], &[0, 4, 2, 2]));
    }

    #[test]
    fn equal_logits_cost_the_logarithm_of_the_classes_and_large_ones_do_not_overflow() {
        let logits = Tensor::new(&[[3f32, 3.0, 3.0, 3.0], [1e30, 0.0, 0.0, 0.0]], &Device::Cpu).unwrap();
        let losses = cross_entropy_losses(&logits, &[1, 0]).unwrap();
        assert!((losses[0] - 4f64.ln()).abs() < 1e-15);
        assert_eq!(losses[1], 0.0);
        let sum = cross_entropy_sum(&logits, &[1, 0]).unwrap().to_scalar::<f32>().unwrap();
        assert!((f64::from(sum) - losses[0]).abs() < 1e-6);
    }

    #[test]
    fn logits_that_are_not_finite_give_a_loss_that_is_not() {
        for bad in [f32::NAN, f32::INFINITY] {
            let logits = Tensor::new(&[[bad, 1.0]], &Device::Cpu).unwrap();
            assert!(!cross_entropy_losses(&logits, &[1]).unwrap()[0].is_finite());
        }
    }

    #[test]
    fn targets_must_be_classes_and_as_many_as_samples() {
        assert!(cross_entropy_sum(&input(&[2, 3], 1), &[0, 3]).is_err());
        assert!(cross_entropy_sum(&input(&[2, 3], 1), &[0]).is_err());
    }
}
