//! The text of a manifest. Hashes are hexadecimal.

use serde::{Deserialize, Serialize};
use traind_protocol::ids::{Chain, ChunkId, Digest, JobId, ManifestId};

use crate::manifest::{ChunkRef, Manifest, ManifestBody, StateFacts};

/// The JSON line.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    body: BodyLine,
    bytes: u64,
    chunks: Vec<(String, u32)>,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
enum BodyLine {
    Checkpoint { job: String, step: u64, chain: String, digest: String },
    JoinState { job: String, step: u64, chain: String, digest: String },
    DataSet { name: String, facts: String },
}

pub(crate) fn encode(manifest: &Manifest) -> (ManifestId, Vec<u8>) {
    let body = match &manifest.body {
        ManifestBody::Checkpoint(StateFacts { job, step, chain, digest }) => BodyLine::Checkpoint {
            job: job.to_hex(),
            step: *step,
            chain: chain.to_hex(),
            digest: digest.to_hex(),
        },
        ManifestBody::JoinState(StateFacts { job, step, chain, digest }) => BodyLine::JoinState {
            job: job.to_hex(),
            step: *step,
            chain: chain.to_hex(),
            digest: digest.to_hex(),
        },
        ManifestBody::DataSet { name, facts } => {
            BodyLine::DataSet { name: name.clone(), facts: facts.clone() }
        }
    };
    let chunks = manifest.chunks.iter().map(|chunk| (chunk.id.to_hex(), chunk.bytes)).collect();
    let line = Line { body, bytes: manifest.bytes(), chunks };
    let json = serde_json::to_string(&line).expect("strings and integers always have a JSON form");
    let id = ManifestId(*blake3::hash(json.as_bytes()).as_bytes());
    (id, format!("{json}\n{id}\n").into_bytes())
}

/// The id, the manifest, and the bytes that it claims to have; `None` if a single byte is another.
pub(crate) fn decode(text: &[u8]) -> Option<(ManifestId, Manifest, u64)> {
    let text = std::str::from_utf8(text).ok()?;
    let (json, hash) = text.strip_suffix('\n')?.split_once('\n')?;
    let id = ManifestId(*blake3::hash(json.as_bytes()).as_bytes());
    if id.to_hex() != hash {
        return None;
    }
    let line: Line = serde_json::from_str(json).ok()?;
    let facts = |job: &str, step, chain: &str, digest: &str| {
        Some(StateFacts {
            job: JobId::from_hex(job)?,
            step,
            chain: Chain::from_hex(chain)?,
            digest: Digest::from_hex(digest)?,
        })
    };
    let body = match line.body {
        BodyLine::Checkpoint { job, step, chain, digest } => {
            ManifestBody::Checkpoint(facts(&job, step, &chain, &digest)?)
        }
        BodyLine::JoinState { job, step, chain, digest } => {
            ManifestBody::JoinState(facts(&job, step, &chain, &digest)?)
        }
        BodyLine::DataSet { name, facts } => ManifestBody::DataSet { name, facts },
    };
    let chunk = |(id, bytes): &(String, u32)| Some(ChunkRef { id: ChunkId::from_hex(id)?, bytes: *bytes });
    let chunks = line.chunks.iter().map(chunk).collect::<Option<_>>()?;
    Some((id, Manifest { body, chunks }, line.bytes))
}
