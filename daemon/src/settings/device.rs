//! What the words of `device` mean in this build and on this machine.

use thiserror::Error;
use traind_training::TrainingError;

/// A device that this build cannot use, or that this machine does not have.
#[derive(Debug, Error)]
pub enum DeviceUnavailable {
    /// Only a build with CUDA knows it.
    #[error(
        "`device` cannot be \"{word}\": this traind was built without CUDA; build it with \
         `cargo build --release --features cuda`, or set `device` to \"auto\" or \"cpu\""
    )]
    Build {
        /// As it was set.
        word: String,
    },
    /// There are GPUs, but this one is not there or does not open.
    #[error(
        "`device` cannot be \"{word}\": that GPU does not open and this machine has {found}; `nvidia-smi` lists them; set \
         `device` to one that is free, or to \"auto\" or \"cpu\""
    )]
    Gpu {
        /// As it was set.
        word: String,
        /// How many GPUs the driver sees.
        found: u32,
        /// What the driver said.
        #[source]
        source: TrainingError,
    },
}

/// The device to compute on, and what the operator should know of the choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvedDevice {
    /// `cpu` or `cuda:N`.
    pub device: String,
    /// Why it is not the one that was wished for, with the remedy.
    pub warning: Option<String>,
}

/// What this build and this machine have: the training crate's word, or a test's.
struct Machine<'a> {
    /// Whether this build knows GPUs.
    cuda: bool,
    /// How many GPUs the driver sees.
    count: &'a dyn Fn() -> Result<u32, TrainingError>,
    /// Whether a device opens.
    check: &'a dyn Fn(&str) -> Result<(), TrainingError>,
}

/// Highest number of a GPU in one machine that is taken: far above any machine.
const GPU_NUMBER_MAX: u32 = 255;

/// Whether `word` is one of `auto`, `cpu`, `cuda`, `cuda:N`.
pub(super) fn is_device(word: &str) -> bool {
    match word.strip_prefix("cuda:") {
        Some(number) => {
            number.parse().is_ok_and(|parsed: u32| parsed <= GPU_NUMBER_MAX && parsed.to_string() == number)
        }
        None => matches!(word, "auto" | "cpu" | "cuda"),
    }
}

/// The device that a checked word stands for. `auto` is the first GPU where there is one. Without a driver or without any
/// GPU a build with CUDA computes on the processor, with a warning whatever the word.
///
/// # Errors
/// When only a build with CUDA has it, or when the machine has GPUs but not this one.
pub fn resolve_device(word: &str) -> Result<ResolvedDevice, DeviceUnavailable> {
    resolve(
        word,
        &Machine {
            cuda: cfg!(feature = "cuda"),
            count: &traind_training::device_count,
            check: &traind_training::check_device,
        },
    )
}

fn resolve(word: &str, machine: &Machine<'_>) -> Result<ResolvedDevice, DeviceUnavailable> {
    let processor = |warning| ResolvedDevice { device: "cpu".into(), warning };
    let wished = match word {
        "cpu" => return Ok(processor(None)),
        "auto" if !machine.cuda => return Ok(processor(None)),
        other if !machine.cuda => return Err(DeviceUnavailable::Build { word: other.into() }),
        "auto" | "cuda" => "cuda:0",
        other => other,
    };
    let cause = match (machine.count)() {
        Ok(0) => "the driver sees no GPU".to_owned(),
        Err(error) => chain(&error),
        Ok(found) => match (machine.check)(wished) {
            Ok(()) => return Ok(ResolvedDevice { device: wished.into(), warning: None }),
            Err(error) if word == "auto" => chain(&error),
            Err(source) => return Err(DeviceUnavailable::Gpu { word: word.into(), found, source }),
        },
    };
    Ok(processor(Some(format!(
        "`device` is \"{word}\" but no GPU can be used, training on the CPU: {cause}; see that `nvidia-smi` lists a GPU and \
         restart traind, or set `device` to \"cpu\""
    ))))
}

