//! Models that are named by where the Hugging Face hub has them: `hf:OWNER/NAME` or `hf:OWNER/NAME@REVISION`.

use std::borrow::Cow;
use std::path::Path;

use super::failure::Failure;
use super::output::Output;

/// What stands before a repository's name, where a directory could stand too.
const PREFIX: &str = "hf:";

/// Whether it names a repository of the hub.
pub(super) fn is_named(model: &str) -> bool {
    model.starts_with(PREFIX)
}

/// The directory itself, or one with the files of the repository that is named.
///
/// # Errors
/// A name that is none, a repository without a model in safetensors, no connection, no room.
pub(super) async fn local<'a>(model: &'a Path, output: &Output) -> Result<Cow<'a, Path>, Failure> {
    match model.to_str().and_then(|text| text.strip_prefix(PREFIX)) {
        None => Ok(Cow::Borrowed(model)),
        Some(name) => fetch::directory(name.to_owned(), output).await.map(Cow::Owned),
    }
}

#[cfg(not(feature = "hub"))]
mod fetch {
    use std::path::PathBuf;

    use super::{Failure, Output};
    use crate::exit_code;

    pub(super) async fn directory(name: String, _output: &Output) -> Result<PathBuf, Failure> {
        Err(Failure::new(exit_code::USAGE, format!("this trainctl cannot fetch {name}"))
            .because("it was built without the feature `hub`")
            .next("fetch the repository by other means, and name its directory"))
    }
}

#[cfg(feature = "hub")]
mod fetch {
    use std::path::PathBuf;

    use hf_hub::api::sync::{ApiBuilder, ApiError};
    use hf_hub::{Repo, RepoType};
    use traind_training::{CONFIG_FILE, MODEL_FILE, TOKENIZER_FILE};

    use super::{Failure, Output, PREFIX};
    use crate::exit_code;

    /// The revision that is taken where none is named.
    const REVISION: &str = "main";
    /// What is fetched, where the repository has it.
    const FILES: [&str; 3] = [CONFIG_FILE, TOKENIZER_FILE, MODEL_FILE];
    /// Longest name of a repository or a revision, bytes: the hub's own bound is 96 for each half of a name.
    const NAME_BYTES_MAX: usize = 200;

    pub(super) async fn directory(name: String, output: &Output) -> Result<PathBuf, Failure> {
        let (repository, revision) = name.split_once('@').unwrap_or((&name, REVISION));
        if !is_repository(repository) || !is_word(revision) {
            return Err(Failure::new(
                exit_code::USAGE,
                format!(
                    "`{PREFIX}{name}` names no repository (allowed: {PREFIX}OWNER/NAME or {PREFIX}OWNER/NAME@REVISION)"
                ),
            ));
        }
        let (repository, revision) = (repository.to_owned(), revision.to_owned());
        output.message(&format!("fetching {repository} at {revision} from the hub"));
        let shows_progress = output.draws;
        tokio::task::spawn_blocking(move || fetch(&repository, &revision, shows_progress)).await.map_err(
            |error| Failure::new(exit_code::FAILED, format!("fetching from the hub broke off: {error}")),
        )?
    }

    /// The files come from one commit, even if the revision moves on meanwhile.
    fn fetch(repository: &str, revision: &str, shows_progress: bool) -> Result<PathBuf, Failure> {
        let failed = |what: &str, error: &ApiError| {
            Failure::new(exit_code::FAILED, format!("cannot fetch {what} of {repository} at {revision}"))
                .because(error.to_string())
                .next("check the name, the connection (HF_ENDPOINT is heeded) and, for what is not public, HF_HOME/token")
        };
        let api = ApiBuilder::from_env().with_progress(shows_progress).build();
        let api = api.map_err(|error| failed("the list", &error))?;
        let at = |revision: &str| {
            api.repo(Repo::with_revision(repository.to_owned(), RepoType::Model, revision.to_owned()))
        };
        let info = at(revision).info().map_err(|error| failed("the list", &error))?;
        let has = |file: &str| info.siblings.iter().any(|sibling| sibling.rfilename == file);
        if !has(MODEL_FILE) {
            let message = format!("{repository} at {revision} has no {MODEL_FILE}");
            return Err(Failure::new(exit_code::USAGE, message)
                .because("pickles run code when they are read, and weights in several files are not read yet")
                .next("convert the model with transformers (save_pretrained), and name its directory"));
        }
        if !is_word(&info.sha) {
            let message = format!("the hub names no commit for {repository} at {revision}");
            return Err(Failure::new(exit_code::FAILED, message));
        }
        let commit = at(&info.sha);
        let mut model = PathBuf::new();
        for file in FILES.into_iter().filter(|file| has(file)) {
            model = commit.get(file).map_err(|error| failed(file, &error))?;
        }
        let directory = model.parent().map(PathBuf::from);
        directory
            .ok_or_else(|| Failure::new(exit_code::FAILED, format!("{} has no directory", model.display())))
    }

    /// `OWNER/NAME`, or the name alone of the oldest repositories.
    fn is_repository(name: &str) -> bool {
        let mut halves = name.split('/');
        halves.by_ref().take(2).all(is_word) && halves.next().is_none()
    }

    /// Nothing that means something in a path or an address.
    fn is_word(text: &str) -> bool {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !text.is_empty()
            && text.len() <= NAME_BYTES_MAX
            && !text.starts_with('.')
            && text.bytes().all(allowed)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn names_that_would_leave_their_place_are_none() {
            for good in ["gpt2", "HuggingFaceTB/SmolLM2-135M", "a/b.c_d-e"] {
                assert!(is_repository(good), "{good}");
            }
            for bad in ["", "/", "a/", "/a", "a/b/c", "../a", "a/..", "a b", "a?x", "a#b", "a/b%2f"] {
                assert!(!is_repository(bad), "{bad}");
            }
        }
    }
}
