//! The manifest of a checkpoint: a file of two lines, JSON and the BLAKE3 of it. People can read it, and the index can be
//! made from it.

use serde::{Deserialize, Serialize};
use traind_protocol::ids::{Chain, Digest, JobId};

use crate::checkpoint_record::CheckpointRecord;
use crate::chunk_directory::{CHUNK_BYTES_MAX, ChunkName};

/// Bytes of a manifest file at most: 2^19 chunks of 4 MiB, states of 2 TiB.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 64 << 20;

const MANIFEST_ENDING: &str = ".manifest";

/// A checkpoint and the chunks of its state, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    pub(crate) record: CheckpointRecord,
    pub(crate) chunks: Vec<ChunkName>,
}

/// The JSON line. Hashes are hexadecimal.
#[derive(Serialize, Deserialize)]
struct Line {
    job: String,
    step: u64,
    chain: String,
    digest: String,
    state_bytes: u64,
    chunks: Vec<String>,
}

impl Manifest {
    /// The name of its file: the job and the step can be told from it alone.
    pub(crate) fn file_name(job: JobId, step: u64) -> String {
        format!("{job}-{step:020}{MANIFEST_ENDING}")
    }

    /// The job and step of a file's name; `None` if it is no manifest's.
    pub(crate) fn parse_file_name(name: &str) -> Option<(JobId, u64)> {
        let (job, step) = name.strip_suffix(MANIFEST_ENDING)?.split_once('-')?;
        let (job, step) = (JobId::from_hex(job)?, step.parse().ok()?);
        (Self::file_name(job, step) == name).then_some((job, step))
    }

    pub(crate) fn encode(&self) -> Vec<u8> {
        let line = Line {
            job: self.record.job.to_hex(),
            step: self.record.step,
            chain: self.record.chain.to_hex(),
            digest: self.record.digest.to_hex(),
            state_bytes: self.record.state_bytes,
            chunks: self.chunks.iter().map(ChunkName::file_name).collect(),
        };
        let json = serde_json::to_string(&line).expect("strings and integers always have a JSON form");
        let hash = blake3::hash(json.as_bytes()).to_hex();
        format!("{json}\n{hash}\n").into_bytes()
    }

    /// Reads what [`Self::encode`] wrote; `None` if a single byte is another.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (json, hash) = text.strip_suffix('\n')?.split_once('\n')?;
        if blake3::hash(json.as_bytes()).to_hex().as_str() != hash {
            return None;
        }
        let line: Line = serde_json::from_str(json).ok()?;
        let chunks: Vec<_> = line.chunks.iter().map(|name| ChunkName::parse(name)).collect::<Option<_>>()?;
        let record = CheckpointRecord {
            job: JobId::from_hex(&line.job)?,
            step: line.step,
            chain: Chain::from_hex(&line.chain)?,
            digest: Digest::from_hex(&line.digest)?,
            state_bytes: line.state_bytes,
            chunks: u32::try_from(chunks.len()).ok()?,
        };
        let chunks_expected = line.state_bytes.div_ceil(CHUNK_BYTES_MAX as u64);
        (chunks_expected == chunks.len() as u64).then_some(Self { record, chunks })
    }

    /// The bytes of chunk `number`: all are full but the last.
    pub(crate) fn chunk_bytes(&self, number: usize) -> usize {
        let before = number as u64 * CHUNK_BYTES_MAX as u64;
        usize::try_from(self.record.state_bytes.saturating_sub(before))
            .unwrap_or(CHUNK_BYTES_MAX)
            .min(CHUNK_BYTES_MAX)
    }
}