/// An error and its causes on one line.
fn chain(error: &TrainingError) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let words: Vec<String> = causes.map(ToString::to_string).collect();
    words.join(": ").replace('\n', " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn closed(device: &str) -> TrainingError {
        TrainingError::OpenDevice { device: device.into(), source: "out of memory".into() }
    }

    /// A build with CUDA on a machine with `count` GPUs of which the first `open` open; without a driver for `None`.
    fn with_cuda(word: &str, count: Option<u32>, open: u32) -> Result<ResolvedDevice, DeviceUnavailable> {
        let number = |device: &str| device.strip_prefix("cuda:").unwrap().parse::<u32>().unwrap();
        resolve(
            word,
            &Machine {
                cuda: true,
                count: &|| count.ok_or_else(|| closed("cuda")),
                check: &|device| if number(device) < open { Ok(()) } else { Err(closed(device)) },
            },
        )
    }

    fn resolved(device: &str) -> ResolvedDevice {
        ResolvedDevice { device: device.into(), warning: None }
    }

    #[test]
    fn words_are_few_and_numbers_are_plain() {
        for good in ["auto", "cpu", "cuda", "cuda:0", "cuda:15", "cuda:255"] {
            assert!(is_device(good), "{good}");
        }
        for bad in
            ["", "gpu", "CPU", "cuda:", "cuda:-1", "cuda:+1", "cuda:01", "cuda:256", "cuda:0:1", "cuda 0"]
        {
            assert!(!is_device(bad), "{bad}");
        }
    }

    #[test]
    fn without_cuda_auto_is_the_processor_without_a_word_and_cuda_says_how_to_get_it() {
        let unused =
            Machine { cuda: false, count: &|| Err(closed("x")), check: &|device| Err(closed(device)) };
        for word in ["auto", "cpu"] {
            assert_eq!(resolve(word, &unused).unwrap(), resolved("cpu"));
        }
        for word in ["cuda", "cuda:1"] {
            let refused = resolve(word, &unused).unwrap_err().to_string();
            assert!(refused.contains(&format!("\"{word}\"")), "{refused}");
            assert!(refused.contains("--features cuda"), "{refused}");
        }
    }

    #[test]
    fn with_cuda_a_gpu_that_opens_is_taken_without_a_word() {
        for (word, device) in [("auto", "cuda:0"), ("cuda", "cuda:0"), ("cuda:1", "cuda:1"), ("cpu", "cpu")] {
            assert_eq!(with_cuda(word, Some(2), 2).unwrap(), resolved(device));
        }
    }

    #[test]
    fn without_driver_or_gpu_the_processor_trains_with_one_warning_that_names_the_cause() {
        for word in ["auto", "cuda", "cuda:1"] {
            for (count, cause) in [(None, "out of memory"), (Some(0), "sees no GPU")] {
                let ResolvedDevice { device, warning } = with_cuda(word, count, 0).unwrap();
                let warning = warning.unwrap();
                assert_eq!((device.as_str(), warning.lines().count()), ("cpu", 1));
                assert!(warning.contains(word) && warning.contains(cause), "{warning}");
                assert!(warning.contains("nvidia-smi"), "{warning}");
            }
            assert_eq!(with_cuda("cpu", None, 0).unwrap(), resolved("cpu"));
        }
    }

    #[test]
    fn a_gpu_that_does_not_open_beside_others_is_refused_but_for_auto() {
        for (word, open) in [("cuda:2", 2), ("cuda:0", 0), ("cuda", 0)] {
            let refused = with_cuda(word, Some(2), open).unwrap_err();
            assert!(refused.to_string().contains(&format!("\"{word}\"")), "{refused}");
            assert!(std::error::Error::source(&refused).is_some());
        }
        let automatic = with_cuda("auto", Some(2), 0).unwrap();
        assert_eq!(automatic.device, "cpu");
        assert!(automatic.warning.unwrap().contains("cannot open the device cuda:0: out of memory"));
    }
}
