//! `trainctl generate`: a language model goes on with a text, on this processor.

use std::ops::ControlFlow;
use std::path::Path;

use serde::Serialize;
use tempfile::TempDir;
use tokio::sync::mpsc;
use traind_training::{LanguageModel, Sampling, TextEnd, TrainingError};

use super::super::args::GenerateArguments;
use super::super::failure::Failure;
use super::super::hub;
use super::super::output::Output;
use super::super::render;
use crate::control::Client;
use crate::exit_code;

/// Pieces of text that may wait for the terminal.
const PIECES_MAX: usize = 64;
/// Tokens that the demo's model writes.
const DEMO_TOKENS: u32 = 60;

/// What was written, for programs.
#[derive(Serialize)]
#[serde(tag = "kind")]
struct Generated<'a> {
    prompt: &'a str,
    text: String,
    end: &'static str,
}

/// `trainctl generate CHECKPOINT PROMPT`.
pub(in super::super) async fn generate(
    socket: &Path,
    arguments: &GenerateArguments,
    output: &Output,
) -> Result<u8, Failure> {
    let named = Path::new(&arguments.checkpoint);
    let GenerateArguments { prompt, tokens, temperature, top_k, top_p, seed, .. } = arguments;
    let sampling = Sampling { temperature: *temperature, top_k: *top_k as usize, top_p: *top_p, seed: *seed };
    // A name with a slash is never a job's.
    let is_directory =
        hub::is_named(&arguments.checkpoint) || named.is_dir() || named.components().count() > 1;
    let fetched = match is_directory {
        true => None,
        false => Some(fetch(&Client::new(socket), &arguments.checkpoint, arguments.step).await?),
    };
    let directory = hub::local(fetched.as_ref().map_or(named, TempDir::path), output).await?;
    let model = open(&directory).await?;
    output.detail(&format!("{} parameters", model.parameters()));
    let streams = !output.format.is_json();
    if streams {
        output.write(&render::printable(prompt))?;
    }
    let mut text = String::new();
    let (pieces, mut written) = mpsc::channel(PIECES_MAX);
    let (prompt_owned, tokens) = (prompt.clone(), *tokens as usize);
    let writing =
        tokio::task::spawn_blocking(move || write(&model, &prompt_owned, tokens, &sampling, &pieces));
    while let Some(piece) = written.recv().await {
        if streams {
            output.write(&render::printable(&piece))?;
        }
        text.push_str(&piece);
    }
    let end = writing.await.map_err(|panicked| Failure::new(exit_code::FAILED, panicked.to_string()))?;
    if streams {
        output.write("\n")?;
    }
    let end = end.map_err(|error| failure("cannot go on with the text", &error))?;
    if end == TextEnd::Context {
        output.message("the model's context is full");
    }
    let end = match end {
        TextEnd::EndOfText => "end_of_text",
        TextEnd::TokensMax => "tokens_max",
        TextEnd::Context => "context",
        TextEnd::Stopped => "stopped",
    };
    if !streams {
        output.data(&Generated { prompt, text, end }, String::new)?;
    }
    Ok(exit_code::OK)
}

/// What the newest checkpoint of a job writes, for the demo.
pub(in super::super) async fn written_by(
    client: &Client,
    job: &str,
    prompt: &str,
) -> Result<String, Failure> {
    let fetched = fetch(client, job, None).await?;
    let model = open(fetched.path()).await?;
    let sampling = Sampling { temperature: 0.7, top_k: 40, top_p: 1.0, seed: 1 };
    let mut text = String::new();
    let append = |piece: &str| {
        text.push_str(piece);
        ControlFlow::Continue(())
    };
    let end = model.generate(prompt, DEMO_TOKENS as usize, &sampling, append);
    end.map(|_end| text).map_err(|error| failure("cannot go on with the text", &error))
}

fn write(
    model: &LanguageModel,
    prompt: &str,
    tokens: usize,
    sampling: &Sampling,
    pieces: &mpsc::Sender<String>,
) -> Result<TextEnd, TrainingError> {
    model.generate(prompt, tokens, sampling, |piece| match pieces.blocking_send(piece.to_owned()) {
        Ok(()) => ControlFlow::Continue(()),
        Err(_nobody_reads) => ControlFlow::Break(()),
    })
}

async fn open(directory: &Path) -> Result<LanguageModel, Failure> {
    let path = directory.to_owned();
    let opened = tokio::task::spawn_blocking(move || LanguageModel::open(&path)).await;
    let opened = opened.map_err(|panicked| Failure::new(exit_code::FAILED, panicked.to_string()))?;
    opened.map_err(|error| {
        failure("the model cannot be used", &error).next(
            "trainctl checkpoint export writes such a directory: model.safetensors, config.json, tokenizer.json",
        )
    })
}

/// The files of a checkpoint, in a directory of their own.
async fn fetch(client: &Client, job: &str, step: Option<u64>) -> Result<TempDir, Failure> {
    let failed = |error: std::io::Error| {
        Failure::new(exit_code::FAILED, "cannot keep the checkpoint").because(error.to_string())
    };
    let directory = tempfile::Builder::new().prefix("trainctl-").tempdir().map_err(failed)?;
    let mut download = client.export(job, step).await?;
    let description = download.description.clone();
    super::export::check(&description, directory.path(), false)?;
    for file in &description.files {
        let mut temporary = tempfile::NamedTempFile::new_in(directory.path()).map_err(failed)?;
        download.read(file, &mut temporary).await?;
        temporary.persist(directory.path().join(&file.name)).map_err(|error| failed(error.error))?;
    }
    Ok(directory)
}

fn failure(what: &str, error: &dyn std::error::Error) -> Failure {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    Failure::new(exit_code::FAILED, what).because(words)
}
