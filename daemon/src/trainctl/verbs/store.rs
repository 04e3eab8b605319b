//! `trainctl store …`: asks a daemon, or looks at a data directory that none uses.

use std::io::Write as _;
use std::path::Path;

use traind_store::{IdleStore, StoreError};

use super::super::args::{OutputFormat, StoreArguments, StoreVerb};
use super::super::failure::Failure;
use super::super::output::{Output, json};
use super::super::render;
use crate::control::Client;
use crate::control::api::{Request, Response, StoreCollected, StoreProgress, StoreReport, StreamItem};
use crate::exit_code;

/// `trainctl store …`.
pub(in super::super) async fn store(
    socket: &Path,
    arguments: StoreArguments,
    output: &Output,
) -> Result<u8, Failure> {
    let StoreArguments { data_dir, verb } = arguments;
    if let Some(data_dir) = data_dir {
        return idle(&data_dir, &verb, output);
    }
    let hint = |failure: Failure| match failure.is_not_running() {
        true => failure.next("--data-dir DIR looks at a data directory that no daemon uses"),
        false => failure,
    };
    let request = match verb {
        StoreVerb::Verify => return verified(socket, &Request::StoreVerify, output).await.map_err(hint),
        StoreVerb::Status => Request::StoreStatus,
        StoreVerb::Gc { dry_run } => Request::StoreCollect { dry_run },
        StoreVerb::RebuildIndex => Request::StoreRebuildIndex,
    };
    // As long as it takes: a large store has many files.
    let answer = Client::new(socket).call(&request).await.map_err(|error| hint(error.into()))?;
    output.answer(&answer)?;
    Ok(exit_code::OK)
}

/// Shows how far a verification is, then what it found.
pub(super) async fn verified(socket: &Path, request: &Request, output: &Output) -> Result<u8, Failure> {
    let mut stream = Client::new(socket).stream(request).await?;
    let mut is_whole = false;
    while let Some(item) = stream.next().await? {
        match item {
            StreamItem::StoreProgress(progress) => tell(&progress, output)?,
            StreamItem::StreamEnd => {}
            found => is_whole = show(&found, output)?,
        }
    }
    Ok(if is_whole { exit_code::OK } else { exit_code::FAILED })
}

/// One line that is drawn over; an object where programs read line by line.
fn tell(progress: &StoreProgress, output: &Output) -> Result<(), Failure> {
    if output.format == OutputFormat::Jsonl {
        return output.write(&json(&StreamItem::StoreProgress(progress.clone()))?);
    }
    if output.draws {
        let StoreProgress { chunks, chunks_total, bytes } = progress;
        // A terminal that is gone needs no progress.
        let _ = write!(
            std::io::stderr().lock(),
            "\r\u{1b}[K{chunks} of {chunks_total} chunks read, {}",
            render::bytes(*bytes)
        );
    }
    Ok(())
}

/// What a verification found; whether all is whole.
fn show(found: &StreamItem, output: &Output) -> Result<bool, Failure> {
    if output.draws {
        let _ = write!(std::io::stderr().lock(), "\r\u{1b}[K");
    }
    match output.format {
        OutputFormat::Json | OutputFormat::Jsonl => output.write(&json(found)?)?,
        OutputFormat::Name => output.write(&render::stream_name(found))?,
        OutputFormat::Table | OutputFormat::Wide => {
            output.write(&render::printable(&render::stream_line(found)))?;
        }
    }
    Ok(match found {
        StreamItem::StoreVerified(verified) => verified.damaged == 0,
        StreamItem::CheckpointVerified(verified) => verified.is_whole(),
        _ => false,
    })
}

/// Looks at a directory that no daemon uses.
fn idle(data_dir: &Path, verb: &StoreVerb, output: &Output) -> Result<u8, Failure> {
    let store = IdleStore::open(data_dir).map_err(|error| cannot_open(&error))?;
    let failed = |error: StoreError| {
        Failure::new(exit_code::FAILED, format!("the store in {} failed", data_dir.display()))
            .because(format!("{:#}", anyhow::Error::new(error)))
    };
    let answer = match verb {
        StoreVerb::Verify => {
            let mut told = Ok(());
            let verified = store.chunks().verify_all(None, &mut |progress| {
                told = tell(&progress.into(), output);
                told.is_ok()
            });
            told?;
            let found = StreamItem::StoreVerified(verified.map_err(failed)?.into());
            return Ok(if show(&found, output)? { exit_code::OK } else { exit_code::FAILED });
        }
        StoreVerb::Status => {
            let status = store.chunks().status().map_err(failed)?;
            Response::StoreStatus(StoreReport::of(data_dir.display().to_string(), &status))
        }
        StoreVerb::Gc { dry_run } => {
            let collected = store.chunks().collect(*dry_run).map_err(failed)?;
            Response::StoreCollected(StoreCollected::of(*dry_run, collected))
        }
        StoreVerb::RebuildIndex => {
            Response::StoreIndexRebuilt { manifests: store.chunks().rebuild_index().map_err(failed)? }
        }
    };
    output.answer(&answer)?;
    Ok(exit_code::OK)
}

fn cannot_open(error: &StoreError) -> Failure {
    let message = error.to_string();
    match error {
        StoreError::NoDataDirectory { .. } => Failure::new(exit_code::NO_SUCH_OBJECT, message),
        StoreError::Locked { .. } => Failure::new(exit_code::FAILED, message)
            .next("ask that daemon: the same command without --data-dir"),
        StoreError::File { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
            Failure::new(exit_code::PERMISSION, message)
                .because(source.to_string())
                .next("run trainctl as the user of the daemon")
        }
        _ => Failure::new(exit_code::FAILED, message),
    }
}
