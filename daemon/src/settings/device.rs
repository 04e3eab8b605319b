//! What the words of `device` mean in this build.

use thiserror::Error;

/// A device that this build cannot use.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "`device` cannot be \"{word}\": this traind was built without CUDA; build it with \
     `cargo build --release --features cuda`, or set `device` to \"auto\" or \"cpu\""
)]
pub struct DeviceUnavailable {
    word: String,
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

/// The device that a checked word stands for.
///
/// # Errors
/// When only a build with CUDA has it.
pub fn resolve_device(word: &str) -> Result<String, DeviceUnavailable> {
    match word {
        "auto" | "cpu" => Ok("cpu".into()),
        other => Err(DeviceUnavailable { word: other.into() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn auto_is_the_processor_without_a_word_and_cuda_says_how_to_get_it() {
        assert_eq!(resolve_device("auto").as_deref(), Ok("cpu"));
        assert_eq!(resolve_device("cpu").as_deref(), Ok("cpu"));
        let refused = resolve_device("cuda:1").unwrap_err().to_string();
        assert!(refused.contains("\"cuda:1\"") && refused.contains("--features cuda"), "{refused}");
    }
}
