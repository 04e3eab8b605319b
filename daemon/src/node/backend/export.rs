//! A checkpoint as files that other programs load.

use std::sync::Arc;

use anyhow::Context as _;
use traind_protocol::ids::{Digest, JobId};
use traind_store::Store;

use super::super::api_views;
use super::Backend;
use crate::control::Export;
use crate::control::api::ApiError;

impl Backend {
    /// The files of a checkpoint that this node holds.
    pub(super) async fn export_checkpoint(self, job: JobId, step: Option<u64>) -> Result<Export, ApiError> {
        let published = self.published();
        let (id, me) = (job.to_hex(), self.actors.node);
        let Some(detail) = api_views::checkpoint(&published, job, step, me) else {
            let what =
                step.map_or("no checkpoint".to_owned(), |step| format!("no checkpoint of step {step}"));
            return Err(ApiError::no_such_object(format!("the job has {what}"))
                .next(format!("trainctl checkpoint ls {id}")));
        };
        let row = detail.row;
        if !detail.local {
            let holders: Vec<String> = row.holders.iter().map(|holder| holder.name.clone()).collect();
            return Err(ApiError::refused(format!(
                "this node does not hold the checkpoint of step {}",
                row.step
            ))
            .because(format!("it is on {}", holders.join(", ")))
            .next("run the same command there"));
        }
        let Some(record) = published.ledger.jobs.get(&job) else {
            return Err(ApiError::no_such_object("the job is gone"));
        };
        let (spec_toml, store, step) = (record.spec_toml.clone(), Arc::clone(&self.facts.store), row.step);
        let digest = Digest::from_hex(&row.digest);
        let files = tokio::task::spawn_blocking(move || files(&store, (job, step, digest), &spec_toml)).await;
        let files = match files {
            Ok(Ok(files)) => files,
            Ok(Err(error)) => {
                return Err(ApiError::unavailable("the checkpoint cannot be exported")
                    .because(format!("{error:#}"))
                    .next(format!("trainctl checkpoint ls {id}")));
            }
            Err(_panicked) => return Err(ApiError::unavailable("the checkpoint cannot be exported")),
        };
        Ok(Export { job: id, job_name: row.job_name, step, digest: row.digest, files })
    }
}

fn files(
    store: &Store,
    (job, step, digest): (JobId, u64, Option<Digest>),
    spec_toml: &str,
) -> anyhow::Result<Vec<(String, Vec<u8>)>> {
    let digest = digest.context("the checkpoint's digest is none")?;
    let (_record, state) = store.read_checkpoint_of(job, step, digest).context("reading the checkpoint")?;
    let spec = traind_training::JobSpec::parse(spec_toml).context("reading the job's description")?;
    let training = traind_actors::session::training_state(&state).context("splitting the state")?;
    let folder = tempfile::tempdir().context("making a folder for the export")?;
    traind_training::export_state(&spec, training, None, folder.path(), true)
        .context("exporting the model")?;
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder.path()).context("reading the export")? {
        let path = entry.context("reading the export")?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        files.push((name, std::fs::read(&path).with_context(|| format!("reading {}", path.display()))?));
    }
    files.sort();
    Ok(files)
}
