//! `trainctl checkpoint …`.

use std::path::Path;

use super::super::args::{CheckpointName, CheckpointVerb};
use super::super::failure::Failure;
use super::super::output::Output;
use super::data::absolute;
use super::{export, print, store};
use crate::control::Client;
use crate::control::api::{Request, Response};
use crate::exit_code;

/// `trainctl checkpoint …`.
pub(in super::super) async fn checkpoint(
    socket: &Path,
    verb: CheckpointVerb,
    output: &Output,
) -> Result<u8, Failure> {
    match verb {
        CheckpointVerb::Ls { job } => print(socket, &Request::CheckpointList { job }, output).await,
        CheckpointVerb::Show { job: CheckpointName { job, step: named }, step } => {
            print(socket, &Request::CheckpointShow { job, step: step.or(named) }, output).await
        }
        CheckpointVerb::Verify { checkpoint: CheckpointName { job, step } } => {
            store::verified(socket, &Request::CheckpointVerify { job, step }, output).await
        }
        CheckpointVerb::Pin { checkpoint: CheckpointName { job, step } } => {
            print(socket, &Request::CheckpointPin { job, step, pinned: true }, output).await
        }
        CheckpointVerb::Unpin { checkpoint: CheckpointName { job, step } } => {
            print(socket, &Request::CheckpointPin { job, step, pinned: false }, output).await
        }
        CheckpointVerb::Prune { job, keep, dry_run } => {
            print(socket, &Request::CheckpointPrune { job, keep, dry_run }, output).await
        }
        CheckpointVerb::Export { job, step, out, force } => {
            export::export(socket, &job, step, &out, force, output).await
        }
        CheckpointVerb::Import { path, name, chunks } => {
            let chunks = chunks.map(|chunks| absolute(&chunks)).transpose()?;
            let request = Request::CheckpointImport { path: absolute(&path)?, chunks, name };
            // As long as it takes: a daemon may read many gigabytes before it answers.
            output.answer(&Client::new(socket).call(&request).await?)?;
            Ok(exit_code::OK)
        }
        CheckpointVerb::Rollback { checkpoint: CheckpointName { job, step } } => {
            let request = Request::CheckpointRollback { job, step: step.unwrap_or(0) };
            let answer = super::ask(socket, &request, output).await?;
            output.answer(&answer)?;
            if let Response::JobRolledBack { job, .. } = &answer {
                output.message(&format!("next: trainctl job resume {job}"));
            }
            Ok(exit_code::OK)
        }
    }
}
