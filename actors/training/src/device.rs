//! The devices that this build computes on.

use candle_core::Device;

use crate::training_error::TrainingError;

/// The devices that this build knows, for people.
pub(crate) const KNOWN: &str = if cfg!(feature = "cuda") { "\"cpu\" and \"cuda:N\"" } else { "\"cpu\"" };

/// Sees whether `device`, `cpu` or `cuda:N`, can be used now.
///
/// # Errors
/// [`TrainingError::UnknownDevice`], [`TrainingError::OpenDevice`].
pub fn check_device(device: &str) -> Result<(), TrainingError> {
    open(device).map(drop)
}

/// How many GPUs this build can see: none without the feature `cuda`.
///
/// # Errors
/// [`TrainingError::OpenDevice`] if the driver does not start.
pub fn device_count() -> Result<u32, TrainingError> {
    gpu::count()
}

pub(crate) fn open(device: &str) -> Result<Device, TrainingError> {
    match (device, gpu_number(device)) {
        ("cpu", _) => Ok(Device::Cpu),
        (_, Some(number)) if cfg!(feature = "cuda") => gpu::open(number),
        _ => Err(TrainingError::UnknownDevice { device: device.to_owned() }),
    }
}

/// What is the same in all devices that compute the same bits: a GPU's name and compute capability; `device` itself where
/// the driver does not say, or for the processor.
pub(crate) fn model(device: &str) -> String {
    gpu_number(device).and_then(gpu::model).unwrap_or_else(|| device.to_owned())
}

fn gpu_number(device: &str) -> Option<usize> {
    device.strip_prefix("cuda:")?.parse().ok()
}

#[cfg(feature = "cuda")]
mod gpu {
    use std::error::Error as StdError;

    use candle_core::{Device, cuda_backend::cudarc::driver::CudaContext};

    use crate::training_error::TrainingError;

    fn error(device: String, source: impl StdError + Send + Sync + 'static) -> TrainingError {
        TrainingError::OpenDevice { device, source: Box::new(source) }
    }

    pub(super) fn count() -> Result<u32, TrainingError> {
        let count = CudaContext::device_count().map_err(|source| error("cuda".to_owned(), source))?;
        Ok(u32::try_from(count).unwrap_or(0))
    }

    pub(super) fn open(number: usize) -> Result<Device, TrainingError> {
        Device::new_cuda(number).map_err(|source| error(format!("cuda:{number}"), source))
    }

    pub(super) fn model(number: usize) -> Option<String> {
        let context = CudaContext::new(number).ok()?;
        let (major, minor) = context.compute_capability().ok()?;
        Some(format!("{} (compute capability {major}.{minor})", context.name().ok()?))
    }
}

#[cfg(not(feature = "cuda"))]
mod gpu {
    use candle_core::Device;

    use crate::training_error::TrainingError;

    pub(super) fn count() -> Result<u32, TrainingError> {
        Ok(0)
    }

    pub(super) fn open(number: usize) -> Result<Device, TrainingError> {
        Err(TrainingError::UnknownDevice { device: format!("cuda:{number}") })
    }

    pub(super) fn model(_number: usize) -> Option<String> {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_always_there_and_unknown_words_are_refused() {
        assert!(check_device("cpu").is_ok());
        for unknown in ["", "gpu", "cuda", "cuda:", "cuda:x", "auto"] {
            let error = check_device(unknown).unwrap_err();
            assert!(
                matches!(&error, TrainingError::UnknownDevice { device } if device == unknown),
                "{unknown}"
            );
            assert!(error.to_string().contains("\"cpu\""), "{error}");
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_build_without_cuda_sees_no_gpu() {
        assert_eq!(device_count().unwrap(), 0);
        assert!(matches!(check_device("cuda:0"), Err(TrainingError::UnknownDevice { .. })));
        assert_eq!(model("cuda:0"), "cuda:0");
    }
}
