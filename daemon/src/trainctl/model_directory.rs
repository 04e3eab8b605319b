//! Looks at a directory that a language model is to start from, before anything is sent: what its files say must be what the
//! job says.

use std::path::Path;

use traind_training::{
    CONFIG_FILE, JobSpec, ModelSpec, TOKENIZER_FILE, model_from_directory, open_tokenizer, refuse_pickle,
};

use super::failure::Failure;
use crate::exit_code;

/// Keys of a model that its description in a directory does not decide.
const TRAINING_KEYS: [&str; 1] = ["dropout"];

/// Refuses a directory with pickles in place of safetensors; for a job with a language model one whose description, if it has
/// one, is of another model, or whose tokenizer is larger than the table of embeddings.
pub(super) fn check(directory: &Path, job: &JobSpec) -> Result<(), Failure> {
    let refused = |error: &dyn std::error::Error| {
        let cause = std::iter::successors(error.source(), |error| error.source());
        let words: Vec<String> =
            std::iter::once(error.to_string()).chain(cause.map(ToString::to_string)).collect();
        Failure::new(exit_code::USAGE, words.join(": "))
    };
    refuse_pickle(directory).map_err(|error| refused(&error))?;
    let Some((rows, _)) = job.model.language() else { return Ok(()) };
    if directory.join(CONFIG_FILE).exists() {
        let found = model_from_directory(directory).map_err(|error| refused(&error))?;
        if let Some((key, found, wanted)) = difference(&found, &job.model) {
            let path = directory.join(CONFIG_FILE);
            let message = format!("{}: {key} is {found}, the job's model.{key} is {wanted}", path.display());
            return Err(
                Failure::new(exit_code::USAGE, message).next("set the job's model to what the directory has")
            );
        }
    }
    if directory.join(TOKENIZER_FILE).exists() {
        let tokens = open_tokenizer(directory).map_err(|error| refused(&error))?.vocabulary() as usize;
        if tokens > rows {
            let path = directory.join(TOKENIZER_FILE);
            let message = format!(
                "{}: the tokenizer has {tokens} tokens, the model's table of embeddings {rows} rows",
                path.display()
            );
            return Err(Failure::new(exit_code::USAGE, message)
                .next("take the tokenizer that the model was trained with"));
        }
    }
    Ok(())
}

/// The first key that differs, with both values.
fn difference(found: &ModelSpec, wanted: &ModelSpec) -> Option<(String, String, String)> {
    let table = |model: &ModelSpec| toml::Table::try_from(model).unwrap_or_default();
    let (found, wanted) = (table(found), table(wanted));
    let word = |value: Option<&toml::Value>| value.map_or("absent".to_owned(), ToString::to_string);
    // The kind says more than the sizes, and the width more than what follows from it.
    let keys = ["kind", "hidden_size"].into_iter().chain(wanted.keys().map(String::as_str));
    let mut keys = keys.filter(|key| !TRAINING_KEYS.contains(key));
    let key = keys.find(|key| found.get(*key) != wanted.get(*key))?;
    Some((key.to_owned(), word(found.get(key)), word(wanted.get(key))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(model: &str) -> JobSpec {
        let text = format!("name = \"n\"\nsteps = 1\ndata = \"novel\"\n[model]\n{model}\n");
        JobSpec::parse(&text).unwrap()
    }

    const CONFIG: &str = r#"{"model_type": "llama", "vocab_size": 4096, "hidden_size": 64, "intermediate_size": 128,
        "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 128, "rms_norm_eps": 1e-5}"#;
    const MODEL: &str = "kind = \"llama\"\nvocab_size = 4096\nhidden_size = 64\nintermediate_size = 128\n\
                         num_hidden_layers = 2\nmax_position_embeddings = 128\ndropout = 0.1";

    #[test]
    fn a_directory_of_another_model_is_refused_by_the_first_key_and_both_values() {
        let directory = tempfile::tempdir().unwrap();
        let words = |job: &JobSpec| {
            check(directory.path(), job)
                .unwrap_err()
                .message
                .replace(&directory.path().display().to_string(), "DIR")
        };
        assert!(
            check(directory.path(), &job(MODEL)).is_ok(),
            "the tensors decide where nothing is described"
        );
        std::fs::write(directory.path().join(CONFIG_FILE), CONFIG).unwrap();
        assert!(check(directory.path(), &job(MODEL)).is_ok());
        assert_eq!(
            words(&job(&MODEL.replace("hidden_size = 64", "hidden_size = 32"))),
            "DIR/config.json: hidden_size is 64, the job's model.hidden_size is 32"
        );
        assert_eq!(
            words(&job("kind = \"gpt2\"\nvocab_size = 4096")),
            "DIR/config.json: kind is \"llama\", the job's model.kind is \"gpt2\""
        );
        std::fs::write(directory.path().join(CONFIG_FILE), CONFIG.replace("llama", "t5")).unwrap();
        assert_eq!(
            words(&job(MODEL)),
            "DIR/config.json describes no model that this program trains: model_type \"t5\" is not known (known: \
             llama, mistral, qwen2, gpt2)"
        );
    }

    #[test]
    fn a_tokenizer_larger_than_the_embedding_and_a_pickle_are_refused() {
        let directory = tempfile::tempdir().unwrap();
        let tokenizer = r#"{"version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
            "pre_tokenizer": null, "post_processor": null, "decoder": null,
            "model": {"type": "WordLevel", "vocab": {"a": 0, "b": 4096}, "unk_token": "a"}}"#;
        std::fs::write(directory.path().join(TOKENIZER_FILE), tokenizer).unwrap();
        let message = check(directory.path(), &job(MODEL)).unwrap_err().message;
        assert!(
            message.ends_with(
                "tokenizer.json: the tokenizer has 4097 tokens, the model's table of embeddings 4096 rows"
            ),
            "{message}"
        );
        std::fs::write(directory.path().join("pytorch_model.bin"), b"PK").unwrap();
        let message = check(directory.path(), &job(MODEL)).unwrap_err().message;
        assert!(message.contains("one of Python's pickles, which run code when they are read"), "{message}");
    }
}
