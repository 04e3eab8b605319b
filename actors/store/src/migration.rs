//! Older layouts become the present one. Each step leaves a directory that either format's reader takes up, so a crash in
//! between costs nothing: the format file is written last.
//!
//! Version 2 kept the records in `index`, beside a tree of checkpoints; manifests were named by job and step alone and
//! gave no lengths of chunks. Chunks lie as they did.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use traind_protocol::ids::{Chain, ChunkId, Digest, JobId};

use crate::chunk_directory::CHUNK_BYTES_MAX;
use crate::data_dir::DataDir;
use crate::manifest::{ChunkRef, Manifest, ManifestBody, StateFacts};
use crate::manifest_directory::{ManifestDirectory, ManifestName, Progress};
use crate::{Damage, StoreError, durable_file};

/// Bytes of a version 2 manifest at most.
const OLD_MANIFEST_BYTES_MAX: u64 = 64 << 20;

/// The JSON line of a manifest of version 2.
#[derive(Deserialize)]
struct OldLine {
    job: String,
    step: u64,
    chain: String,
    digest: String,
    state_bytes: u64,
    chunks: Vec<String>,
}

/// Turns a directory of version 2 into one of version 3; the caller writes the version afterwards.
pub(crate) fn from_version_2(data_dir: &DataDir) -> Result<(), StoreError> {
    let (index, records) = (data_dir.chunk_index_path(), data_dir.records_path());
    // With records there the rename is done, and what lies at the other place is the new index.
    if index.exists() && !records.exists() {
        fs::rename(&index, &records).map_err(StoreError::file("rename", &index))?;
        durable_file::sync_directory(data_dir.path())?;
    }
    let folder = data_dir.manifests_path();
    let manifests = ManifestDirectory::open(folder.clone())?;
    let mut migrated = 0;
    for name in durable_file::names(&folder)? {
        let Some((job, step)) = parse_old_name(&name) else { continue };
        let old = folder.join(&name);
        let manifest = match read_old(&old, job, step) {
            Ok(manifest) => manifest,
            Err(error @ StoreError::Damaged { .. }) => {
                // It was of no use before either. People may look at it.
                let aside = folder.join(format!("{name}.damaged"));
                tracing::error!(%error, aside = %aside.display(), "a checkpoint is lost; its manifest is moved aside");
                fs::rename(&old, &aside).map_err(StoreError::file("move aside", &old))?;
                continue;
            }
            Err(error) => return Err(error),
        };
        let (id, text) = manifest.encode().map_err(StoreError::malformed("migrate"))?;
        manifests.write(&ManifestName::of(&manifest, id, Progress::Whole), &text)?;
        durable_file::remove(&old)?;
        migrated += 1;
    }
    manifests.sync()?;
    tracing::info!(checkpoints = migrated, "the data directory was brought from format 2 to format 3");
    Ok(())
}

fn old_name(job: JobId, step: u64) -> String {
    format!("{job}-{step:020}.manifest")
}

fn parse_old_name(name: &str) -> Option<(JobId, u64)> {
    let (job, step) = name.strip_suffix(".manifest")?.split_once('-')?;
    let (job, step) = (JobId::from_hex(job)?, step.parse().ok()?);
    (old_name(job, step) == name).then_some((job, step))
}

fn read_old(path: &Path, job: JobId, step: u64) -> Result<Manifest, StoreError> {
    let damaged = || StoreError::Damaged { object: path.to_path_buf(), damage: Damage::Content };
    let bytes = durable_file::read(path, OLD_MANIFEST_BYTES_MAX)?.ok_or_else(damaged)?;
    let manifest = decode_old(&bytes).ok_or_else(damaged)?;
    match manifest.body {
        ManifestBody::Checkpoint(facts) if (facts.job, facts.step) == (job, step) => Ok(manifest),
        _ => Err(damaged()),
    }
}

fn decode_old(bytes: &[u8]) -> Option<Manifest> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (json, hash) = text.strip_suffix('\n')?.split_once('\n')?;
    if blake3::hash(json.as_bytes()).to_hex().as_str() != hash {
        return None;
    }
    let line: OldLine = serde_json::from_str(json).ok()?;
    let full = CHUNK_BYTES_MAX as u64;
    if line.state_bytes.div_ceil(full) != line.chunks.len() as u64 {
        return None;
    }
    let chunk = |(number, id): (u64, &String)| {
        let bytes = (line.state_bytes - number * full).min(full);
        Some(ChunkRef { id: ChunkId::from_hex(id)?, bytes: u32::try_from(bytes).ok()? })
    };
    let facts = StateFacts {
        job: JobId::from_hex(&line.job)?,
        step: line.step,
        chain: Chain::from_hex(&line.chain)?,
        digest: Digest::from_hex(&line.digest)?,
    };
    let chunks = (0..).zip(&line.chunks).map(chunk).collect::<Option<_>>()?;
    Some(Manifest { body: ManifestBody::Checkpoint(facts), chunks })
}
