//! Checkpoints from outside: one of a job of this swarm out of another data directory, or a model that jobs start from.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use traind_actors::council::Published;
use traind_actors::data_sets::SetForm;
use traind_actors::session::digest_of_pieces;
use traind_protocol::ids::NodeId;
use traind_protocol::ledger::{CheckpointEntry, LedgerCommand, is_set_name};
use traind_store::{Manifest, ManifestBody, StateFacts, Store, read_manifest_file};

use super::super::api_views;
use super::Backend;
use crate::control::api::{ApiError, CheckpointImported, Response};

/// How the name of a manifest's file ends.
const MANIFEST_ENDING: &str = "manifest";

/// The kind of a data set that is a model.
pub(super) const MODEL_KIND: &str = "model";

impl Backend {
    pub(super) async fn checkpoint_import(
        &self,
        path: String,
        chunks: Option<String>,
        name: Option<String>,
    ) -> Result<Response, ApiError> {
        let path = PathBuf::from(path);
        if !path.is_absolute() {
            return Err(ApiError::bad_request("the path is absolute, on the node that is asked"));
        }
        if path.extension().is_some_and(|ending| ending == MANIFEST_ENDING) {
            return self.import_checkpoint(path, chunks.map(PathBuf::from)).await;
        }
        let Some(name) = name.filter(|name| is_set_name(name)) else {
            return Err(ApiError::bad_request("a model is imported under a name: letters, digits and -_.")
                .next("trainctl checkpoint import PATH --name NAME"));
        };
        let form = SetForm { kind: Some(MODEL_KIND.to_owned()), ..SetForm::default() };
        let added = self.data_add(name.clone(), path.display().to_string(), form).await?;
        let Response::DataAdded(row) = added else {
            return Err(ApiError::unavailable("the model is not on record"));
        };
        let manifest = self.published().ledger.data_sets.get(&name).map(|record| record.manifest);
        let files = match manifest {
            Some(manifest) => self.actors.data_sets.facts(manifest).await.map(|(facts, _)| facts.files).ok(),
            None => None,
        };
        let files = files.unwrap_or_default().into_iter().map(|file| file.name).collect();
        Ok(Response::CheckpointImported(CheckpointImported::Model { name, bytes: row.bytes, files }))
    }

    /// Puts a checkpoint of a job that the ledger knows back on record, held by this node.
    async fn import_checkpoint(&self, path: PathBuf, chunks: Option<PathBuf>) -> Result<Response, ApiError> {
        let refused = |error: anyhow::Error| {
            ApiError::bad_request(format!("{} is refused", path.display()))
                .because(format!("{error:#}"))
                .next("nothing was taken; export it anew where it is whole: trainctl checkpoint export")
        };
        let manifest = read(&path).await.map_err(refused)?;
        let (entry, facts) = entry_of(&manifest, self.actors.node).map_err(refused)?;
        let job = facts.job;
        if !self.published().ledger.jobs.contains_key(&job) {
            return Err(ApiError::refused(format!("the ledger knows no job {job}"))
                .because("a checkpoint goes on only within its own job")
                .next("export it where the job is known, and import that: trainctl checkpoint export"));
        }
        let command = LedgerCommand::ImportCheckpoint { job, entry: entry.clone(), by: self.actors.node };
        // Before a byte is copied.
        self.would_apply(&command, job)?;
        let folder = chunks.unwrap_or_else(|| beside(&path));
        let store = Arc::clone(&self.facts.store);
        let from = path.clone();
        let taken = tokio::task::spawn_blocking(move || take(&store, &from, &folder, &facts));
        taken.await.map_err(|_panicked| ApiError::unavailable("the import failed"))?.map_err(refused)?;
        let (step, me) = (entry.step, self.actors.node);
        let is_known = move |published: &Published| {
            let record = published.ledger.jobs.get(&job);
            let found = record.and_then(|record| record.checkpoints.iter().find(|known| known.step == step));
            found.is_some_and(|known| known.holders.contains(&me))
        };
        self.propose_until(command, is_known).await?;
        let rows = api_views::checkpoints(&self.published(), Some(job));
        let row = rows.into_iter().find(|row| row.step == step);
        row.map(|row| Response::CheckpointImported(CheckpointImported::Checkpoint(row)))
            .ok_or_else(|| ApiError::unavailable("the checkpoint is not on record"))
    }
}

/// Where a data directory has the chunks of a manifest.
fn beside(manifest: &Path) -> PathBuf {
    let directory = manifest.parent().and_then(Path::parent);
    directory.map_or_else(|| PathBuf::from("chunks"), |directory| directory.join("chunks"))
}

async fn read(path: &Path) -> anyhow::Result<Manifest> {
    let path = path.to_owned();
    let read = tokio::task::spawn_blocking(move || read_manifest_file(&path));
    Ok(read.await.context("reading panicked")?.map(|(_id, manifest)| manifest)?)
}

fn entry_of(manifest: &Manifest, me: NodeId) -> anyhow::Result<(CheckpointEntry, StateFacts)> {
    let ManifestBody::Checkpoint(facts) = manifest.body else { bail!("it is no checkpoint's manifest") };
    let (id, _text) = manifest.encode()?;
    let StateFacts { step, chain, digest, .. } = facts;
    let holders = BTreeSet::from([me]);
    Ok((
        CheckpointEntry {
            step,
            chain,
            digest,
            manifest: id,
            bytes: manifest.bytes(),
            holders,
            assigned: BTreeSet::new(),
        },
        facts,
    ))
}

/// Takes manifest and chunks over; leaves nothing of them where one is not what it should be.
fn take(store: &Store, path: &Path, folder: &Path, facts: &StateFacts) -> anyhow::Result<()> {
    let chunks = store.chunks();
    let (id, manifest) = read_manifest_file(path)?;
    let was_here = chunks.manifest(id).is_ok();
    let taken = chunks.import(path, folder).map_err(anyhow::Error::new).and_then(|_id| {
        let pieces = manifest.chunks.iter().map(|chunk| chunks.get_ref(*chunk));
        let digest = digest_of_pieces(pieces)?;
        if digest != facts.digest {
            bail!("the state has digest {}, its manifest claims {}", digest.short(), facts.digest.short());
        }
        Ok(())
    });
    if taken.is_err() && !was_here {
        chunks.remove_manifest(id).context("removing what was imported")?;
    }
    taken
}
